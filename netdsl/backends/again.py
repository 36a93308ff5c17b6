"""The calls that a routine is made of: most one, more where a phase is run again in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from netdsl.ir.program import Program, Routine

Part = tuple[int, int, int]  # steps, first, last


class Counting(Protocol):
    """The counters of what makes the calls."""

    program: Program

    def read(self, buffer: str) -> Any:
        """The value of a buffer."""

    def write(self, buffer: str, value: float) -> None:
        """Overwrite it."""


def calls(executor: Counting, name: str, *part: int) -> Iterator[tuple[str, Part]]:
    """The routines to call one after the other; counters are set in between.

    `part`: how many steps the phase has, and which of them, from first to last - 1, are run.
    """
    routine = executor.program.routines[name]
    steps, first, last = part
    if not routine.parts:
        yield name, (steps, first, last)
    elif routine.kind == "phase":
        yield from _marking(routine, steps, first, last)
    else:
        yield from _back(executor, routine)


def starts(steps: int, chunk: int) -> list[int]:
    """The first steps of chunks that are counted from the end, the last chunk's first."""
    return [max(0, end - chunk) for end in range(steps, 0, -chunk)]


def _marking(routine: Routine, steps: int, first: int, last: int) -> Iterator[tuple[str, Part]]:
    (mark,) = routine.parts
    for start in reversed(starts(steps, routine.chunk)):
        if start > 0 and first <= start < last:
            if first < start:
                yield routine.name, (steps, first, start)
            yield mark, (0, 0, 0)
            first = start
    yield routine.name, (steps, first, last)


def _back(executor: Counting, routine: Routine) -> Iterator[tuple[str, Part]]:
    restore, again, begin, back = routine.parts
    step, clock = (executor.program.counter(of) for of in ("phase.step", "t"))
    steps, chunk, ahead = routine.whole, routine.chunk, routine.ahead
    now = float(executor.read(clock))
    for number, start in enumerate(starts(steps, chunk)):
        end = steps - number * chunk
        executor.write(step, float(number))
        yield restore, (0, 0, 0)
        executor.write(clock, now - steps + start)
        yield again, (steps, start, end)
        if number == 0:
            executor.write(clock, now)
            yield begin, (0, 0, 0)
        first, last = max(ahead, steps - end) - ahead, steps - start - ahead
        executor.write(clock, now + first)
        yield back, (steps, first, last)
    executor.write(clock, now)
    yield routine.name, (0, 0, 0)
