"""Short vectors: `state g[K] = 0` is K variables `g[0]`, `g[1]`, …, each as any other.

A body is written out over the tree, with a declaration and a statement for each component. Nothing
below the analysis knows of vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Label
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.components import (
    length,
    named,
    no_vector,
    place_of,
    range_of,
    rewritten,
    uses,
    with_index,
)
from netdsl.sema.scopes.scope import Scope, dotted
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.scopes.context import Context


def expanded(
    body: Iterable[ast.Statement], scope: Scope, declared: dict[str, int]
) -> list[ast.Statement]:
    """A body with a declaration and a statement for each component of its vectors.

    The lengths of vectors that it declares go to `declared`, where `scope` is to find them.
    """
    return _Body(scope, declared).expanded(tuple(body))


class _Body:
    def __init__(self, scope: Scope, declared: dict[str, int]) -> None:
        self.scope, self.declared = scope, declared
        self.context: Context = scope.context
        self.defs: set[str] = set()
        self.names: set[str] = set()  # that the body declares
        self.action = False  # in what a spike or an event does
        self.made = 0  # statements that keep what they compute until all is computed

    def expanded(self, body: tuple[ast.Statement, ...]) -> list[ast.Statement]:
        everything = [part for node in body for part in ast.walk(node)]
        self.defs = {n.name for n in everything if isinstance(n, ast.Def)}
        self.names = {n.name for n in everything if isinstance(n, ast.Named)}
        body = self._once(body)
        parts = [part for node in body for part in ast.walk(node)]
        for node in (n for n in parts if isinstance(n, _SIZED) and n.size is not None):
            assert node.size is not None
            size = length(node.size, self.scope, f"the length of `{node.name}`")
            self.declared[node.name] = 1 if size is None else size
        return self._body(body)

    def _once(self, body: tuple[ast.Statement, ...]) -> tuple[ast.Statement, ...]:
        """The body without vectors that have a name of the body already, and the other way round,
        after a report."""
        first: dict[str, ast.Named] = {}
        kept: list[ast.Statement] = []
        for node in body:
            known = first.setdefault(node.name, node) if isinstance(node, _DECLARING) else node
            if known is node or not (_sized(node) or _sized(known)):
                kept.append(node)
            elif isinstance(node, _DECLARING) and isinstance(known, _DECLARING):
                self.context.bag.error(
                    "E0102",
                    f"`{node.name}` is declared twice in {self.scope.kind}",
                    node.name_span,
                    Label(known.name_span, "first declared here"),
                )
        return tuple(kept)

    def _body(self, body: tuple[ast.Statement, ...]) -> list[ast.Statement]:
        return [new for node in body for new in self._statement(node)]

    def _statement(self, node: ast.Statement) -> Iterable[ast.Statement]:
        if isinstance(node, _SIZED) and node.size is not None:
            return self._declaration(node)
        if isinstance(node, _NESTED):
            outer, self.action = self.action, not isinstance(node, ast.AtUpdate)
            inner = tuple(self._body(node.body))
            self.action = outer
            return (replace(node, body=inner),)
        if isinstance(node, ast.WhenBody):
            then, otherwise = tuple(self._body(node.body)), tuple(self._body(node.otherwise))
            return (replace(node, body=then, otherwise=otherwise),)
        if isinstance(node, ast.Integrate | ast.Expose):
            return (replace(node, names=self._refs(node.names)),)
        if isinstance(node, ast.Refractory):
            return (replace(node, hold=self._refs(node.hold)),)
        if isinstance(node, ast.Reads):
            return (replace(node, values=tuple(v for n in node.values for v in self._read(n))),)
        if isinstance(node, _TARGETED) and isinstance(node.target, ast.Index):
            return self._indexed(node, node.target)
        return (node,)

    def _declaration(self, node: ast.Input | ast.State | ast.Def) -> Iterator[ast.Statement]:
        for place in range(self.declared[node.name]):
            new = replace(node, name=named(node.name, place), size=None)
            if isinstance(new, ast.Def):
                index = new.index
                value = new.value if index is None else with_index(new.value, index, place)
                if index is not None and place == 0:
                    self.context.hides(index, node.span, f"`{index}` is an index")
                new = replace(new, value=value, index=None)
            yield new

    def _refs(self, names: tuple[ast.Ref, ...]) -> tuple[ast.Ref, ...]:
        """`integrate g` and `hold g` mean all components."""
        return tuple(
            replace(ref, name=name)
            for ref in names
            for name in (
                [named(ref.name, i) for i in range(self.declared[ref.name])]
                if ref.name in self.declared
                else [ref.name]
            )
        )

    def _read(self, node: ast.Expr) -> Iterator[ast.Expr]:
        """What a `reads` list names: of a vector all components."""
        found = dotted(node)
        vector = self.scope.vector(found[0]) if found is not None else None
        if found is None or vector is None:
            yield node
            return
        for place in range(vector.size):
            parts = vector.component(place)
            read: ast.Expr = ast.Name(parts[0], span=node.span)
            for part in parts[1:]:
                read = ast.Attribute(read, part, span=node.span)
            yield ast.At(read, found[1], span=node.span) if found[1] is not None else read

    # ------------------------------------------------------------ statements with an index

    def _indexed(
        self, node: ast.Assign | ast.Ode | ast.Deliver, target: ast.Index
    ) -> Iterable[ast.Statement]:
        name = target.base.id if isinstance(target.base, ast.Name) else None
        side = ("post",) if isinstance(node, ast.Deliver) else ()
        vector = self.scope.vector((*side, name)) if name is not None else None
        if name is None or vector is None or len(target.args) != 1:
            no_vector(target, name, self.scope)
            return ()
        index = target.args[0]
        if isinstance(index, ast.Name) and index.id in self.names:
            self._moving(index)
            return ()
        if isinstance(index, ast.Name) and self._free(index):
            reads = list(uses(node.value, index.id))
            agrees = not reads or range_of(index.id, [target, *reads], self.scope, side)
            return self._all(node, name, index.id, vector.size) if agrees else ()
        if isinstance(node, ast.Deliver) and _names_end(index):
            return self._chosen(node, name, index, vector.size)
        place = place_of(index, name, vector.size, self.scope)
        return () if place is None else (_at(node, name, place),)

    def _moving(self, index: ast.Name) -> None:
        self.context.bag.error(
            "E0106",
            f"`{index.id}` is a variable: an index is known when the specification is compiled",
            index.span,
            help="give the index a name of its own",
        )

    def _free(self, index: ast.Name) -> bool:
        """Whether a name is an index of the statement's own, and not that of a value."""
        return self.scope.find((index.id,), None, index.span) is None

    def _all(
        self, node: ast.Assign | ast.Ode | ast.Deliver, name: str, index: str, size: int
    ) -> Iterator[ast.Statement]:
        """A statement for each component, all from the values before it."""
        copies = [_at(with_index(node, index, place), name, place) for place in range(size)]
        if not isinstance(node, ast.Assign) or size == 1 or not self._mixes(node, name, index):
            yield from copies
            return
        if self.action:
            self.context.bag.error(
                "E0170",
                f"components of `{name}` are computed from others, which change here too",
                node.span,
                help="compute them outside of the braces, into a further vector, and assign that",
            )
            return
        self.made += 1
        new = [f"{named(name, place)}.new{self.made}" for place in range(size)]
        for let, copy in zip(new, copies, strict=True):
            yield ast.Let(let, copy.value, span=node.span, name_span=node.target.span)
        for place, let in enumerate(new):
            yield _at(replace(node, value=ast.Name(let, span=node.span)), name, place)

    def _mixes(self, node: ast.Assign, name: str, index: str) -> bool:
        """Whether one component may be computed from another, which the statement changes too."""
        own = {id(use) for use in uses(node.value, index)}
        for part in ast.walk(node.value):
            vector = part.base if isinstance(part, ast.Index) and id(part) not in own else None
            if vector is not None and dotted(vector) == ((name,), None):
                return True
            if isinstance(part, ast.Name) and part.id in self.defs:
                return True
        return False

    def _chosen(
        self, node: ast.Deliver, name: str, index: ast.Expr, size: int
    ) -> Iterator[ast.Statement]:
        """`deliver cls[pre.index] += e`: component c receives where the index is c."""
        if not self._within(index, name, size):
            return
        for place in range(size):
            here = ast.Binary("==", index, ast.Number(place, span=index.span), span=index.span)
            value = ast.Binary("*", here, node.value, span=node.value.span)
            yield _at(replace(node, value=value), name, place)

    def _within(self, index: ast.Expr, name: str, size: int) -> bool:
        """Whether an index is a component for every unit at its end; reports where it is not."""
        sides = _ends_in(index)
        if len(sides) != 1:
            self.context.bag.error(
                "E0166",
                "the component of a delivery depends on one end of the synapse, this on both",
                index.span,
                help="compute it from `pre.index` or from `post.index`",
            )
            return False
        counts = {of: self.scope.units(sides[0], of) or 0 for of in _choices(index)}
        for chosen in product(*(range(count) for count in counts.values())):
            here = _with(index, sides[0], dict(zip(counts, chosen, strict=True)))
            place = expressions.constant(here, self.scope, f"the component of `{name}`")
            if place.bad:
                return False
            number = place.constant
            if number is None or number != int(number) or not 0 <= number < size:
                unit = ", ".join(f"{of} {code}" for of, code in zip(counts, chosen, strict=True))
                self.context.bag.error(
                    "E0166",
                    f"`{name}` has no component {number:g}, which `{sides[0]}` with {unit} would "
                    f"choose: there are {size}",
                    index.span,
                    help=f"make `{name}` as long as there are choices",
                )
                return False
        return True


