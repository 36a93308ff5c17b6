"""What a rule reads at a synapse, and the factors that its change is summed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import PREV, Apply, Const, Expr, Load, Local, Reduce, Ref, transform
from netdsl.ir.network import Kind, Place, Projection, Rule
from netdsl.ir.program import Elementwise, Op, Product, Store, Sum
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.resolve import variable_buffer
from netdsl.passes.lower.strength import spread

Read = Callable[[str, Expr, int], tuple[list[Op], Expr]]  # population, expression, delay
GRADIENT, DECREMENT, BEFORE, PART = "g", "d", "w_before", "g_once"


@dataclass
class Factors:
    """Factor buffers of one routine: equal factors of equal populations are computed once."""

    context: Context
    ops: list[Op] = field(default_factory=list)
    _known: dict[tuple[str, Expr], str] = field(default_factory=dict)

    def buffer(self, population: str, value: Expr, label: str) -> str:
        """A UNIT buffer of the population that holds `value`."""
        held = self.context.buffers
        if isinstance(value, Load) and held[value.buffer].place is Place.UNIT:
            return value.buffer
        key = (population, value)
        if key not in self._known:
            name = self.context.scratch(f"{population}.factor", Place.UNIT, population, label)
            self._known[key] = name
            self.ops.append(Elementwise(population, (Store(name, value),), label=name))
        return self._known[key]


@dataclass
class SynapseReads:
    """Reads of one rule at its synapses; `read` resolves pre and post reads where it runs."""

    context: Context
    projection: Projection
    rule: Rule
    read: Read
    factors: Factors
    ops: list[Op] = field(default_factory=list)
    means: dict[str, Sum] = field(default_factory=dict)

    def _buffer(self, population: str, value: Expr | None) -> str | None:
        if value is None:
            return None
        self.factors.ops = []
        buffer = self.factors.buffer(population, value, f"factor of {self.rule.name}")
        self.ops += self.factors.ops
        return buffer

    def _at_synapse(self, expr: Expr, weight: Expr | None = None) -> Expr:
        """Reads at the synapse; `weight` is the value that the weight has by now."""

        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Reduce):
                return self._reduced(node)
            if not isinstance(node, Ref):
                return None
            if node.path == self._gradient_path():
                return Local(GRADIENT)
            if node.path == self.projection.weight:
                if node.time == PREV:
                    return Local(BEFORE)
                return weight if weight is not None else self._shared(node)
            return self._shared(node)

        return simplify(transform(expr, visit))

    def _reduced(self, node: Reduce) -> Expr:
        """A batch reduction of sample fields; no other synapse is seen here."""
        if node.axis != "batch":
            raise LoweringError(
                "E0117",
                f"a {node.kind} over other synapses or units has no value for one synapse",
                node.span,
                "a modulator can reduce over its population",
            )
        ops, value = self.read(self.projection.post, node, 0)
        self.ops += ops
        return value

    def _shared(self, node: Ref) -> Expr:
        """A number of the synapse, or one that all share; of a modulator the mean over the batch,
        as a weight changes once for all samples."""
        variable = self.context.variable(node.path)
        if variable.kind is Kind.SAMPLE:
            raise LoweringError(
                "E0117",
                f"`{node.path}` differs between samples, and a weight changes once for all",
                node.span,
                f"reduce it, as in `mean({node.path} over batch)`, or put the factor into `dw`",
            )
        if variable.place is Place.NEURON and node.side in ("pre", "post"):
            held = variable_buffer(self.context, variable)
            name, ops = spread(self.context, self.projection.name, held, node.side)
            self.ops += [op for op in ops if op not in self.ops]
            return Load(name, node.span)
        if variable.place not in (Place.ROW, Place.UNIT):
            return Load(variable_buffer(self.context, variable), node.span)
        if node.path not in self.means:
            _, value = self.read(self.projection.post, node, 0)
            share = Apply("div", (Const(1.0), Load(self._samples())))
            product = Product(None, self._buffer(self.projection.post, value), share)
            self.means[node.path] = Sum(f"m{len(self.means)}", (product,))
        return Local(self.means[node.path].name)

    def _samples(self) -> str:
        return self.context.need(
            "batch.rows", Place.GLOBAL, "", "counter", "samples present", tag=""
        )

    def _gradient_path(self) -> str:
        optimiser = self.rule.optimiser
        return optimiser.gradient if optimiser is not None else ""


def complement(expr: Expr | None) -> Expr | None:
    """`s` when `expr` is `1 - s`."""
    if isinstance(expr, Apply) and expr.function == "sub" and expr.args[0] == Const(1.0):
        return expr.args[1]
    return None
