"""Learning rules as one pass over the synapses of a projection.

The change of a rule is a batch sum of products of a presynaptic and a postsynaptic factor, each
weighted per synapse: it becomes `Product`s of two UNIT buffers. What follows (optimiser,
`subtract`, `after update`, `bound`) are statements of the same pass, in the order that the
language fixes: optimise and add, subtract, after update, bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.diagnostics.span import Span
from netdsl.ir.algebra.factor import times
from netdsl.ir.expr import Apply, Const, Expr, Load, Local, Ref, span_of
from netdsl.ir.network import Kind, Optimiser, Place, Projection
from netdsl.ir.program import Bind, Key, Op, Product, Store, Sum, SynapseUpdate
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.mask import mask_of
from netdsl.passes.lower.resolve import variable_buffer
from netdsl.passes.lower.settle import Settle
from netdsl.passes.lower.sums import BatchSums
from netdsl.passes.lower.synapse import (
    BEFORE,
    DECREMENT,
    GRADIENT,
    PART,
    Factors,
    Read,
)
from netdsl.passes.lower.transposed import state_steps


@dataclass
class UpdateBuilder(BatchSums):
    """Builds the pass of one rule, once; `read` resolves pre and post reads where the rule runs."""

    def build(
        self, gradient: tuple[Product, ...] | None = None, more: Expr | None = None
    ) -> list[Op]:
        """Factor computations and the pass itself; `gradient` replaces the rule's own dw, and
        `more`, a number of the synapse, is added to it."""
        if self.projection.connectivity.kind == "one_to_one":
            raise LoweringError(
                "E0804",
                "a one_to_one projection cannot learn in this edition",
                self.rule.learn_span or self.rule.span,
                "make it `dense no_self` between other populations, or scale it in the cell",
            )
        if gradient is not None or more is not None:
            sums, binds = _given(gradient or (), more)
        else:
            assert self.rule.dw is not None
            sums, binds = self._summed(GRADIENT, (self.rule.dw,))
        if self.rule.subtract:
            more_sums, more_binds = self._summed(DECREMENT, self.rule.subtract)
            sums, binds = sums + more_sums, binds + more_binds
        statements = [*binds, *self._statements()]
        before, statements = self._optimiser_counts(statements)
        update = SynapseUpdate(
            self.projection.name,
            (*sums, *self.means.values()),
            tuple(statements),
            before=tuple(before),
            pre_slice=self.projection.pre_slice,
            post_slice=self.projection.post_slice,
            label=f"{self.projection.name} learns {self.rule.name}",
            span=self.rule.learn_span or self.rule.span,
        )
        return [*self.ops, update]

    # -- what follows the sum -----------------------------------------------------------------

    def _statements(self) -> list[Bind | Store]:
        rule, context = self.rule, self.context
        assert self.projection.weight is not None
        weight = variable_buffer(context, context.variable(self.projection.weight))
        statements: list[Bind | Store] = []
        path, owner = f"{self.projection.name}.dw", self.projection.name
        if Key(path) in context.observed:
            why = "reduced dw"
            observed = context.need(path, Place.SYNAPSE, owner, "observed", why, tag="")
            change_of_w = times(self._sign(), Local(GRADIENT))
            assert change_of_w is not None
            statements.append(Store(observed, change_of_w, rule.span))
        change, optimiser = self._change()
        statements += optimiser
        statements.append(Bind(BEFORE, Load(weight)))
        if self.projection.sign is not None:  # an absent synapse does not learn
            present = Apply("gt", (Local(BEFORE), Const(0.0)))
            change = Apply("select", (present, change, Const(0.0)))
        statements.append(Bind("w1", Apply("add", (Local(BEFORE), change)), rule.span))
        value: Expr = Local("w1")
        for number, (expr, span) in enumerate(self._tail(value), start=2):
            name = f"w{number}"
            statements.append(Bind(name, self._at_synapse(expr, Local(f"w{number - 1}")), span))
            value = Local(name)
        mask = mask_of(context, self.projection)
        if mask is not None:
            value = Apply("mul", (Load(mask), value))
        statements.append(Store(weight, value, rule.span))
        return statements

    def _tail(self, value: Expr) -> list[tuple[Expr, Span | None]]:
        """`subtract`, `after update` and `bound` as expressions over the weight so far."""
        rule = self.rule
        assert self.projection.weight is not None
        w = Ref(self.projection.weight, "synapse")
        tail: list[tuple[Expr, Span | None]] = []
        if rule.subtract:
            tail.append((Apply("sub", (w, Local(DECREMENT))), span_of(rule.subtract[0])))
        for assign in rule.after:
            tail.append((assign.value, assign.span))
        if rule.bound is not None:
            tail.append((Apply("clip", (w, *rule.bound)), rule.span))
        return tail

    def _change(self) -> tuple[Expr, list[Bind | Store]]:
        optimiser = self.rule.optimiser
        if optimiser is None:
            return Local(GRADIENT), []
        statements: list[Bind | Store] = []
        for assign in optimiser.statements:
            value = self._at_synapse(assign.value)
            if self._is_let(optimiser, assign.target):
                statements.append(Bind(assign.target, value, assign.span))
            else:
                target = variable_buffer(self.context, self.context.variable(assign.target))
                statements.append(Store(target, value, assign.span))
        return self._at_synapse(optimiser.change), statements

    def _is_let(self, optimiser: Optimiser, path: str) -> bool:
        return optimiser.variables[path].kind is Kind.LET

    def _optimiser_counts(
        self, statements: list[Bind | Store]
    ) -> tuple[list[Store], list[Bind | Store]]:
        """Separate the stores to per-projection numbers, which run once, ahead of the pass."""
        before: list[Store] = []
        rest: list[Bind | Store] = []
        for statement in statements:
            stored = self.context.buffers.get(statement.stores)
            if isinstance(statement, Store) and stored and stored.place is Place.GLOBAL:
                before.append(statement)
            else:
                rest.append(statement)
        return before, rest


def _given(gradient: tuple[Product, ...], more: Expr | None) -> tuple[list[Sum], list[Bind]]:
    """A gradient that others have found: products, and a number of the synapse."""
    if more is None:
        return [Sum(GRADIENT, gradient)], []
    if not gradient:
        return [], [Bind(GRADIENT, more)]
    total = Apply("add", (Local(PART), more))
    return [Sum(PART, gradient)], [Bind(GRADIENT, total)]


def step_learning(
    context: Context, projection: Projection, read: Read, factors: Factors
) -> list[Op]:
    """What a rule does at every step: its states advance, and where it has that clock it learns."""
    rule = projection.rule
    assert rule is not None
    advance = state_steps(context, projection, read, factors)
    if rule.clock != "step":
        return advance
    return advance + UpdateBuilder(context, projection, rule, read, factors).build()


def update_learning(
    context: Context, projection: Projection, settle: Settle, factors: Factors
) -> list[Op]:
    """The pass of a rule that runs at `update`: bare reads are settled."""
    rule = projection.rule
    assert rule is not None

    def read(population: str, expr: Expr, delay: int) -> tuple[list[Op], Expr]:
        settle.ops = []
        value = settle.value(population, expr)
        return settle.ops, value

    return UpdateBuilder(context, projection, rule, read, factors).build()


def together(ops: list[Op] | tuple[Op, ...]) -> tuple[Op, ...]:
    """Everything that reads weights first, then all weight changes."""

    def changes(op: Op) -> bool:
        return bool(getattr(op, "sums", ()))

    return (*(op for op in ops if not changes(op)), *(op for op in ops if changes(op)))
