"""Products with shared kernels as CUDA: a kernel for each, in the forms of `Windows.form`."""

from __future__ import annotations

from netdsl.codegen.c.windows import WindowsCode, propagate_windows, window_sum
from netdsl.codegen.cuda.plan import ROW_THREADS, THREADS, Action, Extent
from netdsl.codegen.cuda.writer import KernelWriter
from netdsl.ir.program import Propagate, WindowSum

# As in templates/cuda/window_sum.cu.j2 and propagate_windows.cu.j2.
COLUMNS, GROUP = 32, 4


def deliver_windows(op: Propagate, writer: KernelWriter) -> tuple[Action, ...]:
    """Actions of a delivery through a shared kernel."""
    code = propagate_windows(op, writer.layout)
    threads, grid = _delivery_threads(code)
    launch = writer.kernel("propagate_windows", op, {"threads": threads, "x": grid}, code=code)
    return (Action(launch),)


def sum_windows(op: WindowSum, writer: KernelWriter) -> tuple[Action, ...]:
    """Actions of a sum over positions."""
    code = window_sum(op, writer.layout)
    kernels = code.windows.kernels
    grid = {
        "threads": ROW_THREADS,
        "x": Extent(kernels, 0, COLUMNS),
        "y": Extent(code.taps, 0, GROUP),
    }
    return (Action(writer.kernel("window_sum", op, grid, code=code)),)


def _delivery_threads(code: WindowsCode) -> tuple[int, Extent]:
    w = code.windows
    if code.form == "still" and code.transposed:
        return THREADS, Extent(0, code.taps)
    if code.transposed:
        return THREADS, Extent(0, w.pre_size, THREADS)
    per_thread = 1 if code.form == "still" else GROUP
    return THREADS, Extent(0, w.post_size, THREADS * per_thread)
