"""Which variable's value enters which other one, statement by statement, channel by channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from netdsl.diagnostics.span import Span
from netdsl.ir import protocol as proto
from netdsl.ir.expr import Expr, Reduce, Ref, refs, span_of, walk
from netdsl.ir.network import (
    Assign,
    Draw,
    DrawAssign,
    Integrate,
    Kind,
    Network,
    Place,
    Spike,
    Statement,
    Variable,
)


@dataclass(frozen=True)
class Flow:
    """The values `sources` enter `target`; `channel` is the projection that carries them.

    `kind`: statement | initial | def | deliver | modulator | clamp | set. `expr` is what is read.
    """

    target: str
    expr: Expr
    kind: str
    channel: str | None = None
    span: Span | None = None

    @cached_property
    def sources(self) -> tuple[Ref, ...]:
        """The reads of the expression."""
        return refs(self.expr)


def statement_flows(statement: Statement) -> Iterator[tuple[str, Expr, Span | None]]:
    """(target, expression, span) of each value that a statement of a body assigns."""
    if isinstance(statement, Assign):
        yield statement.target, statement.value, statement.span
    elif isinstance(statement, Spike):
        yield statement.target, statement.condition, statement.span
    elif isinstance(statement, DrawAssign):
        for argument in statement.draw.args:
            yield statement.target, argument, statement.span
    elif isinstance(statement, Integrate):
        for target, rate in statement.equations:
            yield target, rate, span_of(rate) or statement.span


def population_flows(network: Network) -> Iterator[Flow]:
    """Bodies, `on phase` actions and definitions of all populations."""
    for population in network.populations.values():
        for statement in (*population.body, *population.on_phase):
            for target, value, span in statement_flows(statement):
                yield Flow(target, value, "statement", None, span)
        yield from _definitions(population.variables.values())


def _definitions(variables: Iterable[Variable]) -> Iterator[Flow]:
    for variable in variables:
        if variable.definition is not None:
            yield Flow(variable.path, variable.definition, "def", None, variable.span)


def _projection_flows(network: Network) -> Iterator[Flow]:
    for projection in network.projections.values():
        for deliver in projection.delivers:
            span = deliver.span or projection.span
            yield Flow(deliver.input, deliver.value, "deliver", projection.name, span)
        yield from _definitions(projection.variables.values())


def _protocol_flows(network: Network) -> Iterator[Flow]:
    for protocol in network.protocols.values():
        for step in proto.steps_of(protocol.body):
            if isinstance(step, proto.Clamp):
                yield Flow(step.target, step.value, "clamp", None, step.span)
            elif isinstance(step, proto.SetState | proto.SetGlobal):
                yield Flow(step.target, step.value, "set", None, step.span)


def _parameter_flows(network: Network) -> Iterator[Flow]:
    # `state thr = thr0`: parameters of a neuron enter its states; a draw enters by its arguments.
    for population in network.populations.values():
        for variable in population.variables.values():
            values = variable.init.args if isinstance(variable.init, Draw) else (variable.init,)
            for value in values:
                if value is not None:
                    yield Flow(variable.path, value, "initial", None, variable.span)


def all_flows(network: Network) -> tuple[Flow, ...]:
    """Every flow of the network except into learned weights.

    What a weight has learned carries no taint further, so rules are not flows.
    """
    modulators = (Flow(m.variable, m.emit, "modulator", None, m.span) for m in network.modulators)
    return (
        *population_flows(network),
        *_projection_flows(network),
        *modulators,
        *_protocol_flows(network),
        *_parameter_flows(network),
    )


class FlowGraph:
    """The flows of a network, by target and by source, with the network's variable table."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.flows = all_flows(network)
        self.into: dict[str, list[Flow]] = {}
        self.out_of: dict[str, list[Flow]] = {}
        for flow in self.flows:
            self.into.setdefault(flow.target, []).append(flow)
            for path in dict.fromkeys(source.path for source in flow.sources):
                self.out_of.setdefault(path, []).append(flow)

    def variable(self, path: str) -> Variable | None:
        """A declared variable, None for a name that is not in the table."""
        return self.network.table.get(path)

    def owner(self, path: str) -> str:
        """Population or projection that a variable belongs to; "" for network-wide ones."""
        variable = self.variable(path)
        return variable.owner if variable is not None else ""

    def is_synaptic(self, path: str) -> bool:
        """Whether a variable has one value per synapse."""
        variable = self.variable(path)
        return variable is not None and variable.place is Place.SYNAPSE

    def is_shared(self, path: str) -> bool:
        """Counters, controls, global states, folded parameters: one known number everywhere."""
        variable = self.variable(path)
        if variable is None:
            return not path.startswith("sample.")
        return variable.kind in (Kind.COUNTER, Kind.CONTROL, Kind.GLOBAL) or (
            variable.kind is Kind.PARAM and variable.place is Place.GLOBAL
        )

    def is_sample_field(self, path: str) -> bool:
        """`sample.NAME`."""
        variable = self.variable(path)
        return path.startswith("sample.") or (variable is not None and variable.kind is Kind.SAMPLE)

    def counts_samples(self, expr: Expr) -> bool:
        """Whether an expression holds `batch.rows` or a batch reduction of sample fields."""
        return any(
            (isinstance(node, Ref) and node.path == "batch.rows")
            or (isinstance(node, Reduce) and node.axis == "batch" and self.only_flags(node.body))
            for node in walk(expr)
        )

    def only_flags(self, expr: Expr) -> bool:
        """Whether an expression reads nothing but sample fields and shared numbers."""
        return all(self.is_sample_field(ref.path) or self.is_shared(ref.path) for ref in refs(expr))

    def own_expressions(self, path: str) -> tuple[Expr, ...]:
        """A variable's own definition: what its statements read, with `let`s and `def`s inlined."""
        found: list[Expr] = []
        seen: set[str] = set()
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            for flow in self.into.get(current, ()):
                if flow.kind in ("deliver", "clamp", "set", "initial"):
                    continue
                found.append(flow.expr)
                waiting.extend(ref.path for ref in flow.sources if self._inlined(ref.path))
        return tuple(found)

    def _inlined(self, path: str) -> bool:
        variable = self.variable(path)
        return variable is not None and variable.kind in (Kind.LET, Kind.DEF)


def reductions(expr: Expr) -> tuple[Reduce, ...]:
    """Reductions over neurons (not over samples, steps or afferents) in an expression."""
    return tuple(
        node
        for node in walk(expr)
        if isinstance(node, Reduce)
        and node.axis not in ("batch", "pre")
        and node.over_phase is None
    )
