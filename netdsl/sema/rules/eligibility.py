"""`eligibility e of w to post.s` and `expect A == B within TOLERANCE` in a rule."""

from __future__ import annotations

from collections.abc import Container, Iterable

from netdsl.diagnostics import Label, Span
from netdsl.ir.algebra.build import plus
from netdsl.ir.algebra.derivative import DerivativeError, derivative
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import NOW, SETTLED, Expr, Local, Ref, refs, transform
from netdsl.ir.network import Eligibility, Expect, Kind, Place, Projection, Variable
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.units import product
from netdsl.sema.scopes.values import Value, bad
from netdsl.sema.synapses.synapses import DELIVER, Ends, SynapseArguments, SynapseScope
from netdsl.syntax import ast

CODE = "E0433"
_WEIGHT = "w"
_TARGETS = (Kind.STATE, Kind.SPIKE, Kind.TRACE, Kind.DEF, Kind.DRAW)


class Eligibilities:
    """What a rule derives and expects; each eligibility is a name of the rule once declared."""

    def __init__(self, context: Context, ends: Ends, rule: str) -> None:
        self.context, self.ends, self.rule = context, ends, rule
        self.found: list[Eligibility] = []
        self.expects: list[Expect] = []
        self.variables: dict[str, Variable] = {}  # of the eligibilities
        self.taken: Container[str] = ()  # names of the rule's states

    def declare(self, node: ast.Eligibility, homes: Iterable[SynapseArguments]) -> None:
        """Declare one eligibility at all clocks; after a report its name stays silent."""
        homes = tuple(homes)
        value = self._declared(node, homes[0]) or bad(node.span)
        for home in homes:
            home.arguments[node.name] = value

    def assigned(self, node: ast.Statement) -> bool:
        """Report a statement that assigns to an eligibility."""
        target = getattr(node, "target", None)
        names = {variable.name: variable for variable in self.variables.values()}
        if not isinstance(target, ast.Name) or target.id not in names:
            return False
        span = names[target.id].span
        self.context.bag.error(
            "E0115",
            f"`{target.id}` is an eligibility and cannot be assigned",
            target.span,
            *([Label(span, "declared here")] if span is not None else []),
            help="copy it into a state of the rule",
        )
        return True

    def expect(self, node: ast.Expect, home: Scope) -> None:
        """Two values that are to be equal."""
        left = expressions.translate(node.left, home)
        right = expressions.translate(node.right, home)
        within = expressions.constant(node.tolerance, home, "the tolerance")
        agreed = expressions.expect(right, left.dim, "the two are compared:", home)
        if agreed and within.constant is not None and not (left.bad or right.bad):
            near = float(within.constant)
            self.expects.append(Expect(left.expr, right.expr, near, node.span))

    def _declared(self, node: ast.Eligibility, home: SynapseArguments) -> Value | None:
        if node.of.name != self.ends.weight_name:
            self._wrong(
                f"`{node.of.name}` is not the weight of `{self.ends.projection}`",
                node.of.span,
                f"an eligibility is `of {self.ends.weight_name}`",
            )
            return None
        weight = self.ends.weight_name
        if node.name in home.arguments or node.name in self.taken or node.name == weight:
            self.context.bag.error(
                "E0102", f"`{node.name}` is declared twice in {home.kind}", node.name_span
            )
            return None
        target = expressions.translate(node.to, home)
        if target.bad:
            return None
        path = self._target(target.expr)
        if path is None:
            self._wrong(
                "an eligibility is taken `to` a variable of the post cell",
                node.to.span,
                "as in `to post.s`: a state, spike, trace or `def`, read as it is now",
            )
            return None
        factors = self._factors(self.context.projections[self.ends.projection], node)
        if factors is None:
            return None
        variable = Variable(
            f"{self.ends.projection}.{self.rule}.{node.name}",
            Kind.LET,
            Place.ROW_SYNAPSE,
            owner=self.ends.projection,
            span=node.span,
        )
        dim = product(target.dim, self.context.dims.get(self.ends.weight or ""), -1)
        self.variables[variable.path] = variable
        self.context.dims[variable.path] = dim
        self.found.append(Eligibility(variable.path, path, factors, span=node.span))
        read = Ref(variable.path, "synapse", NOW, node.span)
        return Value(read, dim, place=Place.ROW_SYNAPSE, span=node.span)

    def _target(self, expr: Expr) -> str | None:
        if not isinstance(expr, Ref) or expr.side != "post" or expr.time not in (NOW, SETTLED):
            return None
        variable = self.ends.post.variables.get(expr.path)
        return expr.path if variable is not None and variable.kind in _TARGETS else None

    def _factors(
        self, projection: Projection, node: ast.Eligibility
    ) -> tuple[tuple[str, Expr], ...] | None:
        """What each input gains as the weight does, from what a synapse delivers."""
        if projection.connectivity.windows is not None:
            self._wrong(
                "a shared kernel belongs to no synapse, so that no eligibility is its own",
                node.span,
                "an eligibility needs one weight for each synapse",
            )
            return None
        factors: dict[str, Expr] = {}
        for deliver in projection.delivers:
            span = deliver.span or node.span
            for ref in refs(deliver.value):
                variable = self.ends.post.variables.get(ref.path)
                fixed = variable is not None and variable.kind is Kind.PARAM
                if ref.side == "post" and not fixed:
                    self._wrong(
                        f"what `{projection.name}` delivers depends on `{ref.path}`, so that the "
                        "path from a synapse to its unit goes through all of its synapses",
                        ref.span or span,
                        "multiply by the postsynaptic value in the cell",
                    )
                    return None
            slope = self._slope(deliver.value, span)
            if slope is None:
                self._wrong(
                    f"what `{projection.name}` delivers has no derivative by its weight", span
                )
                return None
            before = factors.get(deliver.input)
            factors[deliver.input] = slope if before is None else plus(before, slope)
        return tuple(factors.items())

    def _slope(self, value: Expr, span: Span) -> Expr | None:
        """The derivative by the effective weight, whatever is stored."""
        scope = SynapseScope(self.context, self.ends, DELIVER, self.rule)
        weight = scope.find((self.ends.weight_name or "",), None, span)
        assert weight is not None

        def visit(node: Expr) -> Expr | None:
            return Local(_WEIGHT) if node == weight.expr else None

        marked = transform(value, visit)
        if any(ref.path == self.ends.weight for ref in refs(marked)):
            return None  # reads the stored magnitude
        try:
            slope = simplify(derivative(marked, _WEIGHT))
        except DerivativeError:
            return None
        return transform(slope, lambda node: weight.expr if node == Local(_WEIGHT) else None)

    def _wrong(self, message: str, span: Span, help: str | None = None) -> None:
        self.context.bag.error(CODE, message, span, help=help)
