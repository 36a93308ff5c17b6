"""Index lists made by the operation that stores the listed buffer, while a row is in cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netdsl.codegen.plan.derived import Instruction, ListedCells, MakeList, RoutinePlan
from netdsl.ir.program import Elementwise


def list_in_cells(plan: RoutinePlan) -> RoutinePlan:
    """The same plan; lists by row of what an elementwise operation stores are made by it."""
    return replace(plan, once=_fused(plan.once), step=_fused(plan.step), after=_fused(plan.after))


def _fused(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    out: list[Instruction] = []
    for instruction in instructions:
        if isinstance(instruction, MakeList) and not instruction.columns:
            at = _last_writer(instruction.window.buffer, out)
            if at is not None:
                out[at] = _listing(out[at], instruction)
                continue
        out.append(instruction)
    return tuple(out)


def _last_writer(buffer: str, instructions: Sequence[Instruction]) -> int | None:
    """Where the buffer is stored last, if by an elementwise operation."""
    for at in reversed(range(len(instructions))):
        instruction = instructions[at]
        cells = instruction.cells if isinstance(instruction, ListedCells) else instruction
        if buffer in cells.writes:
            return at if isinstance(cells, Elementwise) else None
    return None


def _listing(instruction: Instruction, need: MakeList) -> ListedCells:
    if isinstance(instruction, ListedCells):
        return replace(instruction, windows=(*instruction.windows, need.window))
    assert isinstance(instruction, Elementwise)
    return ListedCells(instruction, (need.window,))
