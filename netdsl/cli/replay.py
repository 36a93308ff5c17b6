"""`netdsl replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netdsl.cli.options import compile_model, model_options


@click.command("replay", help="Feed a spec the inputs of a trace and compare its variables.")
@model_options
@click.option("--trace", required=True, type=click.Path(), help="NPZ file; see docs/runtime.md.")
@click.option("--tolerance", multiple=True, default=("1e-5",), show_default=True,
              metavar="NUMBER|KEY=NUMBER", help="For all variables, or by pattern.")  # fmt: skip
def command(trace: str, tolerance: tuple[str, ...], **options: Any) -> int:
    """Exit code 0 within tolerance, 1 beyond it."""
    from netdsl.tools.replay import replay
    from netdsl.tools.replaytable import observed, table
    from netdsl.tools.tracefile import read_trace

    held = read_trace(Path(trace))
    observe, feed = observed(held)
    model = compile_model(**options, observe=observe, feed=feed)
    report = replay(model, held, tolerance=_tolerances(tolerance))
    click.echo(table(report))
    return 0 if report.ok else 1


def _tolerances(given: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        key, equals, number = text.rpartition("=")
        try:
            found[key if equals else "*"] = float(number)
        except ValueError:
            raise click.UsageError(f"--tolerance takes a number, not `{number}`") from None
    # The pattern for everything comes last: the first match wins.
    everything = found.pop("*", 1e-5)
    return {**found, "*": everything}
