"""`Each`, `Guarded` and `Reduction` as NumPy: arrays with an axis for each of a space's.

Over synapses rows are taken one after the other, so that no work array is larger than the
projection's own. Every work array has the shape of the whole element block.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.codegen.comments import spec_line
from netdsl.codegen.numpy.parts import Parts
from netdsl.codegen.numpy.printer import Printer
from netdsl.codegen.numpy.registers import COPY, Value, assign_registers, render
from netdsl.codegen.numpy.scalars import bare
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Expr, Index, Load, Local, walk
from netdsl.ir.network import Place
from netdsl.ir.places import fixed_length, varies
from netdsl.ir.program import Bind, Each, Guarded, Reduction, Store
from netdsl.ir.space import (
    EDGE,
    NEURON,
    ROW,
    ROW_KIND,
    ROW_KINDS,
    Axis,
    Space,
    join,
    other_slot,
)

FULL = Place.UNIT  # of every array here: it has an element, or is spread, for each of the block
_COMBINE = {"sum": "add", "mean": "add", "max": "maximum", "min": "minimum", "any": "maximum"}
_START = {"max": "-np.inf", "min": "np.inf"}
_ROWS = {"other": ":", "newest": "rows - 1"}  # sides that name a row, and which of a buffer's


@dataclass
class LoopCode:
    """What `each.py.j2` and `reduction.py.j2` need. `by_row`: how many rows or slots, where these
    are taken one by one; `guard`: the spikes of the row, and whose they are; of those `listed`, if
    so; `kept`: views that are copies, to be put back."""

    prelude: list[str]
    shape: str
    by_row: str = ""
    guard: str = ""
    listed: str = ""
    side: str = ""
    views: list[str] = field(default_factory=list)
    registers: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    target: str = ""
    combine: str = ""


def each(op: Each | Guarded, parts: Parts) -> LoopCode:
    """Code of statements over a space."""
    return _Block(parts, op.space, op).each(op)


def reduction(op: Reduction, parts: Parts) -> LoopCode:
    """Code of a reduction over some axes."""
    space = join(parts.program.buffers[op.target].space, op.over)
    return _Block(parts, space).reduction(op)


class _Printer(Printer):
    """Reads of buffers go by side; every array is of one place."""

    def home(self, buffer: str, side: str = "own") -> Value:
        key = f"{side} {buffer}"
        if key not in self._homes:
            self._homes[key] = Value(FULL, text=self.spell(buffer, side), home=True)
        return self._homes[key]

    def place(self, expr: Expr) -> Place:
        return FULL if varies(expr, self.program, self.values) else Place.GLOBAL

    def _leaf(self, expr: Expr) -> Value:
        if isinstance(expr, Load):
            return self.home(expr.buffer, expr.side)
        return super()._leaf(expr)


class _Block:
    def __init__(self, parts: Parts, space: Space, op: Each | Guarded | None = None) -> None:
        self.parts, self.program, self.space = parts, parts.program, space
        self.names = parts.names.child()
        edges = [axis for axis in space if axis.kind == EDGE]
        self.edge = edges[0] if edges else None
        self.listed = parts.edges.get(edges[0].owner, "") if edges else ""
        stores = [] if op is None else [self.program.buffers[name].space for name in op.writes]
        in_order = any(ROW not in held for held in stores)
        self.row = next((axis for axis in space if axis.kind == ROW_KIND), None)
        ordered = in_order and self.row == ROW
        self.by_row = self.row is not None and (bool(edges) or len(space) > 2 or ordered)
        self.side = "" if op is None else op.side
        self.views: dict[str, tuple[str, str]] = {}  # name in the loop: what it is, where it lies
        self.printer = _Printer(
            self.program, self.names, self._view, parts.spelt, self._index, FULL
        )

    def each(self, op: Each | Guarded) -> LoopCode:
        for bind in op.scalars:
            self.printer.bind_scalar(bind)
        stored = []
        for number, statement in enumerate(op.statements):
            live = frozenset(
                node.name
                for later in op.statements[number + 1 :]
                for value in later.values
                for node in walk(value)
                if isinstance(node, Local)
            )
            if not self.space:
                self._single(statement)
                continue
            self.printer.block.comment(spec_line(statement.span, self.program.sources))
            if statement.binds:
                self.printer.bind(Bind(statement.binds, statement.value))
            else:
                self.printer.store(statement.stores, statement.value, live)
                stored.append(self.printer.home(statement.stores).text)
        code = self._code()
        if op.guard:
            code.listed, code.side = self.listed, op.side
            rows = ROW in self.program.buffers[op.guard].space
            code.guard = self.parts.spelt(op.guard) + ("[r]" if rows else "")
            code.kept = [f"{self.views[n][1]} = {n}" for n in dict.fromkeys(stored)]
        return code

    def reduction(self, op: Reduction) -> LoopCode:
        """The value of a block, then its reduction into the target or a row of it."""
        value = self.printer.value(simplify(op.value))
        form = "np.not_equal({0}, 0.0, out={out})" if op.kind == "any" else COPY
        whole = self.printer.block.emit(form, Value(FULL), value)
        self.printer.block.emit("{out} = {0}", Value(FULL, text="value", home=True), whole)
        code = self._code()
        target = self.program.buffers[op.target].space
        name = self.parts.names(op.target)
        code.target = name if target else name + "[()]"
        row = "[r]" if self.by_row and self.row in target else ""
        if target == (ROW,):
            row = "[r, 0]" if self.by_row else "[:, 0]"
        into = name + (row or "[...]")
        ufunc = f"np.{_COMBINE[op.kind]}"
        if self.listed and op.side in ("pre", "post"):
            code.combine = f"{ufunc}.at({name}{row}, {self.listed}.{op.side}, value)"
            return self._finished(code, op, into)
        axes = self._axes()
        over = tuple(k for k, axis in enumerate(axes) if self._reduced(axis, k, op, target))
        if over:
            start = _START.get(op.kind, "0.0")  # synapses there may be none
            reduced = f"{ufunc}.reduce(value, axis={over}, initial={start})"
        else:
            reduced = "value"
        code.combine = f"{into} = {ufunc}({into}, {reduced})"
        return self._finished(code, op, into)

    def _finished(self, code: LoopCode, op: Reduction, into: str) -> LoopCode:
        """The start value, and what a mean is divided by."""
        code.prelude = [
            f"{code.target.removesuffix('[()]')}[...] = {_START.get(op.kind, '0.0')}",
            *code.prelude,
        ]
        if op.kind == "mean":
            code.kept = [f"{code.target.removesuffix('[()]')}[...] /= {self._count(op)}"]
        return code

    def _count(self, op: Reduction) -> str:
        """How many numbers a mean is of."""
        factors = []
        for axis in op.over:
            if axis.kind != EDGE:
                factors.append(self._length(axis))
            elif op.side == "own":
                m, n = self.program.shapes[axis.owner]
                factors.append(f"{self.listed}.count" if self.listed else str(m * n))
            elif self.listed:
                size = self.program.shapes[axis.owner][op.side == "post"]
                factors.append(f"np.bincount({self.listed}.{op.side}, minlength={size})")
            else:
                factors.append(str(self.program.shapes[axis.owner][op.side == "pre"]))
        return f"np.maximum({' * '.join(factors)}, 1)"

    # -- blocks -------------------------------------------------------------------------------

    def _axes(self) -> list[Axis | str]:
        """The axes of a block's arrays: of a matrix of synapses "pre" and "post"."""
        found: list[Axis | str] = []
        for axis in self.space:
            if axis == self.row and self.by_row:
                continue
            found += ["pre", "post"] if axis.kind == EDGE and not self.listed else [axis]
        return found

    def _reduced(self, axis: Axis | str, place: int, op: Reduction, target: Space) -> bool:
        if isinstance(axis, Axis):
            return axis in op.over
        if self.edge in target:
            return False
        return op.side == "own" or axis != op.side

    def _shape(self) -> str:
        sizes = []
        for axis in self._axes():
            if isinstance(axis, str):
                assert self.edge is not None
                size = str(self.program.shapes[self.edge.owner][axis == "post"])
                sizes.append("active.size" if axis == self.side else size)
            elif axis.kind == EDGE:
                sizes.append("at.size" if self.side else f"{self.listed}.count")
            else:
                sizes.append(self._length(axis))
        return ", ".join(sizes)

    def _length(self, axis: Axis) -> str:
        length = fixed_length(axis, self.program)
        return "rows" if length is None else str(length)

    def _code(self) -> LoopCode:
        block = self.printer.block
        registers = assign_registers(block)
        shape = self._shape()
        made = [f'{r.name} = scratch("block {r.name}", {shape})' for r in registers]
        views = [f"{name} = {text}" for name, (text, _) in self.views.items()]
        body = render(block) if block.lines else []
        row = self._length(self.row) if self.row is not None and self.by_row else ""
        return LoopCode(self.printer.prelude, shape, row, views=views, registers=made, body=body)

    def _single(self, statement: Bind | Store) -> None:
        """A statement about single numbers, in Python's floats."""
        if statement.binds:
            self.printer.bind_scalar(Bind(statement.binds, statement.value))
            return
        text = bare(self.printer.scalar_text(simplify(statement.value)))
        self.printer.prelude.append(f"{self.parts.names(statement.stores)}[()] = {text}")

    def _view(self, buffer: str, side: str = "own") -> str:
        """The name in the loop of a buffer's values at one side of the block's elements."""
        name = self.names.fresh(f"{buffer} here" if side == "own" else f"{buffer} {side}")
        whole = self.parts.spelt(buffer)
        held = self.program.buffers[buffer].space
        index, spread = self._subscript(held, side)
        present = self.by_row and side not in _ROWS
        at = "[r]" if present and self.row in held else ""
        at += f"[{', '.join(index)}]" if index else ""
        if held == (ROW,):  # stored (rows, 1)
            at = "[r, 0]" if present else f"[{_ROWS.get(side, ':')}, 0]"
        place = f"{whole}{at}" if at else f"{whole}[...]"
        text = f"{whole}{at}" + (f"[{', '.join(spread)}]" if "None" in spread else "")
        self.views[name] = (text, place)
        return name

    def _subscript(self, held: Space, side: str) -> tuple[list[str], list[str]]:
        """What selects a buffer's elements of the block, and what spreads them over its axes."""
        index: list[str] = []
        own: list[Axis | str | None] = []
        for axis in held:
            if axis.kind == ROW_KIND and side == "newest":
                index.append(f"{self._length(axis)} - 1")
            elif axis.kind == ROW_KIND and side != "other":
                index += [] if self.by_row else [":"]
                own += [] if self.by_row else [axis]
            elif axis.kind in ROW_KINDS:
                index, own = [*index, ":"], [*own, other_slot(axis.owner)]
            elif axis.kind == EDGE and not self.listed:
                index += ["active" if self.side == end else ":" for end in ("pre", "post")]
                own += ["pre", "post"]
            elif axis.kind == EDGE:
                index, own = [*index, "at" if self.side else ":"], [*own, self.edge]
            elif side in ("own", *_ROWS):
                index, own = [*index, ":"], [*own, NEURON]
            elif self.listed:
                some = "[at]" if self.side else ""
                index, own = [*index, f"{self.listed}.{side}{some}"], [*own, self.edge]
            else:
                index, own = [*index, "active" if self.side == side else ":"], [*own, side]
        block = [a if isinstance(a, str) or a.kind != NEURON else NEURON for a in self._axes()]
        return index, [":" if axis in own else "None" for axis in block]

    def _index(self, node: Index) -> str:
        if node.axis is not None:
            raise ValueError("an index along an axis must be lowered to the flat index")
        name = self.names.fresh(f"{node.side} index")
        if self.listed:
            text = f"{self.listed}.{node.side}_index" + ("[at]" if self.side else "")
        else:
            (size,) = [
                size
                for axis, size in zip(self._axes(), self._sizes(), strict=True)
                if axis == node.side or (isinstance(axis, Axis) and axis.kind == NEURON)
            ]
            some = "[active]" if self.side == node.side else ""
            last = node.side == "pre" and self.edge is not None
            text = self.parts.indices_of(size) + some + ("[:, None]" if last else "")
        self.views[name] = (text, "")
        return name

    def _sizes(self) -> list[int]:
        """The fixed lengths of a block's axes; 0 of rows."""
        sizes = []
        for axis in self._axes():
            if isinstance(axis, str):
                assert self.edge is not None
                sizes.append(self.program.shapes[self.edge.owner][axis == "post"])
            else:
                sizes.append(fixed_length(axis, self.program) or 0)
        return sizes
