"""What a protocol changes between a phase and the `update` that goes back through it.

The sweep reads weights, and whatever the phase left as it was, where they lie. A statement in
between that stores to one of them would be read as if the phase had seen it, so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from netdsl.ir.network import Place
from netdsl.ir.program import Buffer, Routine
from netdsl.ir.protocol import (
    Each,
    Repeat,
    Reset,
    Restore,
    RunPhase,
    RunProtocol,
    Step,
    Update,
    steps_of,
)
from netdsl.ir.roles import Node
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.sites import Site


def refuse_changes(
    context: Context, site: Site, sweep: Iterable[Node], routines: Mapping[str, Routine]
) -> None:
    """Raise LoweringError E0847 where a statement between a phase and an `update` stores to what
    the sweep of the `update` reads."""
    found = first_change(context, site, sweep, routines)
    if found is not None:
        step, held = found
        loop = step is site.step
        what = "this `update` runs again, and" if loop else "a statement in between"
        assert site.previous is not None
        raise LoweringError(
            "E0847",
            f"`bptt` goes back through phase `{site.previous.name}`, but {what} changes "
            f"`{held.of or held.owner or held.name}` before it does",
            step.span or site.step.span,
            "put it into the same `update`, whose changes are all formed before any is "
            "made, or run the phase again before this one",
        )


def first_change(
    context: Context, site: Site, sweep: Iterable[Node], routines: Mapping[str, Routine]
) -> tuple[Step, Buffer] | None:
    """The first statement between the phase and an `update` that stores to what some operations
    read, and what it stores to."""
    assert site.previous is not None
    read = sorted(_read(sweep))
    for step in between(site, site.previous):
        for name in read:
            if _stores(step, context.buffers[name], routines):
                return step, context.buffers[name]
    return None


def between(site: Site, phase: RunPhase) -> Iterator[Step]:
    """Statements that may run after the phase and before the `update` of a site: those between
    them in the text, and all of a loop that holds the `update` and not the phase."""
    steps = list(steps_of(site.protocol.body))
    first = next(n for n, step in enumerate(steps) if step is phase)
    last = next(n for n, step in enumerate(steps) if step is site.step)
    for step in steps[first + 1 : last]:
        yield step
        if isinstance(step, Each | Repeat):
            inside = list(steps_of(step.body))
            if any(other is site.step for other in inside):
                yield from inside


def _read(ops: Iterable[Node]) -> set[str]:
    """Buffers that operations in order read before they store to them."""
    read: set[str] = set()
    made: set[str] = set()
    for op in ops:
        read |= op.reads - made
        made |= op.writes
    return read


def _stores(step: Step, held: Buffer, routines: Mapping[str, Routine]) -> bool:
    """Does a statement store to a buffer?"""
    if isinstance(step, RunProtocol):
        return True
    if isinstance(step, Reset):
        states = held.role in ("state", "input", "snapshot") and held.place is not Place.SYNAPSE
        return states and (not step.targets or held.owner in step.targets)
    if isinstance(step, Restore):
        return held.role == "weight"
    if isinstance(step, Update) and held.role == "weight":
        return held.owner in step.projections
    routine = routines.get(getattr(step, "site", ""))
    if routine is not None:
        return held.name in routine.writes
    return getattr(step, "target", None) == held.name and held.place is Place.GLOBAL
