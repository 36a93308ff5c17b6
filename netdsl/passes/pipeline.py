"""The pipeline: every pass by name, in order. This list is its own documentation.

`netdsl show passes SPEC` prints it with times, `netdsl show ir SPEC --after PASS` a program behind
a pass. Where `NETDSL_CHECK` is 1 each pass is followed by `netdsl.ir.verify`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from netdsl.ir.program import Program
from netdsl.ir.verify import checking, verify
from netdsl.passes.program.fuse import fuse
from netdsl.passes.program.groups import cut
from netdsl.passes.program.live import live
from netdsl.passes.program.prune import prune
from netdsl.passes.program.row_sums import row_sums
from netdsl.passes.program.scalars import scalars
from netdsl.passes.program.share import share
from netdsl.passes.program.windows import windows


@dataclass(frozen=True)
class Pass:
    """A step of the pipeline: its name, what it does, and the function that does it."""

    name: str
    run: Callable[[Program], Program]

    @property
    def about(self) -> str:
        """One sentence."""
        return (self.run.__doc__ or "").split("\n", 1)[0]


LOWER = "lower"  # the network becomes a program; what follows goes from program to program

PIPELINE = (
    Pass("join", fuse),
    Pass("live", live),
    Pass("fuse", fuse),
    Pass("cut", cut),
    Pass("rowsums", row_sums),
    Pass("windows", windows),
    Pass("scalars", scalars),
    Pass("share", share),
    Pass("prune", prune),
)

ABOUT = {LOWER: "The network becomes a program: one routine for each step of a protocol."} | {
    step.name: step.about for step in PIPELINE
}


@dataclass
class Record:
    """What a run of the pipeline leaves behind: milliseconds by pass, programs if `keep`."""

    keep: bool = False
    milliseconds: dict[str, float] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)

    def note(self, name: str, program: Program, seconds: float) -> None:
        """Remember a pass."""
        self.milliseconds[name] = 1e3 * seconds
        if self.keep:
            self.programs[name] = program


def run_pipeline(program: Program, record: Record | None = None) -> Program:
    """The program behind all passes. Raises BrokenProgram where checking finds one broken."""
    check = checking()
    if check:
        verify(program)
    for step in PIPELINE:
        started = time.perf_counter()
        program = step.run(program)
        if record is not None:
            record.note(step.name, program, time.perf_counter() - started)
        if check:
            verify(program)
    return program
