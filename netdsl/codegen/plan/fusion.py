"""Index lists made by the operation that stores the listed buffer, while a row is in cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netdsl.codegen.plan.derived import RoutinePlan
from netdsl.codegen.plan.instructions import Instruction, ListedCells, MakeList


def list_in_cells(plan: RoutinePlan) -> RoutinePlan:
    """The same plan; lists by row of what an elementwise operation stores are made by it."""
    return replace(plan, once=_fused(plan.once), step=_fused(plan.step), after=_fused(plan.after))


def _fused(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    out: list[Instruction] = []
    for instruction in instructions:
        if isinstance(instruction, MakeList) and not instruction.columns:
            found = _last_writer(instruction.window.buffer, out)
            if found is not None:
                at, cells = found
                out[at] = replace(cells, windows=(*cells.windows, instruction.window))
                continue
        out.append(instruction)
    return tuple(out)


def _last_writer(
    buffer: str, instructions: Sequence[Instruction]
) -> tuple[int, ListedCells] | None:
    """Where the buffer is stored last, and what does it, if that is an elementwise operation."""
    for at in reversed(range(len(instructions))):
        cells = ListedCells.of(instructions[at])
        if buffer in (instructions[at] if cells is None else cells.cells).writes:
            return None if cells is None else (at, cells)
    return None
