"""`Each`, `Guarded` and `Reduction` as C: plain loops over any space, for C and CUDA alike.

An element's indices are r and q (rows), k (a neuron), e (a synapse), i and j (its ends). Which
loops there are, or how a thread finds its indices, is said here; templates put them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from netdsl.codegen.c.binds import renamed, settle_binds
from netdsl.codegen.c.elementwise import REDUCTIONS
from netdsl.codegen.c.printer import DOUBLE, Printer
from netdsl.codegen.c.scope import Scope, operations
from netdsl.codegen.comments import c_comment, spec_line
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Expr, Index, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.places import varies
from netdsl.ir.program import Bind, Each, Guarded, Reduction, Store
from netdsl.ir.space import EDGE, NEURON, OTHER_KIND, ROW, ROW_KIND, Axis, Space, join

_NEURONS = {"own": "k", "pre": "i", "post": "j"}
_ROWS = {ROW_KIND: "r", OTHER_KIND: "q"}


@dataclass
class LoopCode:
    """What `each.c.j2` and `reduction.c.j2` need.

    `outer`: heads of the loops over a target or all elements, `inner` those over what is reduced,
    or over rows that go in order. `result`: the type of what is stored. `find`: how a thread gets
    its indices from its number, of `total` ones. `guard`: when a synapse is left out.
    """

    head: list[str]
    outer: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)
    find: list[str] = field(default_factory=list)
    total: str = "1"
    guard: str = ""
    guarded: int = 0  # the loop behind whose head it can be tested
    body: list[str] = field(default_factory=list)
    start: str = ""
    target: str = ""
    result: str = ""
    mean: bool = False
    scattered: int = 0  # neurons whose totals are held at once
    of: str = ""  # the index of one of them
    count: str = ""  # of how many numbers a total is; "" where they are counted
    vector: str = ""  # how the innermost loop is vectorised
    flops: int = 0


def each(op: Each | Guarded, layout: Layout) -> LoopCode:
    """Code of statements over a space. Raises ValueError for what has no place in it."""
    return _Writer(layout, op.space, newest=getattr(op, "newest", False)).each(op)


def by_pointer(code: LoopCode, op: Each | Guarded | Reduction, layout: Layout) -> LoopCode:
    """The same code with arrays held in pointers that say that none overlaps another."""
    arrays = sorted(name for name in op.reads | op.writes if not layout.is_global(name))
    body, target = code.body, code.target
    for name in arrays:
        own = layout.names(name)
        const = "" if name in op.writes else "const "
        code.head.append(f"{const}{layout.ctype(name)} *restrict at_{own} = net->{own};")
        body = [line.replace(f"net->{own}[", f"at_{own}[") for line in body]
        target = target.replace(f"net->{own}[", f"at_{own}[")
    return replace(code, body=body, target=target)


def reduction(op: Reduction, layout: Layout, *, in_lists: bool = False) -> LoopCode:
    """Code of a reduction over some axes; `in_lists`: the synapses of a postsynaptic neuron are
    listed too."""
    target = layout.program.buffers[op.target].space
    return _Writer(layout, join(target, op.over), newest=op.newest).reduction(op, in_lists)


class _Writer:
    def __init__(self, layout: Layout, space: Space, *, newest: bool) -> None:
        self.newest = newest
        self.layout, self.program, self.space = layout, layout.program, space
        self.scope = Scope(layout, {})
        self.printer = Printer(layout.real, self._read, self._place, self.scope.rounded)
        self.wide = Printer(DOUBLE, self._read, self._place, self.scope.double)
        self.exprs: list[Expr] = []

    def each(self, op: Each | Guarded) -> LoopCode:
        """Statements in order at every element."""
        op = settle_binds(op, self.program) if op.space else op
        self.scope.declare(op.scalars)
        code = LoopCode(self.scope.lines)
        if not self.space:
            self._sequence(op.statements)
            return code
        for statement in op.statements:
            line = spec_line(statement.span, self.program.sources)
            code.body += [c_comment(line)] if line else []
            if statement.binds:
                self.scope.places[statement.binds] = Place.UNIT
                name, text = self.scope.local(statement.binds), self._number(statement.value)
                code.body.append(f"const real {name} = {text};")
            else:
                text = self._number(statement.value, statement.stores)
                code.body.append(f"{self._element(statement.stores)} = {text};")
        in_order = ROW in self.space and any(
            ROW not in self.program.buffers[name].space for name in op.writes
        )
        code.outer = self._loops(self.space)
        if not op.guard:
            code.outer = self._flat(code.outer)
        own = tuple(axis for axis in self.space if axis != ROW) if in_order else self.space
        code.inner = self._loops((ROW,)) if in_order else []
        self._spread(code, own)
        if op.guard:
            code.guard = f"{self._element(op.guard, op.side)} == 0"
            code.guarded = len(code.outer) - (2 if op.side == "pre" else 1)
        code.flops = operations(self.exprs)
        return code

    def _sequence(self, statements: Sequence[Bind | Store]) -> None:
        """Statements about single numbers, in double; a name bound again is another name."""
        current: dict[str, str] = {}
        for statement in statements:
            value = self.scope.double(renamed(statement.value, current))
            if statement.stores:
                self.scope.lines.append(f"{self._element(statement.stores)} = {value};")
            else:
                name = current[statement.binds] = f"{statement.binds}#{len(self.scope.lines)}"
                self.scope.lines.append(f"const double {self.scope.local(name)} = {value};")

    def reduction(self, op: Reduction, in_lists: bool) -> LoopCode:
        """A total for each element of the target."""
        start, combine, sign = REDUCTIONS[op.kind]
        target = self.program.buffers[op.target]
        code = LoopCode(self.scope.lines, start=start)
        self._together(code, op, in_lists)
        if not code.scattered:
            code.outer = self._loops(target.space, op.side)
            code.inner = self._over(op.over, op.side)
        self._spread(code, target.space, op.side)
        value, element = self._number(op.value), f"[{code.of}]" if code.scattered else ""
        if all(axis.kind != EDGE for axis in op.over):
            code.count = " * ".join(f"(double){self._extent(axis)}" for axis in op.over)
            code.vector = "#pragma omp simd" + ("" if element else f" reduction({sign} : total)")
        code.body = [f"const real value = {value};", combine.format(a="total" + element, v="value")]
        code.target = self._element(op.target, op.side)
        code.mean = op.kind == "mean"
        code.result = self.layout.ctype(op.target)
        code.flops = operations(self.exprs) + 1
        return code

    def _together(self, code: LoopCode, op: Reduction, in_lists: bool) -> None:
        """What is reduced outside of the loop over neurons is added to the totals of all of them:
        rows, and synapses without lists by postsynaptic neuron."""
        target = self.program.buffers[op.target].space
        if self.layout.splits and target and target[-1].kind == NEURON and op.side == "own":
            code.scattered, code.of = self.program.sizes[target[-1].owner], "k"
            code.outer, code.inner = self._loops(target[:-1]), self._loops((*op.over, target[-1]))
            self._room(code)
            return
        listed = [axis for axis in op.over if axis.kind == EDGE and axis.owner in self.layout.edges]
        if in_lists or op.side != "post" or not listed:
            return
        n = self.program.shapes[listed[0].owner][1]
        rest = tuple(axis for axis in op.over if axis.kind != EDGE)
        code.scattered, code.of = n, "j"
        code.outer = self._loops(tuple(axis for axis in target if axis.kind != NEURON))
        code.inner = [*self._loops(rest), *self._synapses(listed[0])]
        self._room(code)

    def _room(self, code: LoopCode) -> None:
        """For the totals, and counts, of all neurons."""
        room = 2 * code.scattered * 8 // self.layout.real_bytes
        self.layout.tile_reals = max(self.layout.tile_reals, room)

    # -- loops --------------------------------------------------------------------------------

    def _loops(self, axes: Sequence[Axis], side: str = "own") -> list[str]:
        """Heads of the loops over some axes; where `side` is a synapse's, neurons are its ends."""
        heads: list[str] = []
        for axis in axes:
            if axis.kind == EDGE:
                heads += self._synapses(axis)
            elif axis.kind == NEURON:
                heads.append(_loop(_NEURONS[side], self._extent(axis)))
            else:
                last = "net->rows > 0 ? net->rows - 1 : 0"
                first = last if self.newest and axis == ROW else "0"
                heads.append(_loop(_ROWS[axis.kind], self._extent(axis), first))
        return heads

    def _synapses(self, axis: Axis) -> list[str]:
        m, n = self.program.shapes[axis.owner]
        listed = self.layout.edges.get(axis.owner)
        if listed is None:
            return [_loop("i", f"INT64_C({m})"), f"{_loop('j', f'INT64_C({n})')} {_matrix(n)}"]
        return [_loop("i", f"INT64_C({m})"), _out(listed)]

    def _flat(self, heads: list[str]) -> list[str]:
        """Loops over listed synapses as one, which is longer than those of single neurons."""
        axis = next((axis for axis in self.space if axis.kind == EDGE), None)
        listed = self.layout.edges.get(axis.owner) if axis is not None else None
        if axis is None or listed is None:
            return heads
        ends = f"const int64_t i = net->{listed}.pre[e], j = net->{listed}.post[e];"
        return [*heads[:-2], f"{_loop('e', self._extent(axis))} {ends}"]

    def _over(self, axes: Sequence[Axis], side: str) -> list[str]:
        """Heads of the loops over what is reduced, within those over a target."""
        if side == "own":
            return self._loops(axes)
        others = [axis for axis in axes if axis.kind != EDGE]
        (axis,) = (axis for axis in axes if axis.kind == EDGE)
        m, n = self.program.shapes[axis.owner]
        listed = self.layout.edges.get(axis.owner)
        if listed is not None:
            return [*self._loops(others), _out(listed) if side == "pre" else _in(listed)]
        index, length = ("j", n) if side == "pre" else ("i", m)
        return [*self._loops(others), f"{_loop(index, f'INT64_C({length})')} {_matrix(n)}"]

    def _spread(self, code: LoopCode, axes: Sequence[Axis], side: str = "own") -> None:
        """The elements by number: how many there are, and the indices of one."""
        code.total = " * ".join(self._extent(axis) for axis in axes) or "1"
        for place, axis in reversed(list(enumerate(axes))):
            index = {EDGE: "e", NEURON: _NEURONS[side], **_ROWS}[axis.kind]
            extent = self._extent(axis)
            code.find.append(
                f"const int64_t {index} = " + (f"rest % {extent};" if place else "rest;")
            )
            if place:
                code.find.append(f"rest /= {extent};")
            if axis.kind == EDGE:
                code.find += self._ends(axis)

    def _ends(self, axis: Axis) -> list[str]:
        n, listed = self.program.shapes[axis.owner][1], self.layout.edges.get(axis.owner)
        if listed is None:
            return [f"const int64_t i = e / {n}, j = e % {n};"]
        return [f"const int64_t i = net->{listed}.pre[e], j = net->{listed}.post[e];"]

    def _extent(self, axis: Axis) -> str:
        return self.layout.lengths((axis,))[0]

    # -- elements -----------------------------------------------------------------------------

    def _element(self, buffer: str, side: str = "own") -> str:
        held, name = self.program.buffers[buffer], f"net->{self.layout.names(buffer)}"
        text = ""
        for axis in held.space:
            index = {EDGE: "e", NEURON: _NEURONS.get(side, "k"), **_ROWS}[axis.kind]
            if axis.kind == ROW_KIND and side == "other":
                index = _ROWS[OTHER_KIND]
            elif axis.kind == ROW_KIND and side == "newest":
                index = f"({self._extent(axis)} - 1)"
            text = f"({text}) * {self._extent(axis)} + {index}" if text else index
        return f"{name}[{text}]" if text else name

    def _read(self, expr: Expr) -> str:
        if isinstance(expr, Local):
            return self.scope.local(expr.name)
        if isinstance(expr, Load) and expr.ago == 0:
            return self._element(expr.buffer, expr.side)
        if isinstance(expr, Index) and expr.axis is None:
            return f"(real){_NEURONS[expr.side]}"
        raise ValueError("neither an index along an axis nor an earlier value can be read here")

    def _place(self, expr: Expr) -> Place:
        """One number, or many."""
        places = self.scope.places
        bound = [name for name, place in places.items() if place is not Place.GLOBAL]
        return Place.UNIT if varies(expr, self.program, bound) else Place.GLOBAL

    def _number(self, expr: Expr, into: str = "") -> str:
        expr = simplify(expr)
        self.exprs.append(expr)
        double = into and self.layout.ctype(into) == DOUBLE
        return (self.wide if double else self.printer).number(expr)


def _loop(index: str, length: str, first: str = "0") -> str:
    return f"for (int64_t {index} = {first}; {index} < {length}; ++{index}) {{"


def _matrix(n: int) -> str:
    return f"const int64_t e = i * {n} + j;"


def _out(edges: str) -> str:
    """The synapses of a presynaptic neuron."""
    head = f"for (int64_t e = net->{edges}.start[i]; e < net->{edges}.start[i + 1]; ++e) {{"
    return f"{head} const int64_t j = net->{edges}.post[e];"


def _in(edges: str) -> str:
    """The synapses of a postsynaptic neuron."""
    head = f"for (int64_t c = net->{edges}.in_start[j]; c < net->{edges}.in_start[j + 1]; ++c) {{"
    return f"{head} const int64_t e = net->{edges}.in_edge[c], i = net->{edges}.pre[e];"
