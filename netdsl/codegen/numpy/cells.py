"""Printing of `Elementwise`: statements over the (row, neuron) pairs of one population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from netdsl.codegen.comments import spec_line
from netdsl.codegen.errors import BackendError
from netdsl.codegen.names import Names
from netdsl.codegen.numpy.printer import Printer
from netdsl.codegen.numpy.registers import COPY, Register, Value, assign_registers, render
from netdsl.codegen.plan.coalesce import coalesce
from netdsl.ir.expr import Index, Local, span_of, walk
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Bind,
    DrawStore,
    Elementwise,
    Program,
    RowReduce,
    Statement,
    Store,
)

_REDUCE = {
    "sum": "np.add.reduce({0}, axis=1, keepdims=True, out={out})",
    "mean": "np.add.reduce({0}, axis=1, keepdims=True, out={out})",
    "max": "np.maximum.reduce({0}, axis=1, keepdims=True, out={out})",
    "min": "np.minimum.reduce({0}, axis=1, keepdims=True, out={out})",
    "any": "np.logical_or.reduce({0}, axis=1, keepdims=True, out={out})",
}


@dataclass
class CellsCode:
    """What the template of an elementwise operation is filled with.

    `views` are the buffers cut into tiles of rows, `registers` the scratch arrays of a tile;
    `slots`: what is cut in the loop, since it moves, and the names of the whole arrays.
    """

    prelude: list[str]
    body: list[str]
    views: list[str] = field(default_factory=list)
    registers: tuple[Register, ...] = ()
    size: int = 0
    tiled: bool = True
    slots: list[tuple[str, str]] = field(default_factory=list)


def live_after(statements: tuple[Statement, ...]) -> list[frozenset[str]]:
    """For each statement, the bound names that later ones read."""
    live: list[frozenset[str]] = []
    names: set[str] = set()
    for statement in reversed(statements):
        live.append(frozenset(names))
        names.discard(statement.binds)
        for value in statement.values:
            names |= {node.name for node in walk(value) if isinstance(node, Local)}
    return live[::-1]


@dataclass
class CellsPrinter:
    """Prints one `Elementwise`; `stream` names the random stream of a path, `index` the array of
    a population's neuron indices."""

    program: Program
    op: Elementwise
    names: Names  # of the function's scope
    buffer: Callable[[str], str]
    stream: Callable[[str], str]
    neuron_index: Callable[[str], str]

    def code(self) -> CellsCode:
        """The filled-in pieces."""
        self.views: list[str] = []
        self.slots: list[tuple[str, str]] = []
        self.printer = Printer(
            self.program, self.names, self._spell, self.buffer, self._index, Place.UNIT
        )
        for bind in self.op.scalars:
            self.printer.bind_scalar(bind)
        live = live_after(self.op.statements)
        for statement, names in zip(self.op.statements, live, strict=True):
            self._statement(statement, names)
        coalesce(self.printer.block)
        registers = assign_registers(self.printer.block)
        stored = (self.program.buffers[name] for name in self.op.writes)
        tiled = not any(buffer.place is Place.NEURON for buffer in stored)
        return CellsCode(
            self.printer.prelude,
            render(self.printer.block),
            list(dict.fromkeys(self.views)),
            registers,
            self.program.sizes[self.op.population],
            tiled,
            self.slots,
        )

    def _spell(self, buffer: str) -> str:
        name = self.buffer(buffer)
        if not name.isidentifier():
            return self._slot(buffer, name)
        if self.program.buffers[buffer].place in (Place.ROW, Place.UNIT):
            self.views.append(name)
        return name

    def _slot(self, buffer: str, text: str) -> str:
        """The name of a slot of a ring, found before the loop and cut in it."""
        whole = self.names.fresh(buffer)
        self.printer.prelude.append(f"{whole} = {text}")
        if self.program.buffers[buffer].place is Place.NEURON:
            return whole
        name = self.names.fresh(f"{buffer} tile")
        self.slots.append((name, whole))
        return name

    def _index(self, node: Index) -> str:
        if node.axis is not None:
            raise BackendError(
                "E0816",
                f"the index along axis `{node.axis}` of `{self.op.population}` is not lowered",
                "use the flat index",
            )
        return self.neuron_index(self.op.population)

    def _statement(self, statement: Statement, live: frozenset[str]) -> None:
        if statement.binds and statement.binds not in live:
            return
        span = statement.span or span_of(statement.values[0])
        self.printer.block.comment(spec_line(span, self.program.sources))
        _STATEMENTS[type(statement)](self, statement, live)

    def bind(self, statement: Bind, live: frozenset[str]) -> None:
        """A name for later statements."""
        self.printer.bind(statement)

    def store(self, statement: Store, live: frozenset[str]) -> None:
        """A store, element by element."""
        self.printer.store(statement.buffer, statement.value, live)

    def reduce(self, statement: RowReduce, live: frozenset[str]) -> None:
        """A reduction over the neurons of each row."""
        printer, target = self.printer, self.printer.home(statement.buffer)
        printer.keep_aliases(target, live)
        truth = statement.kind == "any"
        value = printer.spread(printer.value(statement.value, mask=truth), truth)
        form = _REDUCE[statement.kind]
        if truth:
            found = printer.block.emit(form, Value(Place.ROW, True), value, in_place=False)
            printer.block.emit(COPY, target, found)
        else:
            printer.block.emit(form, target, value, in_place=False)
        if statement.kind == "mean":
            size = float(self.program.sizes[self.op.population])
            printer.block.emit(f"np.divide({{out}}, {size!r}, out={{out}})", target, updates=True)
        printer.stored(statement.buffer)

    def draw(self, statement: DrawStore, live: frozenset[str]) -> None:
        """A draw for each element."""
        printer, target = self.printer, self.printer.home(statement.buffer)
        printer.keep_aliases(target, live)
        args = [printer.value(arg) for arg in statement.args]
        stream = self.stream(statement.stream)
        slots = ", ".join(f"{{{position}}}" for position in range(len(args)))
        self.views.append("row_keys")
        form = f"draw_{statement.distribution}({stream}, row_keys, step, {slots}, out={{out}})"
        if "step = int(t)" not in printer.prelude:
            step = self.buffer(self.program.counter("t"))
            printer.prelude.append(f"step = int({step})")
        printer.block.emit(form, target, *args, in_place=False)
        printer.stored(statement.buffer)


_STATEMENTS: dict[type, Callable[[CellsPrinter, Any, frozenset[str]], None]] = {
    Bind: CellsPrinter.bind,
    Store: CellsPrinter.store,
    RowReduce: CellsPrinter.reduce,
    DrawStore: CellsPrinter.draw,
}
