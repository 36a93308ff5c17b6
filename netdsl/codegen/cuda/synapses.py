"""`Propagate` and `SynapseUpdate` as CUDA: their forms, and which sparsity makes one the choice.

A delivery is a matrix product, or the listed rows of the weights are added up. An update has up to
three forms of the same statements: tiles of batch products in registers; listed rows of the
postsynaptic factor, where the presynaptic one is sparse; pairs of listed elements, where both are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

from netdsl.codegen.c.scope import Scope
from netdsl.codegen.c.synapses import ProductCode, UpdateCode, UpdateWriter, propagate
from netdsl.codegen.cuda.plan import (
    THREADS,
    Action,
    Clause,
    Extent,
    Gemm,
    Launch,
    Listing,
    Sparse,
    rows_grid,
    synapse_grid,
    tile_grid,
)
from netdsl.codegen.cuda.writer import KernelWriter
from netdsl.codegen.plan.layout import Layout, Window
from netdsl.ir.algebra.fold import number, simplify
from netdsl.ir.expr import Expr, Load
from netdsl.ir.program import Bind, Product, Propagate, Store, SynapseUpdate

# Shares of nonzeros below which a form costs less than a matrix product, estimated for an H100: a
# gathered element is an addition that reads 4 bytes of the second-level cache (1.4e12 a second), a
# dense one a multiplication in registers (2.5e13). With pairs a block takes about 0.6 us for each
# active row of its neuron, whatever the number of listed columns up to its threads.
GATHER_BELOW = 0.05
PAIRS_PRE_BELOW = 0.25
PAIRS_POST_BELOW = 0.15
# Sums of one presynaptic neuron that fit in a block's shared memory.
PAIRS_BYTES = 46 * 1024

TILE, TILE_THREADS = 64, 256  # as in templates/cuda/products.cu.j2


def deliver(op: Propagate, writer: KernelWriter) -> tuple[Action, ...]:
    """Actions of one projection's delivery."""
    layout, code = writer.layout, propagate(op, writer.layout)
    constant = 1.0 if op.scale is None else number(simplify(op.scale))
    slot = layout.scale_slot(constant)
    gemm = Gemm(
        code.weight,
        code.m,
        code.n,
        code.source,
        code.source_offset,
        code.source_stride,
        code.target,
        code.target_offset,
        code.target_stride,
        code.transposed,
        slot,
        1 if code.accumulate else 0,
    )
    dense: list[Launch | Gemm] = [gemm]
    if constant is None:
        dense.insert(0, writer.kernel("scale", op, {}, code=code, slot=slot))
    if not code.list:
        return tuple(Action(do) for do in dense)
    window = layout.window(op.source, op.pre_slice)
    layout.cuda_list(window, by_row=True)
    test = Sparse(((window, GATHER_BELOW),))
    gather = writer.kernel("gather", op, rows_grid(code.n, spread=True), code=code)
    return (
        *(Action(do, (((test, False),),)) for do in dense),
        Action(gather, (((test, True),),), (Listing(window),)),
    )


class _RegisterWriter(UpdateWriter):
    """Products, and the synapse's own numbers, are names of registers: all that is read is asked
    for before the first of it is waited for."""

    element = ""

    def __init__(self, op: SynapseUpdate, layout: Layout) -> None:
        super().__init__(op, layout)
        self.elements: dict[str, str] = {}  # buffer: its register
        self.loaded: set[str] = set()

    def write(self) -> UpdateCode:
        code = super().write()
        names = {buffer: self.layout.names(buffer) for buffer in self.elements}
        first = [
            f"real {own}{f' = {names[buffer]}[j]' if buffer in self.loaded else ''};"
            for buffer, own in self.elements.items()
        ]
        last = [
            f"{names[buffer]}[j] = {own};"
            for buffer, own in self.elements.items()
            if self.buffers[buffer]
        ]
        code.body = [*first, *code.body, *last]
        return code

    def _element(self, buffer: str) -> str:
        if buffer not in self.elements:
            self.elements[buffer] = self.scope.fresh(f"{buffer} here")
        return self.elements[buffer]

    def _read(self, expr: Expr) -> str:
        if not isinstance(expr, Load):
            return super()._read(expr)
        if not self.buffers.get(expr.buffer):  # not stored yet
            self.loaded.add(expr.buffer)
        return self._element(expr.buffer)

    def _statement(self, statement: Bind | Store) -> str:
        if statement.binds:
            return super()._statement(statement)
        text = self._number(statement.value)
        self.buffers[statement.stores] = True
        return f"{self._element(statement.stores)} = {text};"


