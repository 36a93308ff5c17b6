"""Products with shared kernels as C, in the form that their windows take (`Windows.form`)."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.codegen.c.printer import literal
from netdsl.codegen.c.scope import Scope
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.program import Propagate, WindowSum
from netdsl.ir.windows import Windows

# Patches of one product: with what it gives they stay in the second-level cache.
PATCHES_BYTES = 256 * 1024
# BLAS packs the kernel anew for every product: at 384 positions that costs little beside it. Loops
# of our own were no faster than BLAS, at nine taps and one channel either.
LEAST_POSITIONS = 384


@dataclass
class WindowsCode:
    """What `templates/c/propagate_windows.c.j2` and `window_sum.c.j2` need.

    `source` and `target` are those of the delivery; for a sum `source` is the presynaptic buffer,
    `weight` the postsynaptic one and `target` the sum.
    """

    form: str
    geometry: str
    taps: int
    windows: Windows
    tile: int
    source: str
    weight: str
    target: str
    head: list[str]
    scale: str = "1"
    accumulate: bool = False
    transposed: bool = False
    list: str = ""  # of the source's spikes, "" without
    connections: int = 0  # multiplications of one sample
    newest: bool = False  # the last sample alone


def propagate_windows(op: Propagate, layout: Layout) -> WindowsCode:
    """Code of a delivery through a shared kernel."""
    scope = Scope(layout, {})
    code = _code(op.projection, layout, op.source, op.weight, op.target, scope.lines)
    code.scale = literal(1, layout.real) if op.scale is None else scope.rounded(simplify(op.scale))
    code.accumulate, code.transposed = op.accumulate, op.transposed
    if op.binary and not op.transposed:
        code.list = layout.list_of(layout.window(op.source, None)).name
    return code


def window_sum(op: WindowSum, layout: Layout) -> WindowsCode:
    """Code of a sum over positions."""
    code = _code(op.projection, layout, op.pre, op.post, op.target, [])
    code.newest = op.newest
    if op.binary_pre:
        code.list = layout.list_of(layout.window(op.pre, None)).name
    return code


def _code(
    projection: str, layout: Layout, source: str, weight: str, target: str, head: list[str]
) -> WindowsCode:
    w = layout.program.windows[projection]
    taps, kernels = w.shape
    form = w.form
    tile = max(LEAST_POSITIONS, PATCHES_BYTES // (taps * layout.real_bytes))
    room = {"still": kernels, "channels": taps * kernels, "patches": tile * taps}[form]
    layout.tile_reals = max(layout.tile_reals, room)
    numbers = (
        *(w.height, w.width, w.channels, *w.kernel, *w.stride, *w.pad),
        *(w.rows, w.columns, w.kernels),
    )
    names = layout.names
    return WindowsCode(
        form,
        ", ".join(str(number) for number in numbers),
        taps,
        w,
        tile,
        names(source),
        names(weight),
        names(target),
        head,
        connections=w.shape[0] * kernels if form == "still" else w.connections,
    )
