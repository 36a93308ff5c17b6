"""Components of short vectors in expressions, and the indices that go over them.

`g[0]` is the name of a variable; `sum(g[k] * m[k] over k)` is written out over the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, cast

from netdsl.diagnostics import Label, Span
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.scope import Scope, dotted
from netdsl.sema.scopes.values import Value, bad, number
from netdsl.syntax import ast

MAX_LENGTH = 1000  # components of one vector: each is a variable of its own

N = TypeVar("N")


@dataclass(frozen=True)
class Vector:
    """A vector as a reader names it: `parts` are those of its name, `scope` looks them up."""

    size: int
    parts: tuple[str, ...]
    scope: Scope

    def component(self, place: int) -> tuple[str, ...]:
        """The name of one component."""
        return (*self.parts[:-1], named(self.parts[-1], place))


def named(name: str, place: int) -> str:
    """`g[0]`: what a component is called, in paths too."""
    return f"{name}[{place}]"


# ---------------------------------------------------------------- reads


def component(node: ast.Index, at: str | None, scope: Scope) -> Value:
    """`g[0]`, `post.m[n - 1]`: one component of a vector."""
    found = dotted(node.base)
    vector = scope.vector(found[0]) if found is not None else None
    if found is None or vector is None:
        scalar = expressions.translate(node.base, scope)
        name = ".".join(found[0]) if found is not None else None
        return scalar if scalar.bad else no_vector(node, name, scope)
    if len(node.args) != 1:
        scope.context.bag.error(
            "E0165", f"`{'.'.join(found[0])}` has one index, here are {len(node.args)}", node.span
        )
        return bad(node.span)
    place = place_of(node.args[0], ".".join(found[0]), vector.size, scope)
    if place is None:
        return bad(node.span)
    value = vector.scope.find(vector.component(place), at or found[1], node.span)
    return value if value is not None else bad(node.span)


def _scalar(reads: list[ast.Index], scope: Scope) -> bool:
    """Whether an index stands at what is no vector, so that it goes nowhere."""
    found = [dotted(use.base) for use in reads]
    return any(parts is None or scope.vector(parts[0]) is None for parts in found)


def spelled(node: ast.Expr, scope: Scope) -> tuple[tuple[str, ...], str | None] | None:
    """The parts of the name of a variable, which may be a component; None for what is no name."""
    if not isinstance(node, ast.Index):
        return dotted(node)
    found = dotted(node.base)
    vector = scope.vector(found[0]) if found is not None else None
    if found is None or vector is None or len(node.args) != 1:
        return None
    place = place_of(node.args[0], ".".join(found[0]), vector.size, scope)
    return None if place is None else (vector.component(place), found[1])


def place_of(node: ast.Expr, name: str, size: int, scope: Scope) -> int | None:
    """An index that is known when the specification is compiled; None after a report."""
    place = expressions.whole(node, scope, f"an index of `{name}`")
    if place is None or 0 <= place < size:
        return place
    scope.context.bag.error(
        "E0166",
        f"`{name}` has no component {place}: there are {size}",
        node.span,
        help=f"the first is 0, the last {size - 1}",
    )
    return None


def no_vector(node: ast.Index, name: str | None, scope: Scope) -> Value:
    """Report an index where there is no vector."""
    if scope.context.bag.poison("an index", scope.kind):
        scope.context.bag.error(
            "E0165",
            f"`{name}` is no vector and takes no index" if name else "this takes no index",
            node.span,
            help="leave it out: names are those of one neuron or synapse; a vector is declared with"
            " its length, as in `state g[3] = 0`",
        )
    return bad(node.span)


def without_index(name: str, vector: Vector, span: Span, scope: Scope) -> Value:
    """A vector that is named where one number is needed."""
    if scope.context.bag.poison(scope.kind, name):
        scope.context.bag.error(
            "E0165",
            f"`{name}` is a vector of {vector.size}: name one component",
            span,
            help=f"as in `{name}[0]`, or `sum({name}[k] over k)`",
        )
    return bad(span)


def summed(node: ast.Call, scope: Scope) -> Value | None:
    """`sum(G[k] * m[k] over k)`, `max(p[k] over k in 3)`; None where it is over something else."""
    over = node.over
    assert over is not None
    if over.kind != "over" or over.last is not None or len(over.axes) != 1:
        return None
    body = node.args[0].value
    name = over.index or over.axes[0].name
    reads = list(uses(body, name))
    if over.index is None and not reads:
        return None
    scope.context.hides(name, node.span, f"`{name}` is an index")
    if over.index is not None:
        size = length(_as_name(over.axes[0]), scope, f"the range of `{name}`")
    else:
        size = range_of(name, reads, scope)
    if size is None:
        return component(reads[0], None, scope) if _scalar(reads[:1], scope) else bad(node.span)
    how = {"sum": "add", "mean": "add", "max": "max", "min": "min", "any": "or"}.get(node.func.name)
    if how is None:
        scope.context.bag.error(
            "E0167",
            f"`{node.func.name}` does not reduce over components",
            node.span,
            help="sum, mean, max, min and any do",
        )
        return bad(node.span)
    total = expressions.translate(with_index(body, name, 0), scope)
    for place in range(1, size):
        if total.bad:
            return total
        term = expressions.translate(with_index(body, name, place), scope)
        total = expressions.apply(how, (total, term), node, scope)
    if node.func.name == "mean":
        total = expressions.apply("div", (total, number(size, node.span)), node, scope)
    return total


def _as_name(ref: ast.Ref) -> ast.Expr:
    first, *rest = ref.parts
    node: ast.Expr = ast.Name(first, span=ref.span)
    for part in rest:
        node = ast.Attribute(node, part, span=ref.span)
    return node


# ---------------------------------------------------------------- free indices


def with_index(node: N, name: str, place: int) -> N:
    """A part of the tree with a number in the place of an index."""

    def visit(part: ast.Node) -> ast.Node | None:
        if isinstance(part, ast.Name) and part.id == name:
            return ast.Number(place, span=part.span)
        return part if isinstance(part, ast.Call) and name in _bound(part) else None

    return rewritten(node, visit)


def _bound(call: ast.Call) -> tuple[str, ...]:
    """The index that a reduction binds for what is in it."""
    over = call.over
    if over is None or over.kind != "over":
        return ()
    return (over.index,) if over.index is not None else tuple(axis.name for axis in over.axes)


def rewritten(node: N, visit: Callable[[ast.Node], ast.Node | None]) -> N:
    """The tree with every part replaced for which `visit` gives another."""
    if isinstance(node, tuple):
        return cast(N, tuple(rewritten(part, visit) for part in node))
    if not isinstance(node, ast.Node):
        return node
    found = visit(node)
    if found is not None:
        return cast(N, found)
    held: Any = node
    parts = {f.name: getattr(held, f.name) for f in fields(held) if f.name not in _PLACES}
    new = {key: rewritten(part, visit) for key, part in parts.items()}
    changed = {key: part for key, part in new.items() if part is not parts[key]}
    changed = {key: part for key, part in changed.items() if part != parts[key]}
    return cast(N, replace(held, **changed)) if changed else node


_PLACES = ("span", "name_span")


def uses(node: ast.Node, name: str) -> Iterator[ast.Index]:
    """Vectors whose index is just `name`, reductions that bind it themselves left out."""
    if isinstance(node, ast.Call) and name in _bound(node):
        return
    if isinstance(node, ast.Index) and len(node.args) == 1:
        index = node.args[0]
        if isinstance(index, ast.Name) and index.id == name:
            yield node
    for child in ast.children(node):
        yield from uses(child, name)


def range_of(
    name: str, reads: Iterable[ast.Index], scope: Scope, side: tuple[str, ...] = ()
) -> int | None:
    """How far a free index goes: as far as all vectors that it indexes; None after a report.

    `side`: the end at which the first one stands, where it does not say so itself.
    """
    first: tuple[int, ast.Index] | None = None
    for use in reads:
        found = dotted(use.base)
        vector = scope.vector((*side, *found[0])) if found is not None else None
        side = ()
        if vector is None:
            continue  # reported where it is read
        if first is None:
            first = vector.size, use
        elif first[0] != vector.size:
            scope.context.bag.error(
                "E0167",
                f"`{name}` goes to {first[0]} in one vector and to {vector.size} in another",
                use.span,
                Label(first[1].span, f"{first[0]} components"),
                help="give both vectors the same length",
            )
            return None
    return first[0] if first is not None else None


def length(node: ast.Expr, scope: Scope, what: str) -> int | None:
    size = expressions.whole(node, scope, what, least=1)
    if size is not None and size > MAX_LENGTH:
        scope.context.bag.error(
            "E0168",
            f"{what} is {size}: at most {MAX_LENGTH} components are written out",
            node.span,
            help="what is one for each of many is a population of its own",
        )
        return None
    return size
