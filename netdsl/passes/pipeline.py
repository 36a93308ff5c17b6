"""The pipeline: every pass by name, in order. This list is its own documentation.

Passes of the network come first, then lowering, then passes of the program. `netdsl show passes
SPEC` prints the list with times, `netdsl show ir SPEC --after PASS` what is there behind a pass.
Where `NETDSL_CHECK` is 1 each pass over programs is followed by `netdsl.ir.verify`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from netdsl.ir.network import Network
from netdsl.ir.program import Program
from netdsl.passes.lower.layout import AUTO
from netdsl.passes.lower.network import lowered
from netdsl.passes.network.eligibility import eligible
from netdsl.passes.network.expects import expected
from netdsl.passes.network.integrate import integrated
from netdsl.passes.network.place import placed
from netdsl.passes.program.fuse import fuse
from netdsl.passes.program.groups import cut
from netdsl.passes.program.hoist import hoist
from netdsl.passes.program.live import live
from netdsl.passes.program.newest import newest
from netdsl.passes.program.once import once
from netdsl.passes.program.prune import prune
from netdsl.passes.program.row_sums import row_sums
from netdsl.passes.program.scalars import scalars
from netdsl.passes.program.share import share
from netdsl.passes.program.strip import strip
from netdsl.passes.program.windows import windows

NETWORK, LOWER, PROGRAM = "network", "lower", "program"


@dataclass(frozen=True)
class Pass:
    """A step of the pipeline: its name, what it does, and the function that does it.

    `over`: what it goes from, networks or programs; lowering goes from one to the other.
    """

    name: str
    run: Callable[..., Any]
    over: str = PROGRAM

    @property
    def about(self) -> str:
        """One sentence."""
        return (self.run.__doc__ or "").split("\n", 1)[0]


PIPELINE = (
    Pass("integrate", integrated, NETWORK),
    Pass("eligibility", eligible, NETWORK),
    Pass("expect", expected, NETWORK),
    Pass("place", placed, NETWORK),
    Pass("lower", lowered, LOWER),
    Pass("strip", strip),
    Pass("hoist", hoist),
    Pass("newest", newest),
    Pass("join", fuse),
    Pass("once", once),
    Pass("live", live),
    Pass("fuse", fuse),
    Pass("cut", cut),
    Pass("rowsums", row_sums),
    Pass("windows", windows),
    Pass("scalars", scalars),
    Pass("share", share),
    Pass("prune", prune),
)

ABOUT = {step.name: step.about for step in PIPELINE}
PROGRAM_PASSES = tuple(step for step in PIPELINE if step.over == PROGRAM)


@dataclass
class Record:
    """What a run of the pipeline leaves behind: milliseconds by pass, and if `keep` what each
    pass made, a network or a program."""

    keep: bool = False
    milliseconds: dict[str, float] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)

    def note(self, name: str, made: Network | Program, seconds: float) -> None:
        """Remember a pass."""
        self.milliseconds[name] = 1e3 * seconds
        if self.keep and isinstance(made, Program):
            self.programs[name] = made
        elif self.keep and isinstance(made, Network):
            self.networks[name] = made


def _verifier() -> Callable[[Program], None]:
    """What looks at a program behind each pass: nothing, unless it is asked for."""
    if os.environ.get("NETDSL_CHECK") != "1":
        return lambda program: None
    from netdsl.ir.verify import BrokenProgram, unmade, verify

    def check(program: Program) -> None:
        verify(program)
        if found := list(unmade(program)):
            raise BrokenProgram("\n".join(found))

    return check


def lower(
    network: Network,
    *,
    observe: Iterable[str] = (),
    feed: Iterable[str] = (),
    synapses: str = AUTO,
    form: str = AUTO,
    keep: str = AUTO,
    record: Record | None = None,
) -> Program:
    """The step program of a network, behind all passes.

    `observe`: variables (lets, definitions, modulators), `VARIABLE@PHASE` and `PROJECTION.dw` to
    keep in buffers of their own; a readout's accumulator to fill it in training too. `feed`: random
    variables whose draws the host supplies in `NAME@feed`. `synapses`: how projections that are not
    full are stored, "auto", "edges" or "masked". `form`: how rules with states at synapses run
    that learn at `update`: "online", in "reverse" where that gives the same, or "auto". `keep`: how
    sweeps get at what they read of each step, "store", "recompute" or "auto". `record` takes what
    the passes take and make.
    Raises LoweringError for what the step program cannot say, and BrokenProgram where checking
    finds that a pass broke it.
    """
    made: Any = network
    wishes = (frozenset(observe), frozenset(feed), synapses, form, keep)
    check = _verifier()
    for step in PIPELINE:
        started = time.perf_counter()
        made = step.run(made, *wishes) if step.over == LOWER else step.run(made)
        if record is not None:
            record.note(step.name, made, time.perf_counter() - started)
        if isinstance(made, Program):
            check(made)
    assert isinstance(made, Program)
    return made