@dataclass(frozen=True)
class UpdateActions:
    """An update's kernels, and the lines that one thread must have run before."""

    prepare: tuple[str, ...]
    actions: tuple[Action, ...]


def learn(op: SynapseUpdate, writer: KernelWriter) -> UpdateActions:
    """The forms of one learning pass."""
    return _Update(op, writer).write()


class _Update:
    def __init__(self, op: SynapseUpdate, writer: KernelWriter) -> None:
        self.op, self.writer, self.layout = op, writer, writer.layout
        self.shape = writer.program.shapes[op.projection]
        self.products = [
            product
            for total in op.sums
            for product in total.products
            if product.pre is not None and product.post is not None and not product.newest
        ]
        self.pre = tuple(dict.fromkeys(self._window(p, "pre") for p in self.products))
        self.post = tuple(dict.fromkeys(self._window(p, "post") for p in self.products))
        self.code, self.prepare = update_code(op, writer, _RegisterWriter)

    def write(self) -> UpdateActions:
        """All forms that the operation can take."""
        if not self.products:
            grid = synapse_grid(*self.shape)
            rows = self.writer.kernel("synapse_rows", self.op, grid, code=self.code, groups=[])
            return UpdateActions(self.prepare, (Action(rows),))
        grid = {**tile_grid(*self.shape, TILE, TILE_THREADS), "fixed_threads": True}
        tiles = self.writer.kernel("synapse_tiles", self.op, grid, code=self.code)
        if not all(product.binary_pre for product in self.products):
            return UpdateActions(self.prepare, (Action(tiles),))
        return UpdateActions(self.prepare, self._sparse(tiles))

    def _sparse(self, tiles: Launch) -> tuple[Action, ...]:
        """Pairs if both sides are sparse, else rows if the presynaptic one is, else tiles."""
        groups = _by_list(self.code.products)
        columns = tuple(Listing(window, by_column=True) for window in self.pre)
        for window in self.pre:
            self.layout.cuda_list(window, by_column=True)
        actions = []
        not_pairs: Clause = ()
        if len(self.code.products) * self.shape[1] * self.layout.real_bytes <= PAIRS_BYTES:
            for window in self.post:
                self.layout.cuda_list(window, values=True)
            limits = [(w, PAIRS_PRE_BELOW) for w in self.pre]
            both = Sparse((*limits, *((w, PAIRS_POST_BELOW) for w in self.post)))
            pairs = self._kernel(
                "synapse_pairs", {"threads": THREADS, "x": Extent(self.shape[0])}, groups
            )
            lists = (*columns, *(Listing(window) for window in self.post))
            actions.append(Action(pairs, (((both, True),),), lists))
            not_pairs = ((both, False),)
        one = Sparse(tuple((window, GATHER_BELOW) for window in self.pre))
        rows = self._kernel("synapse_rows", synapse_grid(*self.shape), groups)
        actions.append(Action(rows, ((*not_pairs, (one, True)),), columns))
        actions.append(Action(tiles, ((*not_pairs, (one, False)),)))
        return tuple(actions)

    def _kernel(
        self, kind: str, grid: dict[str, object], groups: list[tuple[str, list[ProductCode]]]
    ) -> Launch:
        return self.writer.kernel(kind, self.op, grid, code=self.code, groups=groups)

    def _window(self, product: Product, side: str) -> Window:
        buffer = product.pre if side == "pre" else product.post
        assert buffer is not None
        part = self.op.pre_slice if side == "pre" else self.op.post_slice
        return self.layout.window(buffer, part)


def update_code(
    op: SynapseUpdate, writer: KernelWriter, form: type[UpdateWriter]
) -> tuple[UpdateCode, tuple[str, ...]]:
    """An update's code, and the lines that one thread must have run before."""
    code = form(replace(op, before=()), writer.layout).write()
    lines, code.head = writer.prepared(code.head, "\n".join(code.row_lines + code.body))
    scope = Scope(writer.layout, {})
    before = [
        f"net->{writer.layout.names(store.buffer)} = {scope.double(store.value)};"
        for store in op.before
    ]
    return code, (*before, *lines)


def _by_list(products: list[ProductCode]) -> list[tuple[str, list[ProductCode]]]:
    """Products that share a presynaptic list."""
    ordered = sorted(products, key=lambda product: product.pre_list)
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda p: p.pre_list)]
