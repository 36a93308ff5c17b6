"""Which variable's value enters which other one, statement by statement, channel by channel."""

from __future__ import annotations

from netdsl.dataflow.walk import VALUES, Flow, walk_network
from netdsl.ir.expr import Expr, Reduce, Ref, refs, walk
from netdsl.ir.network import Kind, Network, Place, Type, Variable


def value_flows(network: Network) -> tuple[Flow, ...]:
    """Every flow into a variable except into learned weights; what cells start with comes last.

    What a weight starts with or has learned carries no taint further.
    """
    found = [
        flow
        for flow in walk_network(network)
        if flow.kind in VALUES and (flow.kind != "initial" or flow.owner in network.populations)
    ]
    return tuple(sorted(found, key=lambda flow: flow.kind == "initial"))


class FlowGraph:
    """The flows of a network, by target and by source, with the network's variable table."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.flows = value_flows(network)
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
        return variable is not None and variable.place in (Place.SYNAPSE, Place.ROW_SYNAPSE)

    def is_shared(self, path: str) -> bool:
        """Counters, controls, global states, folded parameters: one known number everywhere."""
        variable = self.variable(path)
        if variable is None:
            return not path.startswith("sample.")
        return variable.kind in (Kind.COUNTER, Kind.CONTROL, Kind.GLOBAL) or (
            variable.kind is Kind.PARAM and variable.place is Place.GLOBAL
        )

    def is_table(self, path: str) -> bool:
        """Whether a variable is one place of a table that follows weights."""
        variable = self.variable(path)
        return variable is not None and variable.kind is Kind.TABLE

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
        """Whether an expression reads nothing but flags of samples and shared numbers."""
        return all(self.is_flag(ref.path) or self.is_shared(ref.path) for ref in refs(expr))

    def is_flag(self, path: str) -> bool:
        """Whether a sample field is a yes or no, whose sum over samples is a count."""
        variable = self.variable(path)
        return self.is_sample_field(path) and variable is not None and variable.type is Type.BOOL

    def own_expressions(
        self, path: str, through: frozenset[Kind] = frozenset({Kind.LET, Kind.DEF})
    ) -> tuple[Expr, ...]:
        """A variable's own definition: what its statements read, with `let`s and `def`s inlined.

        `through`: the kinds of variables that are looked into.
        """
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
                waiting.extend(r.path for r in flow.sources if self._is(r.path, through))
        return tuple(found)

    def _is(self, path: str, kinds: frozenset[Kind]) -> bool:
        variable = self.variable(path)
        return variable is not None and variable.kind in kinds


def reductions(expr: Expr) -> tuple[Reduce, ...]:
    """Reductions over neurons (not over samples, slots, steps or afferents) in an expression."""
    return tuple(
        node
        for node in walk(expr)
        if isinstance(node, Reduce)
        and node.axis not in ("batch", "pre")
        and node.over_phase is None
        and node.over_slots is None
    )
