"""Taints: where values come from that no local channel may carry, and how far they spread.

A taint starts at a declaration (a transposed projection, a reduction over the batch) and follows
the data flow, variable by variable. Transported and aggregated weights and cross-sample taints go
through everything; counts of samples and reductions over a population end at the next projection,
whose target makes them its own state (reference, section 7, space 1 and 3a).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.dataflow.derivatives import moves
from netdsl.dataflow.flow import FlowGraph, reductions
from netdsl.dataflow.slots import ANY, slots_read
from netdsl.dataflow.walk import Flow, walk_network
from netdsl.diagnostics.span import Span
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Reduce, Ref, refs, span_of, walk
from netdsl.ir.network import Draw, Network, Place, Projection
from netdsl.ir.protocol import (
    Choose,
    Each,
    Evaluate,
    Repeat,
    RunPhase,
    RunProtocol,
    SetState,
    Update,
    steps_of,
)

TRANSPORT = "weight-transport"
CROSS_SAMPLE = "cross-sample"
AGGREGATED = "aggregated-weights"
COUNT = "batch-size-dependent"
WINDOW = "window"
REDUCTION = "reduction"
STOPPED_BY_CHANNELS = frozenset({COUNT, REDUCTION})


@dataclass(frozen=True)
class Taint:
    """One origin: `kind`, the declaration it starts at, and why in words.

    `seeds` are the variables tainted directly; `origin` is the name a waiver may give. A projection
    that reads seeds of a `retold` one has a taint of its own. `number`: of slots, of a window.
    """

    kind: str
    origin: str
    why: str
    seeds: tuple[str, ...]
    span: Span | None = None
    retold: bool = False
    number: int | None = None


@dataclass(frozen=True)
class Arrival:
    """A taint at a variable, with the flows that brought it there, first to last."""

    taint: Taint
    path: tuple[Flow, ...]


class Provenance:
    """All taints of a network and where they arrive."""

    def __init__(self, graph: FlowGraph) -> None:
        self.graph = graph
        self.equal_starts = tuple(equal_starts(graph.network))
        self.taints = tuple(_taints(graph))
        self._at: dict[str, list[Arrival]] = {}
        for taint in self.taints:
            for variable, path in spread(graph, taint):
                self._at.setdefault(variable, []).append(Arrival(taint, path))

    def at(self, path: str, kind: str | None = None) -> tuple[Arrival, ...]:
        """The taints (of one kind) that a variable's value carries."""
        found = self._at.get(path, [])
        return tuple(a for a in found if kind is None or a.taint.kind == kind)

    def channels(self, path: str) -> tuple[str, ...]:
        """Projections whose deliveries reach a variable without passing another projection."""
        found: dict[str, None] = {}
        seen = {path}
        waiting = deque([path])
        while waiting:
            for flow in self.graph.into.get(waiting.popleft(), ()):
                if flow.channel is not None:
                    found[flow.channel] = None
                    continue
                new = {ref.path for ref in flow.sources} - seen
                seen |= new
                waiting.extend(sorted(new))
        return tuple(found)


def spread(graph: FlowGraph, taint: Taint) -> Iterator[tuple[str, tuple[Flow, ...]]]:
    """Every variable a taint reaches, with a shortest path of flows from its origin."""
    reached: dict[str, tuple[Flow, ...]] = dict.fromkeys(taint.seeds, ())
    waiting = deque(taint.seeds)
    while waiting:
        source = waiting.popleft()
        for flow in graph.out_of.get(source, ()):
            if flow.target in reached or _stops(taint, flow):
                continue
            reached[flow.target] = (*reached[source], flow)
            waiting.append(flow.target)
    yield from reached.items()


def _stops(taint: Taint, flow: Flow) -> bool:
    if taint.retold and flow.kind == "deliver":
        return any(ref.path in taint.seeds for ref in flow.sources)
    return flow.kind == "deliver" and taint.kind in STOPPED_BY_CHANNELS


def _taints(graph: FlowGraph) -> Iterator[Taint]:
    yield from _transposes(graph.network)
    yield from _tables(graph.network)
    for flow in graph.flows:
        if flow.channel is not None:
            yield from _delivery(graph, graph.network.projections[flow.channel], flow)
    yield from _copies(graph)
    yield from _starts(graph.network)
    yield from _slots(graph)
    for flow in graph.flows:
        yield from _reductions(graph, flow)


