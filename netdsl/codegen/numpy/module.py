"""A whole program as one Python module: a function per operation and per routine.

The module's globals are the buffers (views of the present rows), set by the executor; `bind`
rebuilds the tiles, tuples of views that the loops unpack. Nothing is allocated in a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.codegen.comments import python_comment, spec_line
from netdsl.codegen.names import Names
from netdsl.codegen.numpy.cells import CellsPrinter
from netdsl.codegen.numpy.registers import RESERVED
from netdsl.codegen.numpy.scalars import bare, literal, scalar
from netdsl.codegen.numpy.synapses import SynapsesPrinter
from netdsl.codegen.numpy.tiles import cells_context, columns, edges_context, synapses_context
from netdsl.codegen.templates import render
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Expr
from netdsl.ir.network import Place
from netdsl.ir.places import edges_of
from netdsl.ir.program import (
    Bind,
    Copy,
    Edges,
    Elementwise,
    Fill,
    GroupReduce,
    Op,
    Program,
    Propagate,
    Push,
    Routine,
    SynapseUpdate,
    Transpose,
    WindowSum,
)
from netdsl.ir.rings import View, with_views
from netdsl.ir.windows import Windows

_TEXT = (
    "np special bind spans blocks scratch propagate propagate_active outer outer_active row_keys "
    "rows step steps first last a b i j pre_index tiles block draw_bernoulli draw_uniform "
    "draw_normal draw_integer reduce_groups propagate_edges edge_products "
    "at_edges by_neuron post_index"
)
_WORDS = frozenset(_TEXT.split())
_TERMS = frozenset(
    f"{word}{k}" for word in ("p", "pre", "block", "turn", "total") for k in range(99)
)
_SHAPES = {
    Place.GLOBAL: "one number",
    Place.ROW: "(rows, 1)",
    Place.NEURON: "({n},)",
    Place.UNIT: "(rows, {n})",
    Place.SYNAPSE: "({m}, {n})",
}


@dataclass(frozen=True)
class Module:
    """Generated text and what the executor must put into its namespace.

    `identifiers`: buffer to global name. `streams`: random stream path to global name.
    `indices`: population size to the name of the array 0, 1, ... `routines`: to function names.
    `active`: 0/1 buffers that products read, to the names of what knows where they are 1. `edges`:
    projections that store only existing synapses, to the names of what knows these. `windows`:
    shared kernels' geometry, to the names of their products.
    """

    text: str
    identifiers: dict[str, str]
    streams: dict[str, str]
    indices: dict[int, str]
    routines: dict[str, str]
    active: dict[str, str] = field(default_factory=dict)
    edges: dict[str, str] = field(default_factory=dict)
    windows: dict[Windows, str] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)  # of slots of rings
    functions: tuple[str, ...] = ()  # text of each operation's function


def sparse_buffers(program: Program) -> list[str]:
    """Buffers of 0 and 1 that products read, in order of first use."""
    found: dict[str, None] = {}
    for routine in program.routines.values():
        for op in (*routine.once, *routine.step, *routine.after):
            if isinstance(op, Propagate) and op.binary and op.projection not in program.windows:
                found[op.source] = None
            elif isinstance(op, SynapseUpdate):
                terms = [product for total in op.sums for product in total.products]
                found.update({p.pre: None for p in terms if p.binary_pre and p.pre})
    return list(found)


def stored_by(op: Op) -> list[str]:
    """Buffers that an operation changes."""
    if isinstance(op, Elementwise | SynapseUpdate):
        return list(dict.fromkeys(s.buffer for s in op.statements if not isinstance(s, Bind)))
    return [op.target]


@dataclass
class ModuleWriter:
    """Writes the module of a program."""

    program: Program  # slots of rings are read through views
    names: Names = field(default_factory=lambda: Names(_WORDS | RESERVED | _TERMS))
    streams: dict[str, str] = field(default_factory=dict)
    indices: dict[int, str] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    tiles: list[str] = field(default_factory=list)
    tile_names: list[str] = field(default_factory=list)
    active: dict[str, str] = field(default_factory=dict)
    edges: dict[str, str] = field(default_factory=dict)
    windows: dict[Windows, str] = field(default_factory=dict)
    _written: dict[Op, str] = field(default_factory=dict)
    _kind: str = ""  # of the routine being written: how its elementwise functions are called

    def __post_init__(self) -> None:
        self.program, self.views = with_views(self.program)

    def module(self) -> Module:
        """The module's text and tables."""
        held = [name for name in self.program.buffers if name not in self.views]
        identifiers = {name: self.names(name) for name in held}
        for counter in map(self.program.counter, ("t", "phase.step")):
            identifiers.setdefault(counter, self.names(counter))
        routines = {name: self.names.fresh(name) for name in self.program.routines}
        for buffer in sparse_buffers(self.program):
            self.active[buffer] = self.names.fresh(f"{buffer} active")
        for projection, layout in self.program.layouts.items():
            if isinstance(layout, Edges):
                self.edges[projection] = self.names.fresh(f"{projection} edges")
        texts = [self._routine(self.program.routines[name], routines[name]) for name in routines]
        text = render(
            "numpy",
            "module.py",
            program=self.program.name,
            buffers=self._table(identifiers),
            functions=self.functions,
            special=any("special." in text for text in (*self.functions, *texts)),
            routines=texts,
            tile_names=self.tile_names,
            tiles=self.tiles,
        )
        return Module(
            text,
            identifiers,
            self.streams,
            self.indices,
            routines,
            self.active,
            self.edges,
            self.windows,
            self.views,
            tuple(self.functions),
        )

    # -- the header ----------------------------------------------------------------------------

    def _table(self, identifiers: dict[str, str]) -> list[str]:
        rows = []
        for buffer in map(self.program.buffers.__getitem__, identifiers):
            about = buffer.role + (f": {buffer.why}" if buffer.why else "")
            written = f" ({buffer.name})" if buffer.name != identifiers[buffer.name] else ""
            rows.append((identifiers[buffer.name], self._shape(buffer.name), about + written))
        wide = [max((len(row[k]) for row in rows), default=0) for k in range(2)]
        return [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c}".rstrip() for a, b, c in rows]

    def _shape(self, name: str) -> str:
        slots = self.program.buffers[name].slots
        return self._slot_shape(name) if slots == 1 else f"{slots} x {self._slot_shape(name)}"

    def _slot_shape(self, name: str) -> str:
        buffer = self.program.buffers[name]
        if edges_of(name, self.program) is not None:
            return "(edges,)"
        m, n = 0, 0
        if buffer.place is Place.SYNAPSE:
            m, n = self.program.shapes[buffer.owner]
        elif buffer.place in (Place.NEURON, Place.UNIT):
            n = self.program.sizes[buffer.owner]
        return _SHAPES[buffer.place].format(m=m, n=n)

    # -- routines ------------------------------------------------------------------------------

    def _routine(self, routine: Routine, name: str) -> str:
        origin = spec_line(routine.span, self.program.sources)
        self._kind = "step" if routine.kind == "phase" else routine.kind
        return render(
            "numpy",
            "routine.py",
            name=name,
            title=f"phase {routine.phase}" if routine.phase else routine.name,
            notes=[note for note in (origin, *routine.notes) if note],
            phase=routine.kind == "phase",
            back=routine.steps,
            once=self._ops(routine.once),
            step=self._ops(routine.step),
            after=self._ops(routine.after),
            counter=self.names(self.program.counter("phase.step")),
            clock=self.names(self.program.counter("t")),
        )

    def _ops(self, ops: tuple[Op, ...]) -> list[str]:
        return [line for op in ops for line in self._op(op)]

    def _op(self, op: Op) -> list[str]:
        if isinstance(op, Elementwise | SynapseUpdate):
            if op not in self._written:
                self._written[op] = self._function(op)
            lines = [f"{self._written[op]}()"]
        else:
            comment = spec_line(op.span, self.program.sources)
            lines = [python_comment(comment), *self._inline(op)] if comment else self._inline(op)
        changed = [self.active[name] for name in stored_by(op) if name in self.active]
        return [*self._moved(op), *lines, *(f"{n}.changed()" for n in changed), *self._pushed(op)]

    # -- rings ---------------------------------------------------------------------------------

    def _spelt(self, buffer: str) -> str:
        """The text of a buffer: its name, or the slot of a ring that a view shows."""
        view = self.views.get(buffer)
        if view is None:
            return self.names(buffer)
        if isinstance(view.ago, int):
            return f"{self.names(view.ring)}.ago({view.ago})"
        return f"{self.names(view.ring)}.ago({bare(scalar(view.ago, self._spelt, {}))})"

    def _moved(self, op: Op) -> list[str]:
        """What knows the ones of a slot is shown it where it is found as the program runs."""
        moving = [name for name in op.reads & self.active.keys() if name in self.views]
        found = sorted(name for name in moving if isinstance(self.views[name].ago, Expr))
        return [f"{self.active[name]}.look({self._spelt(name)})" for name in found]

    def _pushed(self, op: Op) -> list[str]:
        """The same after a push, which moves all slots."""
        if not isinstance(op, Push):
            return []
        seen = (n for n, view in self.views.items() if view.ring == op.target and n in self.active)
        still = (name for name in seen if isinstance(self.views[name].ago, int))
        return [f"{self.active[name]}.look({self._spelt(name)})" for name in still]

    def _inline(self, op: Op) -> list[str]:
        if isinstance(op, Propagate):
            return self._propagate(op)
        if isinstance(op, WindowSum):
            names = {"target": op.target, "pre": op.pre, "post": op.post}
            spelt = {key: self._spelt(name) for key, name in names.items()}
            windows = self._windows(op.projection)
            return render("numpy", "window_sum.py", windows=windows, **spelt).splitlines()
        kind = "group_reduce" if isinstance(op, GroupReduce) else type(op).__name__.lower()
        assert isinstance(op, GroupReduce | Copy | Push | Fill | Transpose)
        context: dict[str, object] = {"target": self.names(op.target), "op": op}
        if isinstance(op, Fill):
            context["value"] = literal(op.value)
        else:
            context["source"] = self.names(op.source)
        return render("numpy", f"{kind}.py", **context).splitlines()

    def _propagate(self, op: Propagate) -> list[str]:
        into, out_of = op.post_slice, op.pre_slice
        if op.transposed:
            into, out_of = out_of, into
        scale = "1.0"
        if op.scale is not None:
            scale = bare(scalar(simplify(op.scale), self._spelt, {}))
        keep = "1.0" if op.accumulate else "0.0"
        if op.projection in self.program.windows:
            text = render(
                "numpy",
                "propagate_windows.py",
                windows=self._windows(op.projection),
                transposed=op.transposed,
                target=self.names(op.target),
                source=self._spelt(op.source),
                weight=self.names(op.weight),
                scale=scale,
                keep=keep,
            )
            return text.splitlines()
        source = self._spelt(op.source) + columns(out_of)
        edges = self.edges.get(self.program.buffers[op.weight].owner, "")
        if op.source in self.active and not (out_of or into or op.transposed):
            source = self.active[op.source]
        text = render(
            "numpy",
            "propagate.py",
            gather=source in self.active.values(),
            target=self.names(op.target) + columns(into),
            source=source,
            edges=edges,
            transposed=op.transposed,
            weight=self.names(op.weight) + (".T" if op.transposed and not edges else ""),
            scale=scale,
            keep=keep,
        )
        return text.splitlines()

    # -- operations with loops -----------------------------------------------------------------

    def _function(self, op: Elementwise | SynapseUpdate) -> str:
        if isinstance(op, Elementwise):
            name = self.names.fresh(f"{op.population}_{self._kind}")
            scope = self.names.child()
            cells = CellsPrinter(
                self.program,
                op,
                scope,
                self._spelt,
                self._stream,
                lambda population: self._indices(self.program.sizes[population]),
            ).code()
            title = op.label or f"population {op.population}"
            self._add("elementwise", name, cells_context(cells), title)
            return name
        name = self.names.fresh(f"{op.projection}_update")
        scope = self.names.child()
        edges = self.edges.get(op.projection, "")
        printer = SynapsesPrinter(self.program, op, scope, self._spelt, self._indices, bool(edges))
        code = printer.code()
        context = edges_context(code, edges) if edges else synapses_context(code, self.active)
        title = op.label or f"projection {op.projection}"
        self._add("synapse_update", name, context, title)
        return name

    def _add(self, template: str, name: str, context: dict[str, object], title: str) -> None:
        tiles = self.names.fresh(f"{name}_tiles")
        context = {**context, "name": name, "title": title, "tiles": tiles}
        self.functions.append(render("numpy", f"{template}.py", **context))
        self.tiles.append(render("numpy", f"{template}_tiles.py", **context))
        self.tile_names.append(tiles)

    def _stream(self, path: str) -> str:
        if path not in self.streams:
            self.streams[path] = self.names.fresh(f"stream_{path}")
        return self.streams[path]

    def _windows(self, projection: str) -> str:
        layout = self.program.windows[projection]
        if layout not in self.windows:
            self.windows[layout] = self.names.fresh(f"windows_{projection}")
        return self.windows[layout]

    def _indices(self, size: int) -> str:
        if size not in self.indices:
            self.indices[size] = self.names.fresh(f"indices_{size}")
        return self.indices[size]