def _at(node: Any, name: str, place: int) -> Any:
    """A statement whose target is one component."""
    target = ast.Name(named(name, place), span=node.target.span)
    return replace(node, target=target)


def _names_end(node: ast.Expr) -> bool:
    return bool(_ends_in(node))


def _ends_in(node: ast.Expr) -> list[str]:
    """The ends of a synapse that an index is computed from."""
    found = [dotted(part) for part in ast.walk(node) if isinstance(part, ast.Attribute)]
    sides = [parts[0][0] for parts in found if parts is not None]
    return list(dict.fromkeys(side for side in sides if side in ("pre", "post")))


def _choices(node: ast.Expr) -> list[str]:
    """By what of a unit an index chooses: its `index`, its `type`."""
    names = [part.name for part in ast.walk(node) if isinstance(part, ast.Attribute)]
    return list(dict.fromkeys(name for name in names if name in ("index", "type")))


def _with(node: ast.Expr, side: str, numbers: dict[str, int]) -> ast.Expr:
    """An index for a unit of such numbers."""

    def visit(part: ast.Node) -> ast.Node | None:
        if not isinstance(part, ast.Attribute) or dotted(part.base) != ((side,), None):
            return None
        known = numbers.get(part.name)
        return None if known is None else ast.Number(known, span=part.span)

    return rewritten(node, visit)


def _sized(node: ast.Node) -> bool:
    return isinstance(node, _SIZED) and node.size is not None


_DECLARING = (ast.Input, ast.State, ast.Def, ast.Let, ast.Spike, ast.Trace, ast.Param)
_SIZED = (ast.Input, ast.State, ast.Def)
_NESTED = (ast.Spike, ast.OnEvent, ast.AtUpdate)
_TARGETED = (ast.Assign, ast.Ode, ast.Deliver)
