"""`SynapseUpdate` and `Propagate` as C.

A synapse update visits tiles of presynaptic rows: the tile's batch products are formed in scratch
that stays in cache, then the statements run over them, so that every synaptic buffer is read and
written once and the products never exist as whole matrices. Products over all ones are sums over
rows of one factor, made beforehand (`c_plan`).
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.codegen.c.binds import settle_binds
from netdsl.codegen.c.printer import Printer, literal
from netdsl.codegen.c.scope import Scope, operations
from netdsl.codegen.comments import c_comment, spec_line
from netdsl.codegen.plan.instructions import Gather
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Expr, Index, Load, Local, loads
from netdsl.ir.network import Place
from netdsl.ir.program import Bind, Product, Propagate, Store, Sum, SynapseUpdate

# Scratch for the products of one tile: with matrix products, and with listed ones.
DENSE_TILE_BYTES = 512 * 1024
LISTED_TILE_BYTES = 64 * 1024
# Bytes of a tile's column that is formed from listed columns: four vectors of 64 bytes.
COLUMN_TILE_BYTES = 256
# Multiplications up to which a loop is sooner done than a library is called: of a delivery, and of
# a row's product where a projection has few synapses.
SMALL_DELIVERY = 2048
SMALL_UPDATE = 64
LARGE_DELIVERY = 65536
# Width of the tile of a gather: four vectors of 64 bytes (templates/c/products.c.j2).
GATHER_TILE_BYTES = 256


@dataclass
class ProductCode:
    """preᵀ post of a tile: the factors, their lists ("" without) and where it goes.

    Products of one operation are numbered from 1.
    """

    number: int
    name: str
    pre: str
    pre_offset: int
    pre_width: int
    post: str
    post_offset: int
    post_width: int
    pre_list: str
    post_list: str


@dataclass
class UpdateCode:
    """What `templates/c/synapse_update.c.j2` needs."""

    m: int
    n: int
    dense_tile: int
    listed_tile: int
    most: int  # rows of the largest tile
    head: list[str]
    products: list[ProductCode]
    row_lines: list[str]
    pointers: list[str]
    body: list[str]
    bytes: int
    flops: int

    @property
    def small(self) -> bool:
        """Are its products formed by loops of its own?"""
        few = self.m * self.n <= SMALL_UPDATE
        return few and not any(p.pre_list for p in self.products)


@dataclass
class PropagateCode:
    """What `templates/c/propagate.c.j2` needs; offsets and strides count elements."""

    head: list[str]
    scale: str
    m: int  # rows of the weight
    n: int
    weight: str
    source: str
    source_offset: int
    source_stride: int
    target: str
    target_offset: int
    target_stride: int
    accumulate: bool
    transposed: bool
    list: str = ""
    index: int = 0
    edges: str = ""

    @property
    def small(self) -> int:
        """Multiplications for which it is done by loops of its own; 0 where there are more."""
        return SMALL_DELIVERY if self.m * self.n <= SMALL_DELIVERY else 0

    @property
    def large(self) -> bool:
        """Does reading the weights take most of the time of one row?"""
        return self.m * self.n >= LARGE_DELIVERY


@dataclass
class GatherCode:
    """What `templates/c/gather.c.j2` needs: the deliveries to one target."""

    head: list[str]
    n: int
    target: str
    target_offset: int
    target_stride: int
    accumulate: bool
    members: list[PropagateCode]


def propagate(op: Propagate, layout: Layout, scope: Scope | None = None) -> PropagateCode:
    """Code of one projection's delivery; scalars are declared in `scope`, if given."""
    scope = scope or Scope(layout, {})
    scale = literal(1, layout.real) if op.scale is None else scope.rounded(simplify(op.scale))
    m, n = layout.program.shapes[layout.program.buffers[op.weight].owner]
    out_of, into = op.pre_slice, op.post_slice
    if op.transposed:
        out_of, into = into, out_of
    names = layout.names
    listed = op.binary and not op.transposed
    edges = layout.edges_of(op.weight)
    if edges:
        layout.turned_width = max(layout.turned_width, m + n)
    return PropagateCode(
        scope.lines,
        scale,
        m,
        n,
        names(op.weight),
        names(op.source),
        out_of[0] if out_of else 0,
        layout.width(op.source),
        names(op.target),
        into[0] if into else 0,
        layout.width(op.target),
        op.accumulate,
        op.transposed,
        layout.list_of(layout.window(op.source, op.pre_slice)).name if listed else "",
        edges=edges,
    )


