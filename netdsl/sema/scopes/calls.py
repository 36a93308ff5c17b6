"""Calls: primitive functions, reductions, functions of the specification, and special forms."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.diagnostics import Span
from netdsl.ir.expr import Apply, Const, Expr, Reduce, Ref, apply
from netdsl.ir.functions import FUNCTIONS, HOST_FUNCTIONS, bounded
from netdsl.ir.network import Place, Type
from netdsl.ir.space import held
from netdsl.sema.cells import gradients
from netdsl.sema.scopes import bits, components, expressions, slots
from netdsl.sema.scopes.arguments import positional
from netdsl.sema.scopes.scope import Bound, Scope, Slot, dotted, neuron_index
from netdsl.sema.scopes.units import NONE, Dim
from netdsl.sema.scopes.values import Value, bad, number
from netdsl.syntax import ast

REDUCTIONS = ("sum", "mean", "max", "min", "any", "count", "argmax")


def built_in(name: str) -> bool:
    """Whether a call of this name means something without a declaration."""
    function = FUNCTIONS.get(name)
    return name in REDUCTIONS or name in SPECIAL or (function is not None and function.user)


def call(node: ast.Call, scope: Scope) -> Value:
    """A call of any kind."""
    name = node.func.name
    own = scope.context.declarations.table("function").get(name)
    if own is not None and built_in(name):
        return bad(node.span)  # its declaration was reported
    if name in REDUCTIONS and (node.over is not None or len(node.args) == 1):
        return reduction(node, scope)
    special = SPECIAL.get(name)
    if special is not None:
        return special(node, scope)
    function = FUNCTIONS.get(name)
    if function is not None and function.user:
        args = positional(node, scope, function.arity)
        return bad(node.span) if args is None else expressions.apply(name, args, node, scope)
    declared = scope.context.declarations.find("function", name)
    if declared is not None:
        return _user_function(declared, node, scope)
    known = [f.name for f in FUNCTIONS.values() if f.user]
    known += [*SPECIAL, *REDUCTIONS, *scope.context.declarations.names("function")]
    scope.context.unknown("function", name, node.func.span, known)
    for arg in node.args:
        expressions.translate(arg.value, scope)
    return bad(node.span)


def _user_function(declared: ast.Function, node: ast.Call, scope: Scope) -> Value:
    values: dict[str, Value] = {}
    formals = {formal.name: formal for formal in declared.params}
    free = list(formals)
    for arg in node.args:
        name = arg.name or (free[0] if free else None)
        if name is None or name not in free:
            scope.context.bag.error(
                "E0110", f"`{declared.name}` has no parameter for this", arg.span
            )
            return bad(node.span)
        free.remove(name)
        values[name] = expressions.translate(arg.value, scope)
    with scope.context.expansion.of("function", declared.name, declared) as fits:
        return _body(declared, values, free, node, scope) if fits else bad(node.span)


def _body(
    declared: ast.Function,
    values: dict[str, Value],
    free: list[str],
    node: ast.Call,
    scope: Scope,
) -> Value:
    """The value of a function whose arguments are known, but for those left out."""
    formals = {formal.name: formal for formal in declared.params}
    home = Bound(scope.context, _Inlined(scope), values)
    for name in free:
        default = formals[name].default
        if default is None:
            scope.context.bag.error(
                "E0110", f"`{declared.name}` needs its parameter `{name}`", node.span
            )
            return bad(node.span)
        home.values[name] = expressions.translate(default, home)
    return expressions.translate(declared.value, home).at(node.span)


class _Inlined(Scope):
    """The body of a function: only the specification's names, but the caller's neuron."""

    def __init__(self, caller: Scope) -> None:
        super().__init__(caller.context, caller.context.scope)
        self.caller = caller

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        return self.caller.reduce(kind, body, node)

    def slot(self, name: str) -> Slot | None:
        return None  # the indices of a function are its own

    @property
    def depth(self) -> int | None:
        return self.caller.depth

    def reduce_slots(self, kind: str, axis: str, body: Value, node: ast.Call) -> Value:
        return self.caller.reduce_slots(kind, axis, body, node)

    def index(self, span: Span) -> Value | None:
        return self.caller.index(span)

    def width(self) -> int | None:
        return self.caller.width()

    @property
    def host(self) -> bool:
        return self.caller.host

    @property
    def draws(self) -> bool:
        return self.caller.draws

    @property
    def matrices(self) -> bool:
        return self.caller.matrices


# ---------------------------------------------------------------- reductions


def reduction(node: ast.Call, scope: Scope) -> Value:
    """`sum(e)`, `mean(e over batch)`, `count(s over run)`."""
    if len(node.args) != 1:
        scope.context.bag.error("E0110", f"`{node.func.name}` reduces one value", node.span)
        return bad(node.span)
    if slots.over_slots(node, scope):
        return slots.reduction(node, scope)
    total = components.summed(node, scope) if node.over is not None else None
    if total is not None:
        return total
    body = expressions.translate(node.args[0].value, scope)
    if body.bad:
        return bad(node.span)
    over = node.over
    if over is None:
        return scope.reduce(node.func.name, body, node)
    if over.kind == "by" and over.axes[0].name == "type" and not scope.host:
        from netdsl.sema.cells.types import by_type

        return by_type(node.func.name, body, node, scope)
    tail = over.last is not None and over.axes[0].name not in scope.context.phases
    if over.kind != "over" or over.index is not None or tail:
        help = "reduce over the whole axis"
        if over.kind == "per" and scope.host and over.axes[0].name == "batch":
            help = "averages of batches are averaged by `metric NAME = mean(…) per batch`"
        scope.context.unsupported("this kind of reduction is", over.span, help)
        return bad(node.span)
    if over.axes == () or over.axes[0].name == "population":
        return scope.reduce(node.func.name, body, node)
    if over.axes[0].name == "batch" and len(over.axes) == 1:
        return _over_batch(node, body, scope)
    return scope.reduce(node.func.name, body, node)


def reduced(kind: str, axis: str, body: Value, place: Place, node: ast.Node) -> Value:
    """The value of a reduction."""
    dim: Dim = NONE if kind in ("any", "count", "argmax") else body.dim
    types = {"any": Type.BOOL, "count": Type.COUNT, "argmax": Type.COUNT, "mean": Type.REAL}
    type = types.get(kind, Type.COUNT if body.type is Type.BOOL else body.type)
    return Value(Reduce(kind, axis, body.expr, node.span), dim, type, place, span=node.span)


def _over_batch(node: ast.Call, body: Value, scope: Scope) -> Value:
    # Values of other samples are kept, so that the locality check can say what is wrong.
    place = Place.NEURON if body.place is Place.UNIT else Place.GLOBAL
    return reduced(node.func.name, "batch", body, place, node)


# ---------------------------------------------------------------- special forms


def _onehot(node: ast.Call, scope: Scope) -> Value:
    args = positional(node, scope, 1, 2)
    index = scope.index(node.span)
    if args is None or args[0].bad:
        return bad(node.span)
    if index is None:
        scope.context.bag.error(
            "E0209", "`onehot` is a value for each neuron; there are none here", node.span
        )
        return bad(node.span)
    width, classes = scope.width(), args[1].constant if len(args) == 2 else None
    if width is not None and classes is not None and classes != width:
        scope.context.bag.error(
            "E0203",
            f"{classes:g} classes for a population of {width}",
            node.span,
            help=f"write `onehot({_text(node)})`: the population says how many",
        )
    return Value(
        apply("eq", index.expr, args[0].expr, span=node.span),
        NONE,
        Type.BOOL,
        held((index.place, args[0].place)),
        span=node.span,
    )


def _text(node: ast.Call) -> str:
    found = dotted(node.args[0].value)
    return ".".join(found[0]) if found else "label"


def _softmax(node: ast.Call, scope: Scope) -> Value:
    args = positional(node, scope, 1)
    if args is None or args[0].bad:
        return bad(node.span)
    x = args[0]
    if scope.host:
        return Value(apply("softmax", x.expr, span=node.span), place=x.place, span=node.span)
    top = scope.reduce("max", x, node)
    if top.bad:
        return bad(node.span)
    raised = Value(
        apply("exp", apply("sub", x.expr, top.expr), span=node.span), place=x.place, span=node.span
    )
    total = scope.reduce("sum", raised, node)
    return Value(
        apply("div", raised.expr, total.expr, span=node.span), place=x.place, span=node.span
    )


def _cross_entropy(node: ast.Call, scope: Scope) -> Value:
    args = positional(node, scope, 2)
    if args is None or any(arg.bad for arg in args):
        return bad(node.span)
    p, target = args
    if scope.host:
        return Value(
            apply("cross_entropy", p.expr, target.expr, span=node.span),
            place=Place.ROW,
            span=node.span,
        )
    weights: Expr = target.expr
    if target.place in (Place.ROW, Place.GLOBAL):
        weights = apply("eq", neuron_index(None, node.span).expr, target.expr)
    terms = Value(_weighted_log(weights, p.expr, node.span), place=p.place, span=node.span)
    total = scope.reduce("sum", terms, node)
    return Value(apply("neg", total.expr, span=node.span), place=total.place, span=node.span)


def _weighted_log(weight: Expr, p: Expr, span: Span) -> Expr:
    """weight * log(p), 0 where the weight is; of exp(x) / t, as in a softmax, x - log(t)."""
    if isinstance(p, Apply) and p.function == "div":
        raised, total = p.args
        if isinstance(raised, Apply) and raised.function == "exp":
            log = apply("sub", raised.args[0], apply("log", total, span=span), span=span)
            return apply("mul", weight, log, span=span)
    term = apply("mul", weight, apply("log", p, span=span), span=span)
    return apply("select", apply("ne", weight, Const(0)), term, Const(0.0), span=span)


_WHERE = {
    "angle": "it compares whole arrays: use it in a metric or a readout",
    "transpose": "it turns a whole weight: `set Wc.w := transpose(W.w)`",
    "random_sign": "a protocol draws it for a global state: `sgn := sgn * random_sign()`",
    "logdet": "it works on a whole weight: use it in a metric or a readout",
    "topk": "it looks at all units: use it in a metric or a readout",
}


def _host_only(node: ast.Call, scope: Scope) -> Value:
    name = node.func.name
    arity = {"angle": 2, "transpose": 1, "random_sign": 0, "logdet": 1, "topk": 3}[name]
    if not (scope.draws if name == "random_sign" else scope.host):
        scope.context.bag.error(
            "E0209",
            f"`{name}` is not available in {scope.kind}",
            node.span,
            help=_WHERE[name],
        )
        return bad(node.span)
    args = positional(node, scope, arity)
    if args is None or any(arg.bad for arg in args):
        return bad(node.span)
    if name == "logdet" and not _square(args[0], scope):
        return bad(node.span)
    place = {"topk": Place.ROW, "transpose": Place.SYNAPSE}.get(name, Place.GLOBAL)
    expr = Apply(name, tuple(arg.expr for arg in args), node.span)
    dim = args[0].dim if name == "transpose" else NONE
    return Value(expr, dim, place=place, span=node.span)


def _square(value: Value, scope: Scope) -> bool:
    """Whether a value is a weight between as many units on both sides; reports where not."""
    context = scope.context
    path = value.expr.path if isinstance(value.expr, Ref) else ""
    projection = context.projections.get(path.partition(".")[0])
    ends = (projection.pre, projection.post) if projection is not None else ()
    sizes = [context.scope.population_size(end) or 1 for end in ends]
    if value.place is Place.SYNAPSE and len(sizes) == 2 and sizes[0] == sizes[1]:
        return True
    shape = f"this is {sizes[0]} by {sizes[1]}" if sizes else "this is none"
    context.bag.error("E0203", f"`logdet` needs a square weight, {shape}", value.span)
    return False


def _int(node: ast.Call, scope: Scope) -> Value:
    args = positional(node, scope, 1)
    if args is None:
        return bad(node.span)
    floor = expressions.apply("floor", args, node, scope)
    if isinstance(floor.expr, Const) and not floor.bad:
        return number(bounded(int(floor.expr.value)), node.span, floor.dim)
    return floor


def _matrix_only(node: ast.Call, scope: Scope) -> Value:
    """What is done to a whole matrix of start values."""
    name = node.func.name
    args = positional(node, scope, 1)
    if args is None or args[0].bad:
        return bad(node.span)
    if not scope.matrices:
        scope.context.bag.error(
            "E0209",
            f"`{name}` is not available in {scope.kind}",
            node.span,
            help="it works on a whole matrix in the body of an initialiser",
        )
        return bad(node.span)
    place = Place.GLOBAL if name == "spectral_radius" else Place.SYNAPSE
    return Value(Apply(name, (args[0].expr,), node.span), args[0].dim, place=place, span=node.span)


Special = Callable[[ast.Call, Scope], Value]
SPECIAL: dict[str, Special] = {
    "onehot": _onehot,
    "softmax": _softmax,
    "cross_entropy": _cross_entropy,
    "size": slots.size,
    "grad": gradients.grad,
    "vjp": gradients.vjp,
    "detach": gradients.detach,
    "int": _int,
    "bit": lambda node, scope: bits.bit(positional(node, scope, 2), node, scope),
    "popcount": lambda node, scope: bits.popcount(positional(node, scope, 1), node, scope),
    "spectral_radius": _matrix_only,
    "columns": _matrix_only,
}
SPECIAL.update(dict.fromkeys(HOST_FUNCTIONS - {"argmax", "softmax", "cross_entropy"}, _host_only))
