"""The certificate: the label and verdict of every rule, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netdsl.dataflow.flow import FlowGraph
from netdsl.diagnostics import Diagnostic, DiagnosticBag
from netdsl.ir.network import Network, Waiver
from netdsl.locality.access import access_errors
from netdsl.locality.closed import closed_list
from netdsl.locality.decisions import decisions_of
from netdsl.locality.promises import claim_errors, unwaived, waiver_errors, waivers_of
from netdsl.locality.provenance import Provenance
from netdsl.locality.reads import Read
from netdsl.locality.rules import RuleFinding, analyse_rule


@dataclass(frozen=True)
class RuleCertificate:
    """What is certified of one rule on one projection.

    The fields are those of `netdsl check --format json`; `details` are the labelled reads.
    """

    rule: str
    projection: str
    ends: tuple[str, str]
    line: int
    space: str
    modulator_scope: str
    time: str
    sample: str
    phase: str
    verdict: str
    reads: tuple[str, ...]
    witness: tuple[str, ...]
    notes: tuple[str, ...]
    waivers: tuple[Waiver, ...]
    details: tuple[Read, ...]

    def json(self) -> dict[str, Any]:
        """The stable form, in the order of the reference."""
        names = ("rule", "projection", "space", "modulator_scope", "time", "sample", "phase")
        return {
            **{name: getattr(self, name) for name in names},
            "verdict": self.verdict,
            "reads": list(self.reads),
            "witness": list(self.witness),
            "notes": list(self.notes),
            "waivers": [
                {"level": w.level.replace("_", "-"), "target": w.target, "reason": w.reason}
                for w in self.waivers
            ],
        }

    def render(self) -> str:
        """The human form: verdict, labels, each read with its line, witness, notes, waivers."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        scope = "" if self.modulator_scope == "none" else f" ({self.modulator_scope})"
        at = f", line {self.line}" if self.line else ""
        pre, post = self.ends
        yield f"{self.projection}: {pre} -> {post} learns {self.rule}{at}: {self.verdict}{scope}"
        yield f"  space {self.space} · time {self.time} · sample {self.sample} · phase {self.phase}"
        for line in read_lines(self.details):
            yield f"    {line}"
        for title, lines in (("witness", self.witness), ("notes", self.notes)):
            if lines:
                yield f"  {title}"
                yield from (f"    {line}" for line in lines)
        for waiver in self.waivers:
            yield f"  waived: {waiver.level} on {waiver.target}, because {waiver.reason}"


def read_lines(reads: Iterable[Read]) -> Iterator[str]:
    """One aligned line per distinct read: where, name, label."""
    seen: dict[tuple[str, str], str] = {}
    for read in reads:
        if read.section == "optimiser":
            continue
        at = f"{read.ref.span.line}:{read.ref.span.column}" if read.ref.span else ""
        label = read.label
        levels = f"{label.space!s:<19} {label.time!s:<11} {label.sample}"
        seen.setdefault((read.name, str(label)), f"{at:>7}  {read.name:<18} {levels}")
    yield from seen.values()


@dataclass(frozen=True)
class Certificate:
    """The certificates of all rules, in order of projections, and what is wrong."""

    spec: str
    rules: tuple[RuleCertificate, ...]
    diagnostics: tuple[Diagnostic, ...]

    def json(self, diagnostics: Iterable[Diagnostic] | None = None) -> dict[str, Any]:
        """Schema 1 of the reference; `diagnostics` replaces the certificate's own."""
        shown = self.diagnostics if diagnostics is None else tuple(diagnostics)
        return {
            "schema": 1,
            "spec": self.spec,
            "diagnostics": [diagnostic.to_json() for diagnostic in shown],
            "rules": [rule.json() for rule in self.rules],
        }

    def render(self) -> str:
        """The human form."""
        if not self.rules:
            return f"{self.spec}: nothing learns"
        return "\n\n".join(rule.render() for rule in self.rules)

    def __getitem__(self, projection: str) -> RuleCertificate:
        for rule in self.rules:
            if rule.projection == projection:
                return rule
        raise KeyError(projection)


def certify(network: Network) -> Certificate:
    """Label every rule of a network and check waivers, claims and closed lists.

    Raises nothing for a mistake in a specification: those are `Certificate.diagnostics`.
    """
    graph = FlowGraph(network)
    provenance = Provenance(graph)
    decisions = decisions_of(graph)
    findings = tuple(
        analyse_rule(graph, provenance, projection, projection.rule, decisions.get(name, ()))
        for name, projection in network.projections.items()
        if projection.rule is not None
    )
    bag = DiagnosticBag(access_errors(graph))
    for finding in findings:
        bag.extend(closed_list(graph, finding))
    bag.extend(unwaived(network, findings))
    bag.extend(waiver_errors(network, findings))
    bag.extend(claim_errors(network, findings))
    rules = tuple(_certificate(network, finding) for finding in findings)
    return Certificate(network.source, rules, bag.sorted())


def _certificate(network: Network, finding: RuleFinding) -> RuleCertificate:
    rule, projection, label = finding.rule, finding.projection, finding.label
    at = rule.learn_span or projection.span
    internal = {path for path, v in rule.variables.items() if not v.keep}  # kept: what is history
    if rule.optimiser is not None:
        internal |= {*rule.optimiser.variables, rule.optimiser.gradient}
    names = (read.name for read in finding.reads if read.ref.path not in internal)
    return RuleCertificate(
        rule.name,
        projection.name,
        network.ends(projection),
        at.line if at is not None else 0,
        str(label.space),
        finding.scope,
        str(label.time),
        str(label.sample),
        str(label.phase),
        finding.verdict,
        tuple(dict.fromkeys(names)),
        finding.witness,
        finding.notes,
        waivers_of(network, finding),
        tuple(read for read in finding.reads if read.ref.path not in internal),
    )