def _slots(graph: FlowGraph) -> Iterator[Taint]:
    """Other slots of a memory, and other rows, by what reads them."""
    found: dict[str, list[Flow]] = {}
    for flow in graph.flows:
        for name in slots_read(flow.expr):
            found.setdefault(name, []).append(flow)
    memories = graph.network.memories
    replays = [name for name, memory in memories.items() if memory.kind == "replay"]
    for flow in found.pop(ANY, ()):
        for name in replays:
            found.setdefault(name, []).append(flow)
    for name, flows in found.items():
        seeds = tuple(dict.fromkeys(flow.target for flow in flows))
        span, memory = flows[0].span, memories.get(name)
        who = " and ".join(dict.fromkeys(f"`{seed.partition('.')[0]}`" for seed in seeds))
        if memory is None:
            origin = seeds[0].partition(".")[0]
            yield Taint(CROSS_SAMPLE, origin, f"{who}: other rows are read", seeds, span)
        elif memory.kind == "replay":
            why = f"{who}: other slots of `{name}`, which runs stored samples again, are read"
            yield Taint(CROSS_SAMPLE, name, why, seeds, span)
        else:
            why = f"{who}: what `{name}` has stored of {memory.size} samples is read"
            yield Taint(WINDOW, name, why, seeds, span, number=memory.size)


def _targets(projection: Projection) -> tuple[str, ...]:
    return tuple(dict.fromkeys(deliver.input for deliver in projection.delivers))


def _transposes(network: Network) -> Iterator[Taint]:
    for projection in network.projections.values():
        source = projection.transpose_of
        if source is None:
            owner = network.table.get(projection.weight or "")
            tied = owner is not None and owner.owner not in ("", projection.name)
            source = owner.owner if tied and owner is not None else None
            word = "shares the weights"
        else:
            word = "is the transpose"
        if source is not None:
            why = f"projection `{projection.name}` {word} of `{source}`"
            seeds = _targets(projection)
            yield Taint(TRANSPORT, projection.name, why, seeds, projection.span)


def _tables(network: Network) -> Iterator[Taint]:
    """Means over weights: no projection that relays one makes it anybody's own."""
    for table in network.tables.values():
        why = f"the table `{table.name}` holds means of the weights of `{table.projection}`"
        seeds = tuple(block.path for block in table.blocks)
        yield Taint(AGGREGATED, table.name, why, seeds, table.span, retold=True)


def _delivery(graph: FlowGraph, projection: Projection, flow: Flow) -> Iterator[Taint]:
    name, span = projection.name, flow.span
    own = {projection.name, graph.owner(projection.weight or "")}
    for ref in flow.sources:
        if graph.is_synaptic(ref.path) and graph.owner(ref.path) not in own:
            why = f"projection `{name}` delivers `{ref.path}`, a weight of other synapses"
            yield Taint(TRANSPORT, name, why, (flow.target,), ref.span or span)
    for table in graph.network.tables.values():
        if any(ref.path == block.path for block in table.blocks for ref in flow.sources):
            why = f"projection `{name}` delivers means of the weights of `{table.projection}`"
            yield Taint(AGGREGATED, name, why, (flow.target,), span)
    if not any(_weight_without_pre(graph, term) for term in terms(flow.expr)):
        return
    backwards = graph.owner(flow.target) == projection.pre != projection.post
    if backwards:
        why = f"projection `{name}` delivers backwards through its own synapses"
        yield Taint(TRANSPORT, name, why, (flow.target,), span)
    else:
        why = f"`{flow.target}` sums weights of `{name}` without a factor that `pre.` changes"
        yield Taint(AGGREGATED, name, why, (flow.target,), span)


def _weight_without_pre(graph: FlowGraph, term: Expr) -> bool:
    found = refs(term)
    sent = dict.fromkeys(ref.path for ref in found if ref.side == "pre")
    weighs = any(graph.is_synaptic(ref.path) for ref in found) and simplify(term) != Const(0.0)
    return weighs and not any(moves(term, path) for path in sent)


def terms(expr: Expr) -> tuple[Expr, ...]:
    """The additive terms of an expression, products over sums multiplied out."""
    if not isinstance(expr, Apply):
        return (expr,)
    if expr.function in ("add", "sub"):
        return terms(expr.args[0]) + terms(expr.args[1])
    if expr.function == "neg":
        return terms(expr.args[0])
    if expr.function == "mul":
        left, right = terms(expr.args[0]), terms(expr.args[1])
        return tuple(Apply("mul", (a, b), expr.span) for a in left for b in right)
    if expr.function == "div":
        return tuple(Apply("div", (a, expr.args[1]), expr.span) for a in terms(expr.args[0]))
    return (expr,)


