"""How commands print: faults, diagnostics, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import click

from netdsl.diagnostics import Diagnostic, DiagnosticError, render_all
from netdsl.diagnostics.render import visible

_MOST = 100  # findings that are printed


def show_fault(fault: Exception) -> bool:
    """Print a fault that a user can mend; False when it is not one."""
    from netdsl.codegen.errors import BackendError
    from netdsl.runtime.errors import RunFault

    if isinstance(fault, DiagnosticError):
        show_diagnostics(fault.diagnostics, fault.sources)
        return True
    if isinstance(fault, BackendError):  # a device that failed in the middle of a run
        fault = RunFault(fault.code, fault.message, fault.help or "use --backend numpy")
    if isinstance(fault, RunFault):
        print(visible(str(fault)), file=sys.stderr)
        return True
    if isinstance(fault, MemoryError):
        print(
            "error[E0820]: memory ran out\n  help: make populations or the batch smaller",
            file=sys.stderr,
        )
        return True
    return False


def show_diagnostics(
    diagnostics: Iterable[Diagnostic], sources: Mapping[str, str] | None = None
) -> None:
    """Print diagnostics on standard error, with colour on a terminal."""
    found = list(diagnostics)
    if found:
        colour = sys.stderr.isatty()
        print(render_all(found[:_MOST], dict(sources or {}), colour) + "\n", file=sys.stderr)
    if len(found) > _MOST:
        more = "`netdsl check --format json` lists all"
        print(f"… and {len(found) - _MOST} more; {more}\n", file=sys.stderr)


def pairs_of(values: tuple[str, ...], option: str) -> dict[str, str]:
    """`name=value` options as a mapping; a usage error for one without `=`."""
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, not `{value}`")
        found[name.strip()] = text.strip()
    return found
