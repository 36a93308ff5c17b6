"""Fusion of the statements of an `Elementwise` operation into as few loops as order allows.

Every ROW buffer is renamed at each store, so that statements once per row can stand before the
loop that uses them. The rest falls into *levels*: a `RowReduce` of level L is known at level L + 1,
and statements that do not depend on it stay in the loop of level L. Order between reads and writes
of a buffer is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netdsl.ir.expr import Expr, Load, Local, loads, transform, walk
from netdsl.ir.network import Place
from netdsl.ir.places import place_of
from netdsl.ir.program import (
    Bind,
    DrawStore,
    Elementwise,
    Program,
    RowReduce,
    Statement,
    Store,
)

LoopStatement = Bind | Store | DrawStore | RowReduce


@dataclass(frozen=True)
class RowValue:
    """A number of one row: what a ROW buffer holds after one of its stores, or a bound name."""

    name: str
    value: Expr
    double: bool = False  # computed in float64


@dataclass
class Level:
    """Values once per row, then one loop over neurons; reductions end it.

    A `RowReduce`, or a `DrawStore` to a ROW buffer, names the version that it makes.
    """

    values: list[RowValue] = field(default_factory=list)
    statements: list[LoopStatement] = field(default_factory=list)


@dataclass(frozen=True)
class RowPlan:
    """An operation as levels. `loaded` and `stored` map ROW buffers to version names."""

    levels: tuple[Level, ...]
    scalars: tuple[Bind, ...]
    loaded: Mapping[str, str]
    stored: Mapping[str, str]
    places: Mapping[str, Place]


@dataclass
class _Item:
    statement: LoopStatement
    row: bool  # executed once per row
    reads: frozenset[str]
    writes: frozenset[str]
    level: int = 0
    double: bool = False
    ends_loop: bool = False  # what it makes is known behind the loop


def version(buffer: str, number: int) -> str:
    """Name of a ROW buffer's value after its `number`-th store in an operation."""
    return f"{buffer}#{number}"


def plan_rows(op: Elementwise, program: Program, *, behind: bool = False) -> RowPlan:
    """Split an operation into levels; shapes and meaning as in `netdsl.ir.program`.

    `behind`: counts are finished behind the loop that draws them.
    """
    renamer = _Renamer(program, {bind.name: Place.GLOBAL for bind in op.scalars}, behind)
    items = [renamer.item(statement) for statement in op.statements]
    scalars = op.scalars + tuple(renamer.scalars)
    kept = [item for item in items if item is not None]
    if not _settle(kept):
        _in_sequence(kept)
    count = 1 + max((item.level for item in kept), default=0)
    levels = tuple(Level() for _ in range(count))
    for item in kept:
        level, statement = levels[item.level], item.statement
        if item.row:
            level.values.append(RowValue(statement.binds, statement.values[0], item.double))
        else:
            level.statements.append(statement)
    return RowPlan(levels, scalars, renamer.loaded, renamer.current, renamer.places)