def _copies(graph: FlowGraph) -> Iterator[Taint]:
    starts = {id(step) for step in before_learning(graph.network)}
    for flow in graph.flows:
        projection = graph.network.projections.get(flow.target.split(".", 1)[0])
        if projection is None or not isinstance(flow.node, SetState) or id(flow.node) in starts:
            continue
        for source in _foreign_weights(graph.network, projection, flow):
            why = f"the weights of `{projection.name}` are copied from `{source.path}`"
            at = source.span or flow.span
            seeds = (flow.target, *_targets(projection))  # what reads the weight reads the copy
            yield Taint(TRANSPORT, projection.name, why, seeds, at)


def _foreign_weights(network: Network, projection: Projection, flow: Flow) -> tuple[Ref, ...]:
    table = network.table
    return tuple(
        ref
        for ref in flow.sources
        if ref.path in table
        and table[ref.path].place is Place.SYNAPSE
        and table[ref.path].owner != projection.name
    )


def _starts(network: Network) -> Iterator[Taint]:
    # Equal starts: a copy at build stays one only if nothing changes either side afterwards.
    for projection, source in equal_starts(network):
        other = network.projections.get(source.path.split(".", 1)[0])
        if projection.rule is None and (other is None or other.rule is None):
            why = f"the fixed weights of `{projection.name}` are those of `{source.path}`"
            span = source.span or projection.span
            yield Taint(TRANSPORT, projection.name, why, _targets(projection), span)
    for projection, twin, array in same_arrays(network):
        if projection.rule is None and twin.rule is None:
            why = f"the fixed weights of `{projection.name}` are those of `{twin.name}` (`{array}`)"
            yield Taint(TRANSPORT, projection.name, why, _targets(projection), projection.span)


def same_arrays(network: Network) -> Iterator[tuple[Projection, Projection, str]]:
    """Pairs of projections whose weights begin with one array of a file, and its name."""
    begun: dict[str, list[Projection]] = {}
    for projection in network.projections.values():
        variable = projection.variables.get(projection.weight or "")
        init = variable.init if variable is not None else None
        if isinstance(init, Draw) and init.distribution == "array":
            for other in begun.setdefault(init.stream, []):
                yield projection, other, init.stream
            begun[init.stream].append(projection)


def equal_starts(network: Network) -> Iterator[tuple[Projection, Ref]]:
    """Projections whose initial weights read another projection's, with the read.

    So do those that a protocol sets once, before anything learns.
    """
    starts = {id(step) for step in before_learning(network)}
    for flow in walk_network(network):
        projection = network.projections.get(flow.target.split(".", 1)[0])
        if projection is not None and (flow.kind == "initial" or id(flow.node) in starts):
            for source in _foreign_weights(network, projection, flow):
                yield projection, source


def before_learning(network: Network) -> Iterator[SetState]:
    """Assignments that a protocol makes once, before its first loop, choice or learning step."""
    protocols = network.protocols.values()
    evaluated = {
        step.protocol
        for protocol in protocols
        for step in steps_of(protocol.body)
        if isinstance(step, Evaluate | RunProtocol)
    }
    for protocol in protocols:
        if protocol.name in evaluated:  # as often as that is asked for, or after what learns
            continue
        for step in protocol.body:
            learns = isinstance(step, RunPhase) and bool(step.learning)
            if learns or isinstance(step, Each | Repeat | Choose | RunProtocol | Update):
                break
            if isinstance(step, SetState):
                yield step


def _reductions(graph: FlowGraph, flow: Flow) -> Iterator[Taint]:
    if graph.is_shared(flow.target) or graph.is_table(flow.target):
        return  # tables have taints of their own, data in controls and global states an error
    where = flow.span
    for node in walk(flow.expr):
        if not isinstance(node, Reduce):
            continue
        span = span_of(node) or where
        if any(graph.is_synaptic(ref.path) for ref in refs(node.body)):
            why = f"`{flow.target}` reduces over weights"
            yield Taint(AGGREGATED, flow.target, why, (flow.target,), span)
        elif node.axis == "batch" and not graph.only_flags(node.body):
            why = f"`{flow.target}` reduces over the rows of the batch"
            yield Taint(CROSS_SAMPLE, flow.target, why, (flow.target,), span)
    if graph.counts_samples(flow.expr):
        why = f"`{flow.target}` holds a count of samples"
        yield Taint(COUNT, flow.target, why, (flow.target,), where)
    for node in reductions(flow.expr):
        over = "the population" if node.axis == "population" else node.axis
        why = f"`{flow.target}` holds a {node.kind} over {over}"
        yield Taint(REDUCTION, flow.target, why, (flow.target,), span_of(node) or where)
