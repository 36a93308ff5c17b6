"""What each operation becomes in NumPy: lines of the routine, and a function where it has loops.

`EMITTERS` has a line for each operation; a new one is a line here and a template.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl.codegen.comments import python_comment, spec_line
from netdsl.codegen.numpy.cells import CellsPrinter
from netdsl.codegen.numpy.loops import LoopCode, each, reduction
from netdsl.codegen.numpy.parts import Parts
from netdsl.codegen.numpy.scalars import bare, literal, scalar
from netdsl.codegen.numpy.synapses import SynapsesPrinter
from netdsl.codegen.numpy.tiles import cells_context, columns, edges_context, synapses_context
from netdsl.codegen.templates import render
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Expr
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Copy,
    Each,
    Elementwise,
    Fill,
    GroupReduce,
    Guarded,
    Op,
    Propagate,
    Push,
    Reduction,
    Shift,
    SynapseUpdate,
    Transpose,
    WindowSum,
)
from netdsl.ir.roles import written_by

Emitter = Callable[[Any, Parts], list[str]]


def emit(op: Op, parts: Parts) -> list[str]:
    """The lines of an operation in its routine.

    Raises KeyError for a kind that the backend does not know.
    """
    lines = EMITTERS[type(op)](op, parts)
    changed = [parts.active[name] for name in written_by(op) if name in parts.active]
    seen = [f"{name}.changed()" for name in changed]
    return [*_moved(op, parts), *lines, *seen, *_still(op, parts)]


def _moved(op: Op, parts: Parts) -> list[str]:
    """What knows the ones of a slot is shown it where it is found as the program runs."""
    moving = [name for name in op.reads & parts.active.keys() if name in parts.views]
    found = sorted(name for name in moving if isinstance(parts.views[name].ago, Expr))
    return [f"{parts.active[name]}.look({parts.spelt(name)})" for name in found]


def _still(op: Op, parts: Parts) -> list[str]:
    """The same after a push, which moves all slots."""
    seen = (n for n, view in parts.views.items() if view.ring in op.writes and n in parts.active)
    still = (name for name in seen if isinstance(parts.views[name].ago, int))
    return [f"{parts.active[name]}.look({parts.spelt(name)})" for name in still]


def _called(write: Callable[[Any, Parts], str]) -> Emitter:
    """Operations with loops: a call of their function, which `write` writes once."""

    def emitter(op: Op, parts: Parts) -> list[str]:
        if op not in parts.written:
            parts.written[op] = write(op, parts)
        return [f"{parts.written[op]}()"]

    return emitter


def _inline(template: Callable[[Any, Parts], tuple[str, dict[str, object]]]) -> Emitter:
    """Operations that are a few lines: the template and what fills it."""

    def emitter(op: Any, parts: Parts) -> list[str]:
        kind, context = template(op, parts)
        comment = spec_line(op.span, parts.program.sources)
        lines = render("numpy", f"{kind}.py", **context).splitlines()
        return [python_comment(comment), *lines] if comment else lines

    return emitter


def _propagate(op: Propagate, parts: Parts) -> tuple[str, dict[str, object]]:
    into, out_of = op.post_slice, op.pre_slice
    if op.transposed:
        into, out_of = out_of, into
    names, spelt, scale = parts.names, parts.spelt, "1.0"
    if op.scale is not None:
        scale = bare(scalar(simplify(op.scale), spelt, {}))
    context: dict[str, object] = {
        "transposed": op.transposed,
        "target": names(op.target) + columns(into),
        "scale": scale,
        "keep": "1.0" if op.accumulate else "0.0",
    }
    if op.projection in parts.program.windows:
        context |= {"source": spelt(op.source), "weight": names(op.weight)}
        return "propagate_windows", {**context, "windows": parts.windows_of(op.projection)}
    edges = parts.edges.get(parts.program.buffers[op.weight].owner, "")
    gather = op.source in parts.active and not (out_of or into or op.transposed)
    source = parts.active[op.source] if gather else spelt(op.source) + columns(out_of)
    weight = names(op.weight) + (".T" if op.transposed and not edges else "")
    context |= {"gather": gather, "source": source, "edges": edges, "weight": weight}
    return "propagate", context


def _windows(op: WindowSum, parts: Parts) -> tuple[str, dict[str, object]]:
    names = {"target": op.target, "pre": op.pre, "post": op.post}
    spelt: dict[str, object] = {key: parts.spelt(name) for key, name in names.items()}
    spelt |= {"windows": parts.windows_of(op.projection), "newest": op.newest}
    return "window_sum", spelt


def _fill(op: Fill, parts: Parts) -> tuple[str, dict[str, object]]:
    return "fill", {"target": parts.names(op.target), "value": literal(op.value), "op": op}


def _whole(kind: str) -> Emitter:
    """Operations from one buffer to another."""

    def template(op: Any, parts: Parts) -> tuple[str, dict[str, object]]:
        return kind, {
            "target": parts.names(op.target),
            "source": parts.names(op.source),
            "op": op,
        }

    return _inline(template)


def _shift(op: Shift, parts: Parts) -> tuple[str, dict[str, object]]:
    column = "[:, 0]" if parts.program.buffers[op.source].place is Place.ROW else ""
    return "shift", {"target": parts.names(op.target), "source": parts.names(op.source) + column}


def _cells(op: Elementwise, parts: Parts) -> str:
    program = parts.program
    name = parts.names.fresh(f"{op.population}_{parts.kind}")
    cells = CellsPrinter(
        program,
        op,
        parts.names.child(),
        parts.spelt,
        parts.stream,
        lambda population: parts.indices_of(program.sizes[population]),
    ).code()
    title = op.label or f"population {op.population}"
    parts.add("elementwise", name, cells_context(cells), title)
    return name


def _synapses(op: SynapseUpdate, parts: Parts) -> str:
    name = parts.names.fresh(f"{op.projection}_update")
    scope, edges = parts.names.child(), parts.edges.get(op.projection, "")
    printer = SynapsesPrinter(parts.program, op, scope, parts.spelt, parts.indices_of, bool(edges))
    code = printer.code()
    context = edges_context(code, edges) if edges else synapses_context(code, parts.active)
    parts.add("synapse_update", name, context, op.label or f"projection {op.projection}")
    return name


def _each(op: Each | Guarded, parts: Parts) -> str:
    return _function("each", op, each(op, parts), parts)


def _reduction(op: Reduction, parts: Parts) -> str:
    return _function("reduction", op, reduction(op, parts), parts)


def _function(kind: str, op: Each | Guarded | Reduction, code: LoopCode, parts: Parts) -> str:
    """A function that makes its views itself."""
    name = parts.names.fresh(f"{op.title}_{kind}")
    parts.functions.append(render("numpy", f"{kind}.py", name=name, title=op.title, code=code))
    return name


EMITTERS: dict[type, Emitter] = {
    Elementwise: _called(_cells),
    SynapseUpdate: _called(_synapses),
    Propagate: _inline(_propagate),
    WindowSum: _inline(_windows),
    GroupReduce: _whole("group_reduce"),
    Copy: _whole("copy"),
    Push: _whole("push"),
    Shift: _inline(_shift),
    Fill: _inline(_fill),
    Transpose: _whole("transpose"),
    Each: _called(_each),
    Guarded: _called(_each),
    Reduction: _called(_reduction),
}
