"""`initialiser NAME(…) { … }`: the start of a weight, made step by step as whole matrices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import Apply, Const, Expr, Local, Reduce, children
from netdsl.ir.network import Draw, Made, Place, Type
from netdsl.sema.cells.draws import Drawn, WeightScope, build_draw
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.calls import reduced
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.templates import Arguments, callee
from netdsl.sema.scopes.units import NONE, Dim
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

RESULT = "w"
STEPS = "steps"  # the distribution of a draw that is made in steps


class MatrixScope(Scope):
    """The matrices made so far, `pre.sign`, and the arguments of the initialiser."""

    def __init__(self, home: Arguments, sign: Expr | None, kind: str, call: Span) -> None:
        super().__init__(home.context, home)
        self.sign, self.kind, self.call = sign, kind, call
        self.unsigned = False  # reported
        self.dims: dict[str, Dim] = {}
        self.square: dict[str, bool] = {}

    @property
    def matrices(self) -> bool:
        return True

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        if len(parts) == 1 and at is None and parts[0] in self.dims:
            name = parts[0]
            return Value(Local(name, span), self.dims[name], place=Place.SYNAPSE, span=span)
        if parts == ("pre", "sign") and at is None:
            return self._sign(span)
        return super().find(parts, at, span)

    def _sign(self, span: Span) -> Value:
        if self.sign is None:
            if not self.unsigned:
                self.context.bag.error(
                    "E0665",
                    f"{self.kind} asks for the signs of the senders, and this projection has none",
                    self.call,
                    help="write `sign by pre`, `sign +` or `sign -` behind its connectivity",
                )
            self.unsigned = True
            return bad(span)
        return Value(self.sign, NONE, Type.REAL, Place.SYNAPSE, span=span)

    def names(self) -> Iterator[str]:
        yield from (*self.dims, "pre.sign")
        yield from super().names()

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        axes = [axis.name for axis in node.over.axes] if node.over is not None else ["population"]
        if axes not in (["population"], ["pre"], ["post"]) or kind == "argmax":
            help = "over all of a matrix, `over pre` of each column, `over post` of each row"
            _wrong(self, f"`{kind}` over `{', '.join(axes)}` is not known", node.span, help)
            return bad(node.span)
        place = Place.GLOBAL if axes == ["population"] else Place.SYNAPSE
        return reduced(kind, axes[0], body, place, node)


def making(declared: ast.InitialiserDecl, home: Arguments, stream: str, span: Span) -> Drawn | None:
    """The start that a body says; None after a report."""
    weight = _weight_scope(home)
    kind = f"initialiser `{declared.name}`"
    scope = MatrixScope(home, weight.sign if weight is not None else None, kind, span)
    if weight is None:
        help = "draw it from a distribution, as in `~ uniform(0, 1)`"
        _wrong(scope, "it makes the start of a weight", span, help)
        return None
    steps = tuple(_steps(declared.body, scope, stream))
    if None in steps:
        return None
    if RESULT not in scope.dims:
        help = f"write `{RESULT} ~ normal(0, 1)` and then `{RESULT} := …`"
        _wrong(scope, f"it does not say what `{RESULT}` is", declared.name_span, help)
        return None
    pre, post = (int(weight.fans[name].constant or 0) for name in ("fan_in", "fan_out"))
    if scope.square[RESULT] and pre != post:
        message = f"its `{RESULT}` is {pre} by {pre}, and the weight {pre} by {post}"
        _wrong(scope, message, span, f"end with `{RESULT} := columns({RESULT})`")
        return None
    found = tuple(step for step in steps if step is not None)
    return Drawn(Draw(STEPS, (), stream, made=found, span=span), scope.dims[RESULT], Type.REAL)


def _weight_scope(scope: Scope | None) -> WeightScope | None:
    while scope is not None and not isinstance(scope, WeightScope):
        scope = scope.parent
    return scope


def _wrong(scope: Scope, message: str, span: Span, help: str) -> None:
    scope.context.bag.error("E0664", f"{scope.kind}: {message}", span, help=help)


def _steps(body: Iterable[ast.Statement], scope: MatrixScope, stream: str) -> Iterator[Made | None]:
    for node in body:
        if isinstance(node, ast.WhenBody):
            found = expressions.constant(node.condition, scope, "the condition")
            if not found.bad:
                yield from _steps(scope.context.choose(node, bool(found.constant)), scope, stream)
        elif isinstance(node, ast.Draw):
            yield _draw(node, scope, stream)
        elif isinstance(node, ast.Assign | ast.Let):
            yield _assign(node, scope)
        else:
            help = "write `w ~ normal(0, 1)`, `w := abs(w)` or `let total = sum(w over pre)`"
            _wrong(scope, "this is no step of making a matrix", node.span, help)
            yield None


def _draw(node: ast.Draw, scope: MatrixScope, stream: str) -> Made | None:
    name, value = node.target.id, node.value
    found = callee(value)
    square = found is not None and found[0] == "square" and len(found[1]) == 1
    if square and found is not None:
        value = found[1][0].value
    path = stream if name == RESULT else f"{stream}.{name}"
    drawn = build_draw(value, scope, path)
    if drawn is None:
        return None
    _name(scope, name, drawn.dim, square=square)
    return Made(name, replace(drawn.draw, span=node.span), square)


def _assign(node: ast.Assign | ast.Let, scope: MatrixScope) -> Made | None:
    target = ast.Name(node.name) if isinstance(node, ast.Let) else node.target
    value = expressions.translate(node.value, scope)
    if not isinstance(target, ast.Name):
        _wrong(scope, "a matrix is made as a whole", node.span, "leave the index out")
        return None
    if value.bad:
        _name(scope, target.id, None, square=False)
        return None
    _name(scope, target.id, value.dim, square=_square(value.expr, scope))
    return Made(target.id, value.expr)


def _name(scope: MatrixScope, name: str, dim: Dim, *, square: bool) -> None:
    scope.dims[name], scope.square[name] = dim, square


def _square(expr: Expr, scope: MatrixScope) -> bool:
    """Whether a value has a column for each presynaptic unit."""
    if isinstance(expr, Local):
        return scope.square[expr.name]
    whole = isinstance(expr, Apply) and expr.function in ("columns", "spectral_radius")
    if whole or isinstance(expr, Const) or (isinstance(expr, Reduce) and expr.axis != "pre"):
        return False
    return any(_square(child, scope) for child in children(expr))