class _Renamer:
    def __init__(self, program: Program, places: dict[str, Place], behind: bool) -> None:
        self.program, self.behind = program, behind
        self.places = places
        self.scalars: list[Bind] = []
        self.loaded: dict[str, str] = {}
        self.current: dict[str, str] = {}  # only buffers that were stored
        self._count: dict[str, int] = {}
        self._bound: dict[str, str] = {}  # a name bound again is another name

    def item(self, statement: Statement) -> _Item | None:
        """The statement with versions for ROW buffers; None when it is a scalar."""
        return _ITEMS[type(statement)](self, statement)

    def reduce(self, statement: RowReduce) -> _Item:
        """A reduction makes the next version of its buffer."""
        value, name = self._rename(statement.value), self._next(statement.buffer)
        reduce = replace(statement, value=value, buffer=name)
        return _Item(reduce, False, _reads(value), frozenset({f"%{name}"}), ends_loop=True)

    def store(self, statement: Store) -> _Item:
        """A store to a ROW buffer makes its next version."""
        value = self._rename(statement.value)
        if self.program.buffers[statement.buffer].place is Place.ROW:
            name = self._next(statement.buffer)
            bind = Bind(name, value, statement.span)
            double = self.program.buffers[statement.buffer].double
            return _Item(bind, True, _reads(value), frozenset({f"%{name}"}), double=double)
        reads = _reads(value)
        return _Item(replace(statement, value=value), False, reads, frozenset({statement.buffer}))

    def bind(self, bind: Bind) -> _Item | None:
        """A name; a scalar is none of the items."""
        bind = Bind(bind.name, self._rename(bind.value), bind.span)
        place = place_of(bind.value, self.program, self.places)
        if bind.name in self.places:
            self._count[bind.name] = self._count.get(bind.name, 0) + 1
            again = f"{bind.name}#again{self._count[bind.name]}"
            self._bound[bind.name] = again
            bind = replace(bind, name=again)
        self.places[bind.name] = place
        if place is Place.GLOBAL:
            self.scalars.append(bind)
            return None
        row = place is Place.ROW
        return _Item(bind, row, _reads(bind.value), frozenset({f"%{bind.name}"}))

    def draw(self, draw: DrawStore) -> _Item:
        """A draw to a ROW buffer makes its next version."""
        args = tuple(self._rename(arg) for arg in draw.args)
        reads = frozenset().union(*(_reads(arg) for arg in args)) if args else frozenset()
        if self.program.buffers[draw.buffer].place is not Place.ROW:
            ends = self.behind and draw.distribution == "poisson"
            held = replace(draw, args=args)
            return _Item(held, False, reads, frozenset({draw.buffer}), ends_loop=ends)
        name = self._next(draw.buffer)
        drawn = replace(draw, args=args, buffer=name)
        return _Item(drawn, False, reads, frozenset({f"%{name}"}), ends_loop=True)

    def _next(self, buffer: str) -> str:
        number = self._count.get(buffer, 0) + 1
        self._count[buffer] = number
        name = version(buffer, number)
        self.current[buffer] = name
        self.places[name] = Place.ROW
        return name

    def _rename(self, value: Expr) -> Expr:
        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Local):
                return Local(self._bound.get(node.name, node.name), node.span)
            if not isinstance(node, Load):
                return None
            if self.program.buffers[node.buffer].place is not Place.ROW:
                return None
            name = self.current.get(node.buffer)
            if name is None:
                name = self.loaded.setdefault(node.buffer, version(node.buffer, 0))
                self.places[name] = Place.ROW
            return Local(name, node.span)

        return transform(value, visit)


_ITEMS: dict[type, Callable[[_Renamer, Any], _Item | None]] = {
    Bind: _Renamer.bind,
    Store: _Renamer.store,
    RowReduce: _Renamer.reduce,
    DrawStore: _Renamer.draw,
}


def _reads(value: Expr) -> frozenset[str]:
    names = {f"%{node.name}" for node in walk(value) if isinstance(node, Local)}
    return frozenset(names) | frozenset(loads(value))


def _settle(items: list[_Item]) -> bool:
    """Raise levels until order holds; False when names would have to cross loops."""
    for _ in range(len(items) + 2):
        before = [item.level for item in items]
        for position, item in enumerate(items):
            for earlier in items[:position]:
                item.level = max(item.level, _least(earlier, item))
        for item in items:
            if item.statement.binds and not item.row:
                users = [other.level for other in items if item.writes & other.reads]
                item.level = max([item.level, *users])
        if before == [item.level for item in items]:
            return True
    return False


def _least(earlier: _Item, later: _Item) -> int:
    """The lowest level that `later` may have because of `earlier`."""
    if earlier.writes & (later.reads | later.writes if earlier.ends_loop else later.reads):
        return earlier.level + earlier.ends_loop
    if earlier.writes & later.writes or earlier.reads & later.writes:
        return earlier.level
    return 0


def _in_sequence(items: list[_Item]) -> None:
    """One level after every reduction, in the order written."""
    level = 0
    for item in items:
        item.level = level
        level += item.ends_loop
