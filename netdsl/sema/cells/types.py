"""Cell types: a partition of a population's neurons, in blocks or shuffled.

The type of a neuron is a parameter of it, `POP.type`: its place, from 0, among the types written.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.ir.expr import Const, Expr, Index, Reduce, Ref, apply, children
from netdsl.ir.network import Draw, Kind, Place, Type, Variable
from netdsl.sema.cells.populations import PopulationScope, size_of
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, dotted
from netdsl.sema.scopes.units import NONE
from netdsl.sema.scopes.values import Value, bad, number
from netdsl.syntax import ast

TYPE = "type"
SHUFFLE = "shuffle"  # the distribution of shuffled types; its arguments are how many of each
Types = tuple[tuple[str, int, int], ...]


def types_of(
    node: ast.PopulationDecl, axes: tuple[tuple[str, int], ...], context: Context
) -> Types:
    """(cell type, first, past last) of each type; what does not fit the population is reported."""
    types, first, broken = [], 0, False
    for count in node.types:
        many = expressions.whole(count.count, context.scope, "a number of neurons", least=0)
        broken = broken or many is None
        types.append((count.name, first, first + (many or 0)))
        first += many or 0
        if many == 0:
            context.bag.error(
                "E0646",
                f"no neuron of `{node.name}` is of type `{count.name}`",
                count.span,
                help="leave the type out",
            )
    size = size_of(axes)
    if types and first != size and not broken:
        less = first < size
        context.bag.error(
            "E0203",
            f"the types of `{node.name}` are {first} neurons, it has {size}",
            node.types[0].span.to(node.types[-1].span),
            help=f"say which type the other {size - first} are of"
            if less
            else f"that is {first - size} too many",
        )
    if node.shuffled and not types:
        context.bag.error(
            "E0646",
            f"`shuffled` says in which order the types of `{node.name}` stand, and it has none",
            node.span,
            help="write `types { E: 80; I: 20 } shuffled`",
        )
    return tuple(types)


def declare_type(node: ast.PopulationDecl, types: Types, scope: PopulationScope) -> None:
    """Give a population with types the parameter `type`."""
    if not types:
        return
    path = f"{node.name}.{TYPE}"
    init: Expr | Draw = _by_block(types)
    if node.shuffled:
        sizes = tuple(Const(last - first) for _, first, last in types)
        init = Draw(SHUFFLE, sizes, path, span=node.span)
    scope.variables[path] = Variable(
        path, Kind.PARAM, Place.NEURON, Type.COUNT, node.name, init, span=node.span
    )
    scope.context.dims[path] = NONE
    scope.params[TYPE] = Value(
        Ref(path),
        NONE,
        Type.COUNT,
        Place.NEURON,
        choices=tuple(name for name, _, _ in types),
        span=node.span,
    )


def _by_block(types: Types) -> Expr:
    code: Expr = Const(len(types) - 1)
    for place, (_, _, last) in reversed(tuple(enumerate(types[:-1]))):
        before = apply("lt", Index(), Const(last))
        code = apply("select", before, Const(place), code)
    return code


def compared(node: ast.Binary, scope: Scope) -> Value | None:
    """`pre.type == E`, `pre.type != post.type`: types are compared by name; None for others."""
    sides = [type_value(side, scope) for side in (node.left, node.right)]
    known = [side for side in sides if side is not None]
    if not known:
        return None
    if any(side.bad for side in known):
        return known[0].at(node.span)
    same = _alike(known[0], known[1]) if len(known) == 2 else None
    if same is None:
        other = node.right if sides[0] is not None else node.left
        same = _named(known[0], other, scope)
    if same is None:
        return None
    if node.op == "!=":
        return expressions.apply("not", (same,), node, scope)
    return same.at(node.span)


def type_value(node: ast.Expr, scope: Scope) -> Value | None:
    """The value of `type`, `pre.type` or `post.type`, which knows the names of the types."""
    found = dotted(node)
    if found is None or found[0][-1] != TYPE:
        return None
    value = scope.find(*found, node.span)
    return value if value is not None and (value.choices or value.bad) else None


def by_type(kind: str, body: Value, node: ast.Call, scope: Scope) -> Value:
    """`mean(e by type)`: one number for each type, which the neurons of the type read."""
    over = node.over
    assert over is not None
    value = scope.find((TYPE,), None, over.span)
    if value is None or not value.choices:
        if value is None or not value.bad:
            scope.context.bag.error(
                "E0645",
                f"there are no cell types in {scope.kind} to take the {kind} by",
                over.span,
                help="give the population `types { E: 80; I: 20 }`",
            )
        return bad(node.span)
    make = _BY_TYPE.get(kind)
    if make is None:
        scope.context.unsupported(
            f"`{kind}` by type is", over.span, f"reduce by {', '.join(_BY_TYPE)}"
        )
        return bad(node.span)
    name = value.expr.path.split(".")[0] if isinstance(value.expr, Ref) else ""
    sizes = type_sizes(name, value.choices, scope.context)
    found = [make(body.expr, equals(value, code).expr, size) for code, size in enumerate(sizes)]
    expr = found[-1]
    for code, own in reversed(tuple(enumerate(found[:-1]))):
        expr = apply("select", equals(value, code).expr, own, expr, span=node.span)
    dim = NONE if kind == "any" else body.dim
    return Value(expr, dim, Type.BOOL if kind == "any" else Type.REAL, Place.UNIT, span=node.span)


def type_sizes(name: str, types: tuple[str, ...], context: Context) -> list[int]:
    """How many neurons a population has of each of its types, before it is elaborated too."""
    node = context.declarations.find("population", name)
    counts = {count.name: count.count for count in node.types}
    return [
        expressions.whole(counts[name], context.scope, "a number of neurons") or 1 for name in types
    ]


def _sum(body: Expr, own: Expr, size: int) -> Expr:
    return Reduce("sum", "population", apply("select", own, body, Const(0.0)))


def _most(kind: str, rest: str) -> Callable[[Expr, Expr, int], Expr]:
    """The largest of a type: the others count as the smallest of all, and the other way round."""

    def reduced(body: Expr, own: Expr, size: int) -> Expr:
        others = Reduce(rest, "population", body)
        return Reduce(kind, "population", apply("select", own, body, others))

    return reduced


_BY_TYPE: dict[str, Callable[[Expr, Expr, int], Expr]] = {
    "sum": _sum,
    "mean": lambda body, own, size: apply("div", _sum(body, own, size), Const(float(size))),
    "max": _most("max", "min"),
    "min": _most("min", "max"),
    "any": lambda body, own, size: Reduce(
        "any", "population", apply("select", own, body, Const(False))
    ),
}


def same_for_a_type(expr: Expr, own: str, seen: Callable[[str], Expr | None]) -> bool:
    """Do all neurons of one type have this value? `own` is the path of their type, `seen` gives
    the value of a `let` or `def`, None for what has none."""
    if isinstance(expr, Reduce):
        return True
    if isinstance(expr, Index):
        return False
    if isinstance(expr, Ref) and expr.path != own:
        value = seen(expr.path)
        return value is not None and same_for_a_type(value, own, seen)
    return all(same_for_a_type(part, own, seen) for part in children(expr))


def _named(value: Value, other: ast.Expr, scope: Scope) -> Value | None:
    if not isinstance(other, ast.Name):
        return None
    if other.id not in value.choices:
        return None
    scope.context.use("celltype", other.id)
    return equals(value, value.choices.index(other.id))


def equals(value: Value, code: int) -> Value:
    """Whether a neuron's type is the one with this number."""
    if isinstance(value.expr, Const):
        return number(value.expr.value == code, value.span)
    expr = apply("eq", value.expr, Const(code), span=value.span)
    return Value(expr, NONE, Type.BOOL, value.place, span=value.span)


def _alike(one: Value, other: Value) -> Value:
    """Whether two neurons are of one type: populations may list theirs in different orders."""
    shared = [name for name in one.choices if name in other.choices]
    expr: Expr = Const(False)
    for name in shared:
        here = equals(one, one.choices.index(name)).expr
        there = equals(other, other.choices.index(name)).expr
        both = apply("and", here, there)
        expr = both if isinstance(expr, Const) else apply("or", expr, both)
    place = Place.SYNAPSE if shared else Place.GLOBAL
    return Value(expr, NONE, Type.BOOL, place, span=one.span)
