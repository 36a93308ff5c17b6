"""A whole program as one Python module: a function per operation and per routine.

The module's globals are the buffers (views of the present rows), set by the executor; `bind`
rebuilds the tiles, tuples of views that the loops unpack. Nothing is allocated in a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.codegen.comments import spec_line
from netdsl.codegen.numpy.emit import emit
from netdsl.codegen.numpy.parts import Parts
from netdsl.codegen.templates import render
from netdsl.ir.places import fixed_length
from netdsl.ir.program import Edges, Op, Program, Routine
from netdsl.ir.rings import View
from netdsl.ir.space import EDGE
from netdsl.ir.windows import Windows


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
        for op in routine.ops:
            if getattr(op, "projection", None) not in program.windows:
                found.update(dict.fromkeys(op.sparse))
    return list(found)


class ModuleWriter(Parts):
    """Writes the module of a program."""

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
        lengths: list[str] = []
        for axis in self.program.buffers[name].space:
            if axis.kind == EDGE and axis.owner in self.edges:
                lengths.append("edges")
            elif axis.kind == EDGE:
                lengths += map(str, self.program.shapes[axis.owner])
            else:
                length = fixed_length(axis, self.program)
                lengths.append("rows" if length is None else str(length))
        if not lengths:
            return "one number"
        lengths += ["1"] if lengths == ["rows"] else []
        return f"({lengths[0]},)" if len(lengths) == 1 else f"({', '.join(lengths)})"

    # -- routines ------------------------------------------------------------------------------

    def _routine(self, routine: Routine, name: str) -> str:
        origin = spec_line(routine.span, self.program.sources)
        self.kind = "step" if routine.kind == "phase" else routine.kind
        return render(
            "numpy",
            "routine.py",
            name=name,
            title=f"phase {routine.phase}" if routine.phase else routine.name,
            notes=[note for note in (origin, *routine.notes) if note],
            phase=routine.runs,
            back=routine.steps,
            once=self._ops(routine.once),
            step=self._ops(routine.step),
            after=self._ops(routine.after),
            counter=self.names(self.program.counter("phase.step")),
            clock=self.names(self.program.counter("t")),
        )

    def _ops(self, ops: tuple[Op, ...]) -> list[str]:
        return [line for op in ops for line in emit(op, self)]
