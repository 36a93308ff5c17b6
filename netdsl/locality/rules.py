"""The label of a learning rule: the join over everything it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netdsl.dataflow.derivatives import coefficient_reads
from netdsl.dataflow.flow import FlowGraph, reductions
from netdsl.dataflow.walk import Flow, walk_rule
from netdsl.ir.expr import Reduce, Ref, refs, span_of, walk
from netdsl.ir.network import Kind, Projection, Rule, Spike
from netdsl.locality.addressing import addressed
from netdsl.locality.channels import channel_notes
from netdsl.locality.decisions import Decision
from netdsl.locality.gathering import gathered
from netdsl.locality.kernels import shared_kernel
from netdsl.locality.labels import (
    SAMPLE,
    SPACE,
    Label,
    Level,
    join_all,
    narrower,
    verdict,
)
from netdsl.locality.phases import phase_level
from netdsl.locality.provenance import AGGREGATED, CROSS_SAMPLE, TRANSPORT, Provenance
from netdsl.locality.reads import Read, Reader, Violation, line_of
from netdsl.locality.rewiring import rewiring_notes


@dataclass(frozen=True)
class RuleFinding:
    """What was found out about one rule on one projection."""

    rule: Rule
    projection: Projection
    label: Label
    scope: str
    verdict: str
    reads: tuple[Read, ...]
    violations: tuple[Violation, ...]
    witness: tuple[str, ...]
    notes: tuple[str, ...]


def analyse_rule(
    graph: FlowGraph,
    provenance: Provenance,
    projection: Projection,
    rule: Rule,
    decisions: tuple[Decision, ...] = (),
) -> RuleFinding:
    """Label one rule: reads, reductions inside it, batch reduction, phases, and the verdict."""
    reader = Reader(graph, provenance, projection, rule)
    flows = tuple(flow for flow in walk_rule(rule) if flow.section != "expect")  # enters nothing
    reads = tuple(reader.read(ref, flow.section) for flow in flows for ref in flow.sources)
    reads += tuple(_coefficients(graph, projection, rule, reader))
    reads += tuple(_replaced(provenance, projection, reader))
    label = join_all(read.label for read in reads)
    violations = [v for read in reads for v in read.violations]
    for found, violation in _inner_reductions(graph, projection, rule, flows):
        label = label.join(found)
        violations += [violation] if violation is not None else []
    shared = shared_kernel(projection, rule)
    if shared is not None:
        label, violations = label.join(shared[0]), [*violations, shared[1]]
    label = label.join(Label(sample=Level("batch-reduced")))
    phase = phase_level(graph, projection, rule, (flow.expr for flow in flows))
    label = label.join(Label(phase=phase))
    if rule.loss is not None:
        derivative = _derivative(graph, projection, rule)
        label, violations = label.join(derivative[0]), [*violations, derivative[1]]
        reads = (*_loss_reads(graph, rule), *reads)
    scope = addressed(graph, flows)
    for decision in decisions:
        label, scope = label.join(decision.label), narrower(scope, "global")
        violations += decision.violations(rule.name, projection.name)
    for read in reads:
        scope = narrower(scope, read.scope)
    result = verdict(label)
    return RuleFinding(
        rule,
        projection,
        label,
        scope,
        result,
        reads,
        tuple(violations),
        _witness(projection, rule, label, result, reads, violations),
        (*_notes(graph, provenance, projection, reads), *(d.note for d in decisions)),
    )


def _coefficients(
    graph: FlowGraph, projection: Projection, rule: Rule, reader: Reader
) -> Iterator[Read]:
    """What the unit knows besides the variable that is differentiated, and has not for itself."""
    post = graph.network.populations[projection.post]
    for eligibility in rule.eligibilities:
        for ref in coefficient_reads(post, eligibility):
            read = reader.read(ref, "statement")
            own = SPACE.rank(read.label.space) <= SPACE.rank(Level("post"))
            if not own or read.violations or read.label.sample != SAMPLE.best:
                yield read


def _replaced(provenance: Provenance, projection: Projection, reader: Reader) -> Iterator[Read]:
    """What is learnt on weights that a protocol replaces by others goes on from those."""
    weight = projection.weight or ""
    if provenance.at(weight, TRANSPORT):
        at = projection.variables[weight].span if weight in projection.variables else None
        yield reader.read(Ref(weight, "synapse", span=at), "dw")


def _inner_reductions(
    graph: FlowGraph, projection: Projection, rule: Rule, flows: Iterable[Flow]
) -> Iterator[tuple[Label, Violation | None]]:
    for flow in flows:
        for node in walk(flow.expr):
            if isinstance(node, Reduce):
                yield _reduced(graph, projection, rule, flow, node)


def _reduced(
    graph: FlowGraph, projection: Projection, rule: Rule, flow: Flow, node: Reduce
) -> tuple[Label, Violation | None]:
    span = span_of(node) or rule.span
    names = (rule.name, projection.name)
    head = f"rule `{rule.name}`"
    gradient = rule.optimiser.gradient if rule.optimiser is not None else None
    if any(graph.is_synaptic(ref.path) or ref.path == gradient for ref in refs(node.body)):
        text = f"{head} reduces over the weights of other synapses"
        path = (f"{line_of(span)}: {text}",)
        return Label(space=Level(AGGREGATED)), Violation(
            AGGREGATED, "E0311", text, span, names, path=path
        )
    if node.axis == "batch":
        shared = flow.section in ("optimiser", "after update")  # where a weight changes for all
        data = all(graph.is_sample_field(r.path) or graph.is_shared(r.path) for r in refs(node))
        if graph.only_flags(node.body) or (shared and data):
            return Label(sample=Level("batch-size-dependent")), None
        text = f"{head} reduces over the rows of the batch inside its term"
        path = (f"{line_of(span)}: {text}",)
        return Label(sample=Level(CROSS_SAMPLE)), Violation(
            CROSS_SAMPLE, "E0310", text, span, names, path=path
        )
    if node.axis == "pre" or reductions(Reduce(node.kind, node.axis, node.body)):
        text = f"{head} reduces over neurons, which one synapse cannot see"
        help = "declare a modulator that holds the reduction, and read the modulator"
        return Label(space=Level("non-local")), Violation(
            "non-local",
            "E0304",
            text,
            span,
            names,
            waivable=False,
            help=help,
            path=(f"{line_of(span)}: {text}",),
            note="a sum over other synapses' units",
        )
    return Label(), None


def _derivative(graph: FlowGraph, projection: Projection, rule: Rule) -> tuple[Label, Violation]:
    label = Label(
        Level("non-local"), Level("non-causal"), Level("batch-reduced"), Level("derivative")
    )
    at = rule.learn_span or projection.span
    loss = graph.network.losses.get(rule.loss or "")
    defined = loss.span if loss is not None else None
    chain = (
        f"{line_of(at)}: its derivative reaches `{projection.name}` through the weights and "
        "states of every unit in between, from later steps to earlier ones"
    )
    path = (f"{line_of(defined)}: loss `{rule.loss}`", chain)
    text = (
        f"`{projection.name}` learns by the derivative of `{rule.loss}` through other units: "
        "non-local"
    )
    help = (
        f'if it is meant as a reference, write `allow non_local on {projection.name} because "…"`'
    )
    names = (rule.name, projection.name, rule.loss or "")
    return label, Violation("non-local", "E0314", text, at, names, path=path, help=help)


def _loss_reads(graph: FlowGraph, rule: Rule) -> tuple[Read, ...]:
    name = rule.loss or ""
    loss = graph.network.losses.get(name)
    ref = Ref(name, "own", span=loss.span if loss is not None else rule.learn_span)
    label = Label(Level("non-local"), Level("non-causal"), phase=Level("derivative"))
    return (Read(name, ref, "dw", label),)


def _witness(
    projection: Projection,
    rule: Rule,
    label: Label,
    result: str,
    reads: tuple[Read, ...],
    violations: list[Violation],
) -> tuple[str, ...]:
    paths = [violation.path for violation in violations if violation.level == result]
    if paths:
        return min(paths, key=len)
    if result == "local":
        return ()
    for read in reads:
        if SPACE.rank(read.label.space) == SPACE.rank(label.space):
            at = f"{line_of(read.ref.span)}: rule `{rule.name}` on `{projection.name}` reads "
            return (*read.path, f"{at}`{read.name}`")
    return ()


def _kept(projection: Projection) -> Iterator[str]:
    """What the rule keeps from step to step."""
    rule = projection.rule
    if rule is None:
        return
    kept = [f"`{v.name}`" for v in rule.variables.values() if v.kind is Kind.STATE]
    for each in rule.eligibilities:
        of = each.target.rsplit(".", 1)[-1]
        kept.append(f"the eligibility `{each.variable.rsplit('.', 1)[-1]}` of `post.{of}`")
    if kept:
        yield f"kept from step to step for each synapse and sample: {', '.join(gathered(kept))}"


def _spikes(graph: FlowGraph, projection: Projection) -> Iterator[str]:
    """Spikes on the way from a projection that learns by a derivative, which hand none on."""
    if projection.rule is None or projection.rule.loss is None:
        return
    reached = [projection.post]
    for name in reached:  # grows
        onto = (p.post for p in graph.network.projections.values() if p.pre == name)
        reached += [post for post in dict.fromkeys(onto) if post not in reached]
        for each in graph.network.populations[name].body:
            if isinstance(each, Spike) and each.surrogate is None:
                yield (
                    f"no derivative goes through the spike `{each.target}` ({line_of(each.span)}): "
                    "it has no surrogate"
                )


def _notes(
    graph: FlowGraph, provenance: Provenance, projection: Projection, reads: tuple[Read, ...]
) -> tuple[str, ...]:
    notes: dict[str, None] = dict.fromkeys(_kept(projection))
    for note in channel_notes(graph, provenance, projection, reads):
        notes[note] = None
    reduced: dict[str, dict[str, None]] = {}
    for read in reads:
        for reduction in read.reductions:
            reduced.setdefault(reduction, {})[f"`{read.name.split('@')[0]}`"] = None
    for reduction, names in reduced.items():
        notes[f"behind {', '.join(gathered(names))}: {reduction}"] = None
    for note in (*rewiring_notes(graph.network, projection), *_spikes(graph, projection)):
        notes[note] = None
    windows = projection.connectivity.windows
    if windows is not None and windows.positions > 1:
        note = f"weight sharing: one kernel for {windows.positions} positions, its change their sum"
        notes[note] = None
    return tuple(gathered(notes))