def gather(op: Gather, layout: Layout, first_index: int) -> GatherCode:
    """Code of a group of deliveries; their statistics are numbered from `first_index`."""
    scope = Scope(layout, {})
    members = [propagate(member, layout, scope) for member in op.members]
    for number, code in enumerate(members):
        code.index = first_index + number
    one = members[0]
    layout.most_sources = max(layout.most_sources, len(members))
    pairs = sum((code.m + 1) // 2 for code in members)
    layout.tile_reals = max(layout.tile_reals, 3 * pairs * GATHER_TILE_BYTES // layout.real_bytes)
    layout.pair_columns = max(layout.pair_columns, 2 * pairs)
    return GatherCode(
        scope.lines,
        one.n,
        one.target,
        one.target_offset,
        one.target_stride,
        one.accumulate,
        members,
    )


def synapse_update(op: SynapseUpdate, layout: Layout) -> UpdateCode:
    """Code of one learning pass; raises ValueError for an expression that has no place here."""
    return UpdateWriter(op, layout).write()


class UpdateWriter:
    """Writes one synapse update; a product of a tile is spelt as an element of its row."""

    element = "[j]"
    # How the loops spell a synapse in its buffers, and its ends.
    synapse, pre, post = "j", "i", "j"

    def __init__(self, op: SynapseUpdate, layout: Layout) -> None:
        self.layout, self.program = layout, layout.program
        self.op = settle_binds(op, layout.program)
        self.scope = Scope(layout, {})
        self.printer = Printer(layout.real, self._read, self.scope.place, self.scope.rounded)
        self.m, self.n = layout.program.shapes[op.projection]
        self.lists_post = op.projection not in layout.edges
        self.products: dict[tuple[str, str], ProductCode] = {}
        self.buffers: dict[str, bool] = {}
        self.row_lines: dict[str, str] = {}
        self.exprs: list[Expr] = []

    def write(self) -> UpdateCode:
        """The code of the whole operation."""
        for store in self.op.before:
            text = self.scope.double(store.value)
            self.scope.lines.append(f"net->{self.layout.names(store.buffer)} = {text};")
        self.scope.declare(self.op.scalars)
        body = [self._sum(total) for total in self.op.sums]
        for statement in self.op.statements:
            line = spec_line(statement.span, self.program.sources)
            body += [c_comment(line)] if line else []
            body.append(self._statement(statement))
        count = max(len(self.products), 1)
        row_bytes = count * self.n * self.layout.real_bytes
        dense = min(self.m, max(1, DENSE_TILE_BYTES // row_bytes))
        listed = min(self.m, max(1, LISTED_TILE_BYTES // row_bytes))
        most = min(self.m, max(dense, COLUMN_TILE_BYTES // self.layout.real_bytes))
        if self.op.projection not in self.layout.edges:
            room = len(self.products) * most * self.n
            self.layout.tile_reals = max(self.layout.tile_reals, room)
        return UpdateCode(
            self.m,
            self.n,
            dense,
            min(listed, dense),
            most,
            self.scope.lines,
            list(self.products.values()),
            list(self.row_lines.values()),
            [self._pointer(name, stored) for name, stored in self.buffers.items()],
            body,
            self._traffic(),
            operations(self.exprs) * self.size(),
        )

    def _statement(self, statement: Bind | Store) -> str:
        text = self._number(statement.value)
        if name := statement.binds:
            self.scope.places[name] = self.scope.place(statement.value)
            return f"const real {self.scope.local(name)} = {text};"
        self.buffers[statement.stores] = True
        return f"{self.layout.names(statement.stores)}[{self.synapse}] = {text};"

    def _sum(self, total: Sum) -> str:
        if total.rows:
            raise ValueError("a sum over rows must be a reduction by now")
        terms = [self._term(product) for product in total.products]
        self.scope.places[total.name] = Place.SYNAPSE
        text = " + ".join(terms) if terms else literal(0, self.layout.real)
        return f"const real {self.scope.local(total.name)} = {text};"

    def _term(self, product: Product) -> str:
        text = self._product(product)
        if product.coefficient is None:
            return text
        return f"{self._number(product.coefficient)} * {text}"

    def _newest(self, product: Product) -> str:
        """A product of the last row alone, which is formed where it is read."""
        pre, post, factors = product.pre, product.post, []
        if pre is not None:
            name = self.scope.local(f"newest of {pre}")
            self.row_lines[name] = (
                f"const real {name} = {self._last(pre, self.op.pre_slice, self.pre)};"
            )
            factors.append(name)
        if post is not None:
            factors.append(self._last(post, self.op.post_slice, self.post))
        return " * ".join(factors) if factors else literal(1, self.layout.real)

    def _last(self, buffer: str, part: tuple[int, int] | None, index: str) -> str:
        """An element of the last row."""
        row = f"(net->rows - 1) * {self.layout.width(buffer)}"
        first = f" + {part[0]}" if part else ""
        return f"net->{self.layout.names(buffer)}[{row}{first} + {index}]"

    def _product(self, product: Product) -> str:
        if product.newest:
            return self._newest(product)
        pre, post = product.pre, product.post
        if pre is not None and post is not None:
            return f"{self._matrix(pre, post, product.binary_pre).name}{self.element}"
        if post is not None:
            field_name = self.layout.sum_of(self.layout.window(post, self.op.post_slice))
            return f"net->{field_name}[{self.post}]"
        name = self.scope.local(f"sum of {pre or 'ones'}")
        value = "(real)net->rows"
        if pre is not None:
            field_name = self.layout.sum_of(self.layout.window(pre, self.op.pre_slice))
            value = f"net->{field_name}[{self.pre}]"
        self.row_lines[name] = f"const real {name} = {value};"
        return name

    def _matrix(self, pre: str, post: str, binary: bool) -> ProductCode:
        if (pre, post) not in self.products:
            layout, names = self.layout, self.layout.names
            pre_window = layout.window(pre, self.op.pre_slice)
            post_window = layout.window(post, self.op.post_slice)
            number = len(self.products) + 1
            self.products[pre, post] = ProductCode(
                number,
                self.scope.fresh(f"product {number}"),
                names(pre),
                pre_window.first,
                layout.width(pre),
                names(post),
                post_window.first,
                layout.width(post),
                layout.list_of(pre_window).name if binary else "",
                layout.list_of(post_window).name if binary and self.lists_post else "",
            )
        return self.products[pre, post]

    def _number(self, expr: Expr) -> str:
        expr = simplify(expr)
        self.exprs.append(expr)
        for buffer in loads(expr):
            if self.program.buffers[buffer].place is not Place.GLOBAL:
                self.buffers.setdefault(buffer, False)
        return self.printer.number(expr)

    def _read(self, expr: Expr) -> str:
        if isinstance(expr, Local):
            return self.scope.local(expr.name)
        if isinstance(expr, Load) and self.program.buffers[expr.buffer].place is Place.SYNAPSE:
            return f"{self.layout.names(expr.buffer)}[{self.synapse}]"
        if isinstance(expr, Index) and expr.axis is None:
            return f"(real){self.pre if expr.side == 'pre' else self.post}"
        raise ValueError("a learning pass reads values of synapses, and flat indices of neurons")

    def _pointer(self, buffer: str, stored: bool) -> str:
        name = self.layout.names(buffer)
        const = "" if stored else "const "
        return f"{const}real *restrict {name} = net->{name} + (int64_t)i * N;"

    def _traffic(self) -> int:
        read = {name for expr in self.exprs for name in loads(expr)}
        count = sum((name in read) + stored for name, stored in self.buffers.items())
        return count * self.size() * self.layout.real_bytes

    def size(self) -> int:
        """Synapses for which bytes and operations are counted."""
        return self.m * self.n
