"""`rewire NAME over P, Q { … }`: which synapses are closed, and which are opened instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const, Expr, Ref, apply
from netdsl.ir.network import Place, Projection
from netdsl.ir.protocol import Rewire, Rewired
from netdsl.sema.scopes import expressions, structure
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.host import HostScope
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.values import Value, number
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.experiment.protocols import Builder

SETS = ("initial", "absent")


def rewire_step(build: Builder, node: ast.DoRewire) -> Rewire | None:
    """`rewire NAME` of a protocol."""
    name, context = node.rewire.name, build.context
    context.use("rewire", name)
    if context.declarations.find("rewire", name) is None:
        context.unknown(
            "rewiring", name, node.rewire.span, context.declarations.names("rewire"), build.kind
        )
    found = context.rewirings.get(name)
    return None if found is None else replace(found, site=build.site(), span=node.span)


def elaborate_rewiring(node: ast.RewireDecl, context: Context) -> None:
    """Fill `context.rewirings`, unless something is reported."""
    made = _Rewiring(node, context).build()
    if made is not None:
        context.rewirings[node.name] = made


class RewireScope(HostScope):
    """What a rewiring reads: numbers of synapses, and of one projection what is stored of each."""

    def __init__(
        self, context: Context, kind: str, over: tuple[Projection, ...], *, inside: bool
    ) -> None:
        super().__init__(context, kind)
        self.projections, self.inside = over, inside
        self.budget: Value | None = None

    def _bare(self, name: str, at: str | None, span: Span) -> Value | None:
        if at is not None:
            return super()._bare(name, at, span)
        if name in structure.COUNTS:
            return structure.counted(name, self.projections, self.context, span)
        if name == "budget" and self.budget is not None:
            return self.budget.at(span)
        found = self._synapse(name, span) if self.inside else None
        return found or super()._bare(name, at, span)

    def _synapse(self, name: str, span: Span) -> Value | None:
        """`mag`, and the weight by its name, of a synapse."""
        projection = self.projections[0]
        stored = Ref(projection.weight or "", "synapse", span=span)
        dim = self.context.dims.get(stored.path)
        if name == stored.path.rsplit(".", 1)[-1]:
            return Value(stored, dim, place=Place.SYNAPSE, span=span)
        if name != "w" or projection.sign is None:
            return None
        size = apply("max", stored, Const(0.0), span=span)
        expr = apply("mul", projection.sign, size, span=span)
        return Value(expr, dim, place=Place.SYNAPSE, span=span)

    def names(self) -> Iterator[str]:
        yield from (*structure.COUNTS, "budget")
        yield from super().names()


class _Rewiring:
    def __init__(self, node: ast.RewireDecl, context: Context) -> None:
        self.node, self.context = node, context
        self.kind = f"rewiring `{node.name}`"
        self.good = True
        self.prune: ast.Prune | None = None
        self.regrow: ast.Regrow | None = None
        self.budget: ast.Expr | None = None

    def build(self) -> Rewire | None:
        over = tuple(p for ref in self.node.over if (p := self._projection(ref)) is not None)
        for statement in self.node.body:
            self._statement(statement)
        if self.prune is None and self.regrow is None and self.good:
            self._wrong(
                "it closes and opens no synapses",
                self.node.name_span,
                "add `prune where …` or `regrow … among initial at …`",
            )
        if not self.good:
            return None
        return self._made(over)

    def _made(self, over: tuple[Projection, ...]) -> Rewire | None:
        scope = RewireScope(self.context, self.kind, over, inside=False)
        if self.budget is not None:
            scope.budget = expressions.translate(self.budget, scope)
            self._one(scope.budget)
        count = Const(0)
        parts = [self._part(projection) for projection in over]
        if scope.budget is not None:
            self._enough(scope.budget, over, parts)
        regrow = self.regrow
        expr: Expr = count
        if regrow is not None:
            self._among(regrow, over)
            expr = self._one(expressions.translate(regrow.count, scope))
        if not self.good:
            return None
        budget = None if scope.budget is None else scope.budget.expr
        return Rewire(self.node.name, tuple(parts), expr, budget, span=self.node.span)

    def _wrong(self, message: str, span: Span, help: str) -> None:
        self.good = False
        self.context.bag.error("E0661", f"{self.kind}: {message}", span, help=help)

    # ------------------------------------------------------------ what it is over

    def _projection(self, ref: ast.Ref) -> Projection | None:
        found = self.context.projections.get(ref.name)
        if found is None:
            self.good = False
            if not self.context.bag.is_poisoned("projection", ref.name):
                known = self.context.projections
                self.context.unknown("projection", ref.name, ref.span, known, self.kind)
            return None
        self.context.use("projection", ref.name)
        why = _unfit(found)
        if why is not None:
            self.good = False
            self.context.bag.error(
                "E0660",
                f"`{ref}` cannot be rewired: {why}",
                ref.span,
                help="rewire projections with a weight for each synapse, dense or drawn",
            )
            return None
        return found

    def _among(self, node: ast.Regrow, over: tuple[Projection, ...]) -> None:
        name = node.among.id if isinstance(node.among, ast.Name) else ""
        if node.among is None or name not in SETS:
            at = node.span if node.among is None else node.among.span
            help = "write `among initial`: synapses that the connectivity made and that are closed"
            self._wrong("it must say where synapses may be opened", at, help)
        for projection in over if name == "absent" else ():
            if projection.connectivity.kind != "dense" or projection.sign is None:
                self.good = False
                self.context.bag.error(
                    "E0662",
                    f"`{projection.name}` has no room for synapses anywhere",
                    node.among.span if node.among is not None else node.span,
                    help="write `among initial`, or make it `dense sign by pre` (or `sign +`) with "
                    "a start that is 0 where there is no synapse",
                )

    # ------------------------------------------------------------ statements

    def _statement(self, node: ast.Statement) -> None:
        if isinstance(node, ast.Prune) and self.prune is None:
            self.prune = node
        elif isinstance(node, ast.Regrow) and self.regrow is None:
            self.regrow = node
        elif isinstance(node, ast.Setting) and node.name == "budget" and self.budget is None:
            self.budget = node.value
        elif isinstance(node, ast.Setting) and node.name != "budget":
            self._wrong(f"it has no setting `{node.name}`", node.span, "it has `budget = …`")
        elif isinstance(node, ast.Prune | ast.Regrow | ast.Setting):
            self._wrong("this is said twice", node.span, "keep one of the two")
        else:
            self._wrong(
                "this statement is not known here",
                node.span,
                "a rewiring says `prune where …`, `budget = …` and `regrow …`",
            )

    def _part(self, projection: Projection) -> Rewired:
        scope = RewireScope(self.context, self.kind, (projection,), inside=True)
        prune = None
        if self.prune is not None:
            value = expressions.translate(self.prune.condition, scope)
            self.good &= not value.bad
            prune = value.expr
        share, start = number(1.0), number(0.0)
        if self.regrow is not None:
            if self.regrow.weighted_by is not None:
                share = expressions.translate(self.regrow.weighted_by, scope)
                self._one(share)
            start = self._start(projection, scope)
        weight = projection.weight or ""
        present = structure.present(projection)
        return Rewired(projection.name, weight, present, prune, share.expr, start.expr)

    def _start(self, projection: Projection, scope: Scope) -> Value:
        assert self.regrow is not None
        if self.regrow.at is None:
            self._wrong(
                "it must say with what strength a synapse begins",
                self.regrow.span,
                "write `at 1e-12` at the end",
            )
            return number(0.0)
        value = expressions.translate(self.regrow.at, scope)
        self._one(value)
        known = value.constant
        dead = known is not None and (known <= 0 if projection.sign is not None else known == 0)
        if dead and not value.bad:
            self._wrong(
                f"a synapse of `{projection.name}` that begins with {known:g} is not alive",
                self.regrow.at.span,
                "begin with a number above 0, such as `at 1e-12`",
            )
        return value

    def _one(self, value: Value) -> Expr:
        """One number for all."""
        self.good &= not value.bad
        if value.place is not Place.GLOBAL and not value.bad:
            self._wrong("this is not one number", value.span, "reduce it, as in `sum(W.w)`")
        return value.expr

    def _enough(self, budget: Value, over: Iterable[Projection], parts: list[Rewired]) -> None:
        """The budget holds those that are alive at the start, as far as that is known."""
        if budget.constant is None or budget.bad:
            return
        alive = sum(
            structure.certain(projection, self.context)
            for projection, part in zip(over, parts, strict=True)
            if structure.spares(part.prune, projection)
        )
        if int(budget.constant) < alive or budget.constant < 0:
            message = f"{self.kind} has a budget of {budget.constant:g} synapses"
            help = "a budget is the number of synapses that may be alive at a time"
            if budget.constant >= 0:
                message += f", and {alive} or more are alive at the start"
                help = f"give it {alive} or more, or start with fewer synapses"
            self.good = False
            self.context.bag.error("E0663", message, budget.span, help=help)


def _unfit(projection: Projection) -> str | None:
    if projection.transpose_of is not None:
        return f"it has the weights of `{projection.transpose_of}`"
    if projection.weight is None:
        return "it has no weight"
    if projection.connectivity.windows is not None:
        return "its kernel is shared by all places"
    if projection.connectivity.kind == "one_to_one":
        return "it has one synapse for each neuron"
    return "it is `fixed`" if projection.fixed else None
