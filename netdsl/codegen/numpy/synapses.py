"""Printing of `SynapseUpdate`: products over the batch by blocks of presynaptic rows, then the
statements tile by tile while a tile is in cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from netdsl.codegen.comments import spec_line
from netdsl.codegen.names import Names
from netdsl.codegen.numpy.cells import live_after
from netdsl.codegen.numpy.printer import Printer
from netdsl.codegen.numpy.registers import Register, Value, assign_registers, render
from netdsl.codegen.numpy.scalars import bare
from netdsl.codegen.plan.coalesce import coalesce
from netdsl.ir.algebra.fold import number, simplify
from netdsl.ir.expr import Apply, Const, Expr, Index, Local, loads, span_of
from netdsl.ir.network import Place
from netdsl.ir.program import Bind, Product, Program, Store, Sum, SynapseUpdate


@dataclass(frozen=True)
class Term:
    """A product over the batch: `kind` is "outer", "columns", "rows", "count" or "one"."""

    kind: str
    name: str  # of the scratch array
    pre: str = ""
    post: str = ""
    pre_buffer: str = ""
    binary: bool = False
    moves: bool = False  # the presynaptic factor is a slot of a ring


@dataclass
class SynapsesCode:
    """What the template of a synapse update is filled with.

    `terms` are computed per block of presynaptic rows ("outer") or once (sums). `views` are
    SYNAPSE buffers cut into tiles; `pre_index` says that a tile needs its neurons' indices.
    """

    prelude: list[str]
    body: list[str]
    shape: tuple[int, int]
    terms: list[Term] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    registers: tuple[Register, ...] = ()
    pre_index: str = ""
    pre_slice: tuple[int, int] | None = None
    post_slice: tuple[int, int] | None = None
    post_index: str = ""  # of a projection that stores only existing synapses
    slots: list[tuple[str, str]] = field(default_factory=list)  # as in `CellsCode`


@dataclass
class SynapsesPrinter:
    """Prints one `SynapseUpdate`; `neuron_index` names the array 0, 1, ... of a size.

    `listed`: the projection stores only existing synapses, and every view is (edges,).
    """

    program: Program
    op: SynapseUpdate
    names: Names
    buffer: Callable[[str], str]
    neuron_index: Callable[[int], str]
    listed: bool = False

    def code(self) -> SynapsesCode:
        """The filled-in pieces."""
        self.views: list[str] = []
        self.slots: list[tuple[str, str]] = []
        self.wholes: dict[str, str] = {}
        self.terms: dict[tuple[str | None, str | None, bool], Term] = {}
        self.pre_index = self.post_index = ""
        self.shape = self.program.shapes[self.op.projection]
        self.printer = Printer(
            self.program, self.names, self._spell, self.buffer, self._index, Place.SYNAPSE
        )
        self._before()
        for bind in self.op.scalars:
            self.printer.bind_scalar(bind)
        for total in self.op.sums:
            self._sum(total)
        live = live_after(self.op.statements)
        for statement, names in zip(self.op.statements, live, strict=True):
            self._statement(statement, names)
        coalesce(self.printer.block)
        registers = assign_registers(self.printer.block)
        return SynapsesCode(
            self.printer.prelude,
            render(self.printer.block),
            self.shape,
            list(self.terms.values()),
            list(dict.fromkeys(self.views)),
            registers,
            self.pre_index,
            self.op.pre_slice,
            self.op.post_slice,
            self.post_index,
            self.slots,
        )

    def _before(self) -> None:
        for store in self.op.before:
            text = bare(self.printer.scalar_text(simplify(store.value)))
            self.printer.prelude.append(f"{self.buffer(store.buffer)}[()] = {text}")

    def _spell(self, buffer: str) -> str:
        if self.program.buffers[buffer].place is not Place.SYNAPSE:
            raise ValueError(f"a learning pass reads values of synapses, not `{buffer}`")
        name = self.buffer(buffer)
        if name.isidentifier():
            self.views.append(name)
            return name
        tile = self.names.fresh(f"{buffer} tile")
        self.slots.append((tile, self._whole(buffer)))
        return tile

    def _whole(self, buffer: str | None) -> str:
        """The name of all of a buffer; a slot of a ring is found before the loops."""
        text = self.buffer(buffer) if buffer else ""
        if not text or text.isidentifier():
            return text
        if text not in self.wholes:
            self.wholes[text] = self.names.fresh(buffer or "")
            self.printer.prelude.append(f"{self.wholes[text]} = {text}")
        return self.wholes[text]

    def _index(self, node: Index) -> str:
        if node.side == "post" and self.listed:
            self.post_index = "post_index"
            return self.post_index
        if node.side == "post":
            return self.neuron_index(self.shape[1])
        self.pre_index = "pre_index"
        return self.pre_index

    def _sum(self, total: Sum) -> None:
        """Make a sum readable: at its first use, or now if it reads what the pass changes."""
        if total.rows:
            raise ValueError("a sum over rows must be a reduction by now")
        factors = [simplify(product.coefficient or Const(1.0)) for product in total.products]
        common = _common(factors)
        value: Expr = Const(0.0)
        for product, factor in zip(total.products, factors, strict=True):
            name = f"{product.pre}*{product.post}" + ("@newest" if product.newest else "")
            self._product(name, product)
            given = number(factor)
            if common is not None and given is not None:
                factor = Const(given / common)
            value = Apply("add", (value, Apply("mul", (factor, Local(name)))))
        if common is not None:
            value = Apply("mul", (Const(common), value))
        bind = Bind(total.name, simplify(value))
        changed = {statement.stores for statement in self.op.statements}
        self.printer.places[total.name] = Place.SYNAPSE
        if changed & set(loads(value)):
            self.printer.bind(bind)
        else:
            self.printer.deferred[total.name] = lambda: self.printer.value(bind.value)

    def _product(self, name: str, product: Product) -> None:
        key = (product.pre, product.post, product.newest)
        if key not in self.terms:
            self.terms[key] = self._term(product)
        term = self.terms[key]
        self.printer.places[name] = Place.SYNAPSE
        self.printer.values[name] = Value(Place.SYNAPSE, text=term.name, home=True)

    def _term(self, product: Product) -> Term:
        number = len(self.terms)
        pre, post = self._whole(product.pre), self._whole(product.post)
        moves = pre in self.wholes.values()
        if product.newest:
            pre, post = (f"{name}[-1:]" if name else "" for name in (pre, post))
        kind = {
            (True, True): "outer",
            (False, True): "columns",
            (True, False): "rows",
            (False, False): "count",
        }[bool(pre), bool(post)]
        term = Term(kind, f"p{number}", pre, post, product.pre or "", product.binary_pre, moves)
        return replace(term, kind="one") if product.newest and kind == "count" else term

    def _statement(self, statement: Bind | Store, live: frozenset[str]) -> None:
        if statement.binds and statement.binds not in live:
            return
        span = statement.span or span_of(statement.value)
        self.printer.block.comment(spec_line(span, self.program.sources))
        if statement.binds:
            self.printer.bind(Bind(statement.binds, statement.value))
        else:
            self.printer.store(statement.stores, statement.value, live)


def _common(factors: list[Expr]) -> float | None:
    """The number that all factors are up to their signs, if there is one; multiplied once."""
    values = [number(factor) for factor in factors]
    sizes = {None if value is None else abs(value) for value in values}
    return values[0] if len(sizes) == 1 and values[0] else None
