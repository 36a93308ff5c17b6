"""From a spec file to a checked network: what `check`, `compile` and `run` have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.diagnostics import Diagnostic, DiagnosticBag, DiagnosticError

if TYPE_CHECKING:
    from netdsl.ir.network import Network
    from netdsl.ir.program import Program
    from netdsl.locality import Certificate
    from netdsl.passes.pipeline import Record

Override = str | int | float | bool


@dataclass(frozen=True)
class Checked:
    """What checking found. `network` and `certificate` are None when errors stand in the way."""

    name: str
    network: Network | None
    diagnostics: tuple[Diagnostic, ...]
    certificate: Certificate | None = None
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """No errors; lints and warnings do not count."""
        return not any(d.severity == "error" for d in self.diagnostics)

    def require(self, *, but: tuple[str, ...] = ()) -> Network:
        """The network, or DiagnosticError with everything that is wrong; errors of the codes `but`
        alone do not count."""
        wrong = any(d.severity == "error" and d.code not in but for d in self.diagnostics)
        if self.network is None or wrong:
            raise DiagnosticError(*self.diagnostics, sources=self.sources)
        return self.network


def load_text(spec: str | Path) -> tuple[str, str, Path]:
    """(name, text, folder) of a spec given as a path, or as text (anything with a line break)."""
    from netdsl.syntax.parser import read_source

    if isinstance(spec, str) and "\n" in spec:
        return "<text>", spec, Path()
    path = Path(spec)
    return str(spec), read_source(path), path.parent


def check(
    spec: str | Path, overrides: Mapping[str, Override] | None = None, *, lower: bool = True
) -> Checked:
    """Parse, analyse and check a spec; never raises for a mistake in it.

    `lower` also lowers it to a step program, so that what checks is known to run.
    """
    try:
        name, text, _ = load_text(spec)
    except DiagnosticError as fault:
        return Checked(str(spec), None, fault.diagnostics)
    from netdsl.passes.needs import needing_data

    sources = {name: text}
    bag = DiagnosticBag()
    try:
        network = _analyse(text, name, overrides or {}, bag, sources)
    except DiagnosticError as fault:
        bag.extend(fault.diagnostics)
        network = None
    if network is None:
        return Checked(name, None, bag.sorted(), sources=sources)
    certificate = _certify(network, bag)
    if lower and not bag.has_errors:
        try:
            bag.extend(fault for _, fault in needing_data(network, lower_network(network)))
        except DiagnosticError as fault:
            bag.extend(fault.diagnostics)
    return Checked(name, network, bag.sorted(), certificate, sources)


def _analyse(
    text: str,
    name: str,
    overrides: Mapping[str, Override],
    bag: DiagnosticBag,
    sources: dict[str, str],
) -> Network | None:
    from netdsl.sema import analyse
    from netdsl.syntax.parser import parse

    parsed = parse(text, name)
    bag.extend(parsed.diagnostics)
    if not parsed.ok:
        return None
    analysis = analyse(parsed.spec, text, name, overrides)
    bag.extend(analysis.diagnostics)
    sources.update(analysis.sources)
    return analysis.network


def _certify(network: Network, bag: DiagnosticBag) -> Certificate:
    from netdsl import checks
    from netdsl.locality import certify

    bag.extend(checks.run(network))
    certificate = certify(network)
    bag.extend(certificate.diagnostics)
    return certificate


def lower_network(
    network: Network,
    observe: tuple[str, ...] = (),
    feed: tuple[str, ...] = (),
    record: Record | None = None,
    form: str = "auto",
    keep: str = "auto",
) -> Program:
    """The step program of a network. Raises DiagnosticError where it cannot be said in steps."""
    from netdsl.diagnostics import NO_SPAN
    from netdsl.passes import LoweringError
    from netdsl.passes import lower as lower_pass

    try:
        return lower_pass(network, observe=observe, feed=feed, record=record, form=form, keep=keep)
    except LoweringError as fault:
        span = fault.span or NO_SPAN
        found = Diagnostic(fault.code, fault.message, span, help=fault.help)
        raise DiagnosticError(found) from None
