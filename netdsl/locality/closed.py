"""The closed `reads` list of a rule: nothing else may be read, and everything should be."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.flow import FlowGraph
from netdsl.diagnostics import Diagnostic
from netdsl.diagnostics.span import NO_SPAN
from netdsl.ir.expr import refs
from netdsl.ir.network import Kind
from netdsl.locality.reads import Read, spelled
from netdsl.locality.rules import RuleFinding


def closed_list(graph: FlowGraph, finding: RuleFinding) -> Iterator[Diagnostic]:
    """Reads outside the list (E0302), names of the list that nothing reads (L0301).

    A name without `@` stands for every time of the variable. The synapse's own variables, shared
    parameters and counters need no listing, nor does what the optimiser reads.
    """
    listed = finding.rule.reads
    if listed is None:
        return
    used: set[str] = set()
    for read in finding.reads:
        names = _names(graph, finding, read)
        matching = {name for name in names if name in listed}
        used |= matching
        if not matching and _needs_listing(graph, read):
            yield Diagnostic(
                "E0302",
                f"rule `{finding.rule.name}` reads `{read.name}`, which its `reads` list does "
                "not name",
                read.ref.span or finding.rule.span or NO_SPAN,
                help=f"add `{read.name}` to the list, or do not read it",
            )
    yield from _unused(finding, used)


def _unused(finding: RuleFinding, used: set[str]) -> Iterator[Diagnostic]:
    listed = finding.rule.reads or ()
    spans = finding.rule.reads_spans
    vectors = {name.partition("[")[0] for name in used}  # that have a component which is read
    for position, name in enumerate(listed):
        whole = name.partition("[")[0]
        component = whole != name
        if name not in used and not (component and (whole in vectors or "[0]" not in name)):
            span = spans[position] if position < len(spans) else finding.rule.span
            yield Diagnostic(
                "L0301",
                f"`{whole}` is in the `reads` list of rule `{finding.rule.name}`, which never "
                "reads it",
                span or NO_SPAN,
                severity="lint",
            )


def _names(graph: FlowGraph, finding: RuleFinding, read: Read) -> set[str]:
    bare, _, time = read.name.partition("@")
    names = {read.name, bare, spelled(graph.network, read.ref), read.ref.path}
    sent = {r.path for d in finding.projection.delivers for r in refs(d.value)}
    if read.ref.side == "pre" and read.ref.path in sent:
        names |= {"pre.sent", f"pre.sent@{time}"}
    if read.ref.side == "post" and read.ref.path in {d.input for d in finding.projection.delivers}:
        names |= {"post.received", f"post.received@{time}"}
    if read.ref.time == "settled":
        names.add(f"{bare}@settled")
    return names


def _needs_listing(graph: FlowGraph, read: Read) -> bool:
    variable = graph.variable(read.ref.path)
    own = read.label.space.name in ("synapse",) or graph.is_synaptic(read.ref.path)
    shared = variable is None or variable.kind in (Kind.COUNTER, Kind.PARAM)
    refused = any(not violation.waivable for violation in read.violations)
    return not (own or read.section == "optimiser" or refused) and not (
        shared and read.label.space.name == "constant"
    )
