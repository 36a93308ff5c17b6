"""Every kernel of a program run on the CPU once at least, in every form that it has.

As a script it does so for all shipped specifications under the sanitizers, with memory between the
buffers poisoned: `test_cuda_sanitized.py` starts it.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netdsl.backends.cupy import memory, shim
from netdsl.backends.cupy.shim import ShimExecutor
from netdsl.codegen.cuda.layout import Room
from netdsl.codegen.cuda.synapses import GATHER_BELOW
from netdsl.frontend import check, lower_network
from netdsl.ir.program import Program
from tests.programs import KEYS, PROGRAMS, initial_values
from tests.programs.edges import as_edges, deliveries
from tests.programs.spaces import spaces

SPECS = sorted((Path(__file__).resolve().parents[2] / "specs").glob("**/*.net"))
# No multiple of a warp, a tile or each other: one neuron, less than a warp, more than a tile.
SIZES = {"rows": 7, "cols": 5, "n1": 67, "n2": 1, "n3": 3, "classes": 2, "T": 2, "B": 3}
FORMS = ("dense", "gather", "rows")  # "rows": only the presynaptic side is listed
# Made by hand; some once more with only the synapses that a draw gives them.
MADE: dict[str, Callable[[], Program]] = {
    **PROGRAMS,
    "deliveries": deliveries,
    "edges_three_factor": lambda: as_edges(PROGRAMS["three_factor"]()),
    "edges_relaxation": lambda: as_edges(PROGRAMS["relaxation"]()),
    "spaces": spaces,
    "edges_spaces": lambda: spaces(density=0.4),
}
State = dict[str, npt.NDArray[np.generic]]


def small_program(path: Path) -> Program:
    """The step program of a specification in odd sizes."""
    network = check(path, lower=False).require()
    sizes = {name: size for name, size in SIZES.items() if name in network.params}
    return lower_network(check(path, sizes, lower=False).require())


def programs() -> Iterator[tuple[str, Program]]:
    """All programs, by name."""
    for name, build in MADE.items():
        yield name, build()
    for path in SPECS:
        yield path.stem, small_program(path)


def run(
    program: Program, form: str, *, rows: int = 3, threads: int = 3, order: int = 0,
    silent: bool = False, scratch: int = 0, dtype: str = "float32",
) -> tuple[State, set[str], set[str]]:  # fmt: skip
    """All routines, twice; the state after them, the kernels that ran and those that there are.

    `silent`: all values are 0, so that lists are empty. `scratch`: what every byte of memory holds
    that kernels must write before they read it.
    """
    executor = ShimExecutor(
        program, {}, rows=rows, dtype=dtype, seed=5, threads=threads, order=order,
        strategy="dense" if form == "dense" else "gather",
    )  # fmt: skip
    for test in executor.sparse:
        if form == "rows":
            executor.sparse[test] = all(limit == GATHER_BELOW for _, limit in test.limits)
    _litter(executor, scratch)
    executor.set_rows(rows, KEYS[:rows])
    for name, value in initial_values(program, rows).items():
        executor.write(name, 0 * value if silent else value)
    for name in program.routines:
        for _ in range(2):
            executor.call(name, 3 if program.routines[name].step else 0)
    executor.strategy = "auto"  # which counts nonzeros
    for name in program.routines:
        executor.call(name, 1 if program.routines[name].step else 0)
    state = {name: executor.read(name) for name in program.buffers}
    return state, set(executor.device.launched), {kernel.name for kernel in executor.unit.kernels}


def _litter(executor: ShimExecutor, value: int) -> None:
    buffers = {executor.layout.names(name) for name in executor.program.buffers}
    for room in executor.plan.rooms:
        given = room.field.partition(".")[0] in executor.layout.edges.values()
        if not given and room.field not in buffers | {"row_key", "scales"}:
            address = executor.address + executor.plan.offsets[room.field]
            ctypes.memset(address, value, room.nbytes(executor.capacity))


def _poison(executor: ShimExecutor) -> None:
    """Whatever lies in no buffer must not be touched."""
    plan, rows, base = executor.plan, executor.capacity, executor.address
    poison = ctypes.CDLL(None).__asan_poison_memory_region
    at = plan.struct_bytes
    used: list[tuple[int, Room | None]] = [
        *((plan.offsets[room.field], room) for room in plan.rooms), (plan.nbytes, None)
    ]  # fmt: skip
    for start, room in used:
        poison(ctypes.c_void_p(base + at), ctypes.c_size_t(start - at))
        at = start + (room.nbytes(rows) if room else 0)


def main() -> None:
    """All programs; the sanitizers end the process at the first fault."""
    tight, fill = memory._aligned, ShimExecutor._fill
    memory._aligned = lambda nbytes: tight(nbytes) + memory.ALIGNMENT
    shim._FLAGS = (*shim._FLAGS, "-O0", "-g1", *sys.argv[1:])

    def filled(self: ShimExecutor, initial: dict[str, object]) -> None:
        fill(self, initial)  # type: ignore[arg-type]
        _poison(self)

    ShimExecutor._fill = filled  # type: ignore[assignment, method-assign]
    for name, program in programs():
        print(name, flush=True)
        for form in FORMS:
            run(program, form)
        run(program, "gather", rows=1, threads=32, order=9, silent=True)
    print("all ran")


if __name__ == "__main__":
    main()
