"""The tail of an update: what follows the batch sum of a rule's `dw`."""

from __future__ import annotations

from netdsl.ir.expr import Expr, apply
from netdsl.ir.network import Assign, Optimiser, Place
from netdsl.sema.rules.optimisers import optimiser
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.synapses.synapses import AFTER, STEP_RULE, Ends, SynapseArguments, rescope
from netdsl.syntax import ast


class Tail:
    """Collects the tail of one rule, from its body and its projection's."""

    def __init__(self, context: Context, ends: Ends, projection: str) -> None:
        self.context, self.ends, self.projection = context, ends, projection
        self.clock = STEP_RULE
        self.subtract: list[Expr] = []
        self.after: list[Assign] = []
        self.bound: tuple[Expr, Expr] | None = None
        self.optimiser: Optimiser | None = None
        self.reduce = "sum"

    def run(self, body: list[ast.Statement], outer: Scope) -> None:
        """`optimise`, `subtract`, `after update`, `bound`, `reduce` of the rule or projection."""
        for node in body:
            if isinstance(node, ast.Optimise):
                self.optimise(node.optimiser, outer)
            elif isinstance(node, ast.Subtract):
                scope = rescope(outer, self.clock)
                self.subtract.append(expressions.translate(node.value, scope).expr)
            elif isinstance(node, ast.AfterUpdate):
                self._after(node.body, rescope(outer, AFTER))
            elif isinstance(node, ast.Bound):
                self._bound(node, rescope(outer, AFTER))
            elif isinstance(node, ast.Reduce):
                self._reduce(node)

    def optimise(self, node: ast.Expr, outer: Scope) -> None:
        if self.optimiser is not None:
            self.context.bag.error("E0102", "a rule has one optimiser", node.span)
            return
        assert self.ends.weight is not None and self.ends.weight_name is not None
        weight = (self.ends.weight_name, self.ends.weight)
        caller = rescope(outer, AFTER)
        self.optimiser = optimiser(node, caller, self.projection, weight)

    def _after(self, body: ast.Body, scope: Scope) -> None:
        for node in body:
            if isinstance(node, ast.WhenBody):
                found = expressions.constant(node.condition, scope, "the condition")
                if not found.bad:
                    self._after(self.context.choose(node, bool(found.constant)), scope)
            elif isinstance(node, ast.Let) and isinstance(scope, SynapseArguments):
                scope.arguments[node.name] = expressions.translate(node.value, scope)
            elif isinstance(node, ast.Assign):
                self._after_assign(node, scope)
            else:
                self.context.bag.error(
                    "E0104", "`after update` has assignments to the weight", node.span
                )

    def _after_assign(self, node: ast.Assign, scope: Scope) -> None:
        name = node.target.id if isinstance(node.target, ast.Name) else "?"
        value = expressions.translate(node.value, scope)
        if name not in self.ends.stored_names:
            known = self.ends.stored_names
            self.context.unknown("weight", name, node.target.span, known, "`after update`")
            return
        assert self.ends.weight is not None
        if not value.bad:
            self.after.append(Assign(self.ends.weight, value.expr, node.span))

    def _bound(self, node: ast.Bound, scope: Scope) -> None:
        if node.target.name not in self.ends.stored_names:
            known = self.ends.stored_names
            self.context.unknown("weight", node.target.name, node.target.span, known, "`bound`")
            return
        low = expressions.translate(node.range.low, scope)
        high = expressions.translate(node.range.high, scope)
        for end in (low, high):
            if end.place not in (Place.GLOBAL, Place.SYNAPSE):
                self.context.bag.error("E0117", "a bound sees one synapse", end.span)
        if self.bound is None:
            self.bound = (low.expr, high.expr)
        else:
            self.bound = (
                apply("max", self.bound[0], low.expr),
                apply("min", self.bound[1], high.expr),
            )

    def _reduce(self, node: ast.Reduce) -> None:
        if node.how not in ("sum", "mean"):
            self.context.unknown("reduction", node.how, node.span, ("sum", "mean"))
        elif node.axis != "batch":
            self.context.unknown("axis", node.axis, node.span, ("batch",))
        else:
            self.reduce = node.how
