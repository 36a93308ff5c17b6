"""`Elementwise` operations as C: rows outside, fused loops over neurons inside.

Fills `templates/c/elementwise.c.j2`. Sums over neurons are accumulated in double.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netdsl.codegen.c.held import Held
from netdsl.codegen.c.printer import DOUBLE, Printer, literal
from netdsl.codegen.c.rows import RowPlan, plan_rows
from netdsl.codegen.c.scope import Scope, operations
from netdsl.codegen.c.split import Part, in_parts
from netdsl.codegen.comments import c_comment, spec_line
from netdsl.codegen.plan.instructions import ListedCells
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Expr, Index, Load, Local, loads
from netdsl.ir.network import Place
from netdsl.ir.program import Bind, DrawStore, Elementwise, RowReduce, Store
from netdsl.streams.draws import stream_hash

# kind: (identity, combination in the loop, OpenMP's operator; `least` and `greatest` are those of
# templates/c/elementwise.c.j2 and keep NaN)
REDUCTIONS = {
    "sum": ("0", "{a} += (double){v};", "+"),
    "mean": ("0", "{a} += (double){v};", "+"),
    "max": ("-INFINITY", "{a} = max_d({a}, (double){v});", "greatest"),
    "min": ("INFINITY", "{a} = min_d({a}, (double){v});", "least"),
    "any": ("0", "{a} = max_d({a}, (double)({v} != 0));", "greatest"),
}


@dataclass
class DrawCode:
    """Random words (or normal draws) of one row, made before its loops."""

    words: str
    offset: int
    count: int
    stream: str
    normals: str = ""
    normals_offset: int = 0


@dataclass
class LevelCode:
    """Lines once per row, accumulators, the loop's body, and what follows the loop.

    `pointers` are the loop's own, where the operation is in parts.
    """

    pointers: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    accumulators: list[str] = field(default_factory=list)
    reductions: list[tuple[str, str]] = field(default_factory=list)  # operator, accumulator
    pragma: str = ""
    spans: list[tuple[int, int]] = field(default_factory=list)  # of elements, a loop for each
    body: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ListCode:
    """An index list made of the stored row: its field, the row's first element and its width.

    `matrix`: the field of a buffer that is kept only as this list, else "".
    """

    name: str
    row: str
    width: int
    with_values: bool
    matrix: str = ""


@dataclass
class ElementwiseCode:
    """What the template needs. `listed`: pointers of the lists, where loops have their own."""

    size: int
    head: list[str]
    pointers: list[str]
    loaded: list[str]
    draws: list[DrawCode]
    levels: list[LevelCode]
    stored: list[str]
    listed: list[str]
    lists: list[ListCode]
    bytes_per_row: int
    flops_per_row: int
    newest: bool = False  # the last row alone


def elementwise(op: Elementwise | ListedCells, layout: Layout) -> ElementwiseCode:
    """Code of one operation, and of the lists that it makes of what it stores.

    What need not be stored as a matrix now is stored in lines of scratch. Raises ValueError for an
    expression that has no place here.
    """
    made = op if isinstance(op, ListedCells) else ListedCells(op, ())
    code = _Writer(made, layout).write()
    for window in made.windows:
        use, row = layout.lists[window], layout.names(window.buffer)
        matrix = row if window in made.light else ""
        code.lists.append(
            ListCode(use.name, f"{row} + {window.first}", window.width, use.values, matrix)
        )
    return code


def spans(size: int, lanes: int) -> list[tuple[int, int]]:
    """From where to where loops go: over whole vectors, then over what is left, in a half and a
    quarter of one, since a C compiler would do it one by one."""
    first, found = 0, list[tuple[int, int]]()
    for width in (lanes, lanes // 2, lanes // 4):
        last = size - (size - first) % width if width > 1 and size > lanes else first
        if last > first:
            found.append((first, last))
        first = last
    return [*found, (first, size)] if first < size or not found else found


class _Writer:
    def __init__(self, made: ListedCells, layout: Layout) -> None:
        op = made.cells
        self.windows = made.windows
        self.op, self.layout, self.program = op, layout, layout.program
        # When a buffer is stored as a matrix, where that is not always.
        self.when = {w.buffer: f"net->{layout.lists[w].name}.nonzeros < 0" for w in made.light}
        self.when.update(dict.fromkeys(made.late, "net->storing"))
        self.plan: RowPlan = plan_rows(op, layout.program, behind=layout.splits)
        self.scope = Scope(layout, self.plan.places)
        self.printer = Printer(layout.real, self._read, self.scope.place, self.scope.rounded)
        self.wide = Printer(DOUBLE, self._read, self.scope.place, self.scope.double)
        self.size = layout.program.sizes.get(op.population, 0)
        self.draws: list[DrawCode] = []
        # UNIT and NEURON buffers: whether they are stored; those of one loop, and all.
        self.buffers: dict[str, bool] = {}
        self.touched: dict[str, bool] = {}
        self.held = Held()
        self.kept: dict[str, str] = {}  # pointers of names that other loops read
        self.exprs: list[Expr] = []
        self._word_count = self._normal_count = 0

    def write(self) -> ElementwiseCode:
        self.scope.declare(self.plan.scalars)
        parts = self._parts()
        levels = [self._loop(part) for part in parts]
        split = len(parts) > len(self.plan.levels) or any(part.taken for part in parts)
        for level in levels:
            if split:
                level.spans = [(0, self.size)]  # a long body is not written again
            else:
                level.pointers = []
        self.layout.words = max(self.layout.words, self._word_count)
        self.layout.normals = max(self.layout.normals, self._normal_count)
        names = self.layout.names
        return ElementwiseCode(
            self.size,
            self.scope.lines,
            [] if split else self._pointers(self.touched),
            [
                f"const {self.layout.ctype(buffer)} {self.scope.local(version)}"
                f" = net->{names(buffer)}[r];"
                for buffer, version in self.plan.loaded.items()
            ],
            self.draws,
            levels,
            [
                f"net->{names(buffer)}[r] = {self.scope.local(version)};"
                for buffer, version in self.plan.stored.items()
            ],
            self._pointers({w.buffer: True for w in self.windows}) if split else [],
            [],
            self._traffic(),
            operations(self.exprs) * self.size,
            self.op.newest,
        )

    def _parts(self) -> list[Part]:
        if self.layout.splits:
            return in_parts(self.plan.levels, self.scope.place)
        return [Part(level.values, level.statements) for level in self.plan.levels]

    def _loop(self, part: Part) -> LevelCode:
        """Code of one loop, with its own pointers."""
        self.buffers = {}
        for name in part.kept:
            self.kept[name] = self._line(name)
        code = self._level(part)
        lines = [self.kept[name] for name in (*part.taken, *part.kept)]
        code.pointers = [*self._pointers(self.buffers), *lines]
        for buffer, stored in self.buffers.items():
            self.touched[buffer] = self.touched.get(buffer, False) or stored
        return code

    def _level(self, level: Part) -> LevelCode:
        code = LevelCode()
        code.body += [
            f"const real {self.scope.local(n)} = {self.scope.local(n)}_line[k];"
            for n in level.taken
        ]
        for value in level.values:
            text = self._number(value.value, value.double)
            ctype = "double" if value.double else "real"
            code.values.append(f"const {ctype} {self.scope.local(value.name)} = {text};")
        self.held = Held(level.statements, self.layout.is_global)
        for statement in level.statements:
            line = spec_line(statement.span, self.program.sources)
            if line:
                code.body.append(c_comment(line))
            for buffer, name in self.held.load(statement, self._register):
                ctype = self.layout.ctype(buffer)
                code.body.append(f"const {ctype} {name} = {self._element(buffer)};")
            _STATEMENTS[type(statement)](self, statement, code)
            if statement.binds in level.kept:
                name = self.scope.local(statement.binds)
                code.body.append(f"{name}_line[k] = {name};")
        code.pragma = "".join(f" reduction({sign}:{name})" for sign, name in code.reductions)
        code.spans = spans(self.size, 1 if code.reductions else 64 // self.layout.real_bytes)
        return code

    def bind(self, bind: Bind, code: LevelCode) -> None:
        """A name of the loop's body."""
        if bind.name not in self.scope.places:  # a part of a long expression
            self.scope.places[bind.name] = self.scope.place(bind.value)
        name = self.scope.local(bind.name)
        code.body.append(f"const real {name} = {self._number(bind.value)};")

    def store(self, statement: Store, code: LevelCode) -> None:
        """A store of the loop's body."""
        name, ctype = statement.buffer, self.layout.ctype(statement.buffer)
        text = self._number(statement.value, self.program.buffers[name].double)
        held = self.held.store(name, self._register)
        if held:
            code.body.append(f"const {ctype} {held} = {text};")
        code.body.append(self._store(statement, held or text))

    def _number(self, expr: Expr, double: bool = False) -> str:
        expr = simplify(expr)
        self.exprs.append(expr)
        for buffer in loads(expr):
            if self.program.buffers[buffer].place is not Place.GLOBAL:
                self.buffers.setdefault(buffer, False)
        return (self.wide if double else self.printer).number(expr)

    def _store(self, statement: Store | DrawStore, text: str) -> str:
        self.buffers[statement.buffer] = True
        return f"{self._element(statement.buffer)} = {text};"

    def _element(self, buffer: str) -> str:
        return f"{self.layout.names(buffer)}[k]"

    def _register(self, buffer: str) -> str:
        return self.scope.fresh(f"{buffer} now")

    def reduce(self, statement: RowReduce, code: LevelCode) -> None:
        """A total that the loop adds up, and what becomes of it behind."""
        start, combine, sign = REDUCTIONS[statement.kind]
        version = self._version(statement)
        sum_name, value = self.scope.fresh("total"), self.scope.fresh("term")
        code.accumulators.append(f"double {sum_name} = {start};")
        code.body.append(f"const real {value} = {self._number(statement.value)};")
        code.body.append(combine.format(a=sum_name, v=value))
        result = f"{sum_name} / {max(self.size, 1)}.0" if statement.kind == "mean" else sum_name
        code.results.append(f"const real {version} = (real)({result});")
        code.reductions.append((sign, sum_name))

    def _version(self, statement: RowReduce | DrawStore) -> str:
        return self.scope.local(statement.buffer)

    def draw(self, draw: DrawStore, code: LevelCode) -> None:
        """A draw for each element, or one for the row."""
        self.held.names.pop(draw.buffer, None)
        row = draw.buffer not in self.program.buffers  # the name of a ROW buffer's version
        words = self._words(draw, 1 if row else self.size)
        index = "0" if row else "k"
        if row:
            text = self._drawn(draw, words, index)
            code.results.append(f"const real {self._version(draw)} = {text};")
        elif draw.distribution == "poisson" and self.layout.splits:
            # Most counts are 0 and seen to be so without a branch; the others follow the loop.
            mean = self._number(draw.args[0])
            code.body.append(self._store(draw, f"perhaps_of({words.words}[k], {mean})"))
            name, pointer = self.layout.names(draw.buffer), self._pointer(draw.buffer, True)
            code.results.append(f"{{ {pointer} poisson_row({name}, {words.words}, SIZE); }}")
        else:
            code.body.append(self._store(draw, self._drawn(draw, words, index)))

    def _words(self, draw: DrawStore, count: int) -> DrawCode:
        padded = (count + 3) // 4 * 4
        name = self.scope.fresh("words")
        stream = f"0x{stream_hash(draw.stream):016X}u"
        made = DrawCode(name, self._word_count, count, stream)
        self._word_count += padded
        self.layout.poisson |= draw.distribution == "poisson"
        self.layout.gamma |= draw.distribution == "gamma"
        if draw.distribution in ("normal", "lognormal"):
            made.normals = self.scope.fresh("normals")
            made.normals_offset = self._normal_count
            self._normal_count += padded
        self.draws.append(made)
        return made

    def _drawn(self, draw: DrawStore, made: DrawCode, index: str) -> str:
        word = f"{made.words}[{index}]"
        if draw.distribution == "bernoulli":
            one, zero = literal(1, self.layout.real), literal(0, self.layout.real)
            return f"(uniform_of({word}) < {self._number(draw.args[0])} ? {one} : {zero})"
        if draw.distribution == "poisson":
            return f"(real)poisson_of({word}, {self._double(draw.args[0])})"
        if draw.distribution == "exponential":
            return f"exponential_of({word}, {self._double(draw.args[0])})"
        a, b = (self._double(arg) for arg in draw.args)
        if draw.distribution == "normal":
            return f"(real)({a} + {b} * {made.normals}[{index}])"
        if draw.distribution == "lognormal":
            return f"(real)exp({a} + {b} * {made.normals}[{index}])"
        if draw.distribution == "gamma":
            return f"(real)gamma_of({word}, {a}, {b})"
        if draw.distribution == "uniform":
            return f"between({word}, {a}, {b})"
        if draw.distribution == "integer":
            return f"integer_of({word}, {a}, {b})"
        raise ValueError(f"unknown distribution `{draw.distribution}`")

    def _double(self, expr: Expr) -> str:
        if self.scope.place(expr) is Place.GLOBAL:
            return self.scope.double(expr)
        return f"(double){self._number(expr)}"

    def _read(self, expr: Expr) -> str:
        if isinstance(expr, Local):
            return self.scope.local(expr.name)
        if isinstance(expr, Load):
            return self.held.names.get(expr.buffer) or self._element(expr.buffer)
        if isinstance(expr, Index) and expr.axis is None and expr.side == "own":
            return "(real)k"
        raise ValueError("an index along an axis must be lowered to the flat index")

    def _pointer(self, buffer: str, stored: bool) -> str:
        name = self.layout.names(buffer)
        const = "" if stored else "const "
        row = " + r * SIZE" if self.program.buffers[buffer].place is Place.UNIT else ""
        place = f"net->{name}{row}"
        if buffer in self.when:
            number = list(self.when).index(buffer)
            place = f"{self.when[buffer]} ? {place} : {self._scratch(number)}"
        return f"{const}{self.layout.ctype(buffer)} *restrict {name} = {place};"

    def _pointers(self, buffers: Mapping[str, bool]) -> list[str]:
        return [self._pointer(buffer, stored) for buffer, stored in buffers.items()]

    def _line(self, name: str) -> str:
        """The pointer of a name that several loops read."""
        place = self._scratch(len(self.when) + len(self.kept))
        return f"real *restrict {self.scope.local(name)}_line = {place};"

    def _scratch(self, number: int) -> str:
        """A line of scratch as wide as the population."""
        room = (number + 1) * (self.size + 64 // self.layout.real_bytes)
        self.layout.line_reals = max(self.layout.line_reals, room)
        return f"net->lines + {number} * (SIZE + LANES)"

    def _traffic(self) -> int:
        """Bytes read and written for one row."""
        read = {name for expr in self.exprs for name in loads(expr)}
        count = 0
        for buffer, stored in self.touched.items():
            if self.program.buffers[buffer].place is Place.UNIT and buffer not in self.when:
                count += (buffer in read) + stored
        return count * self.size * self.layout.real_bytes


_STATEMENTS: dict[type, Callable[[_Writer, Any, LevelCode], None]] = {
    Bind: _Writer.bind,
    Store: _Writer.store,
    RowReduce: _Writer.reduce,
    DrawStore: _Writer.draw,
}
