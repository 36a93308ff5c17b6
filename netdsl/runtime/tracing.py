"""A session under trace: the first value that becomes NaN or infinite ends the run with its origin.

Phases are run step by step and every call is compared with what was there before it, which is slow;
it is done only where something is known to be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from netdsl.backends.base import Array, Executor
from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError, Label, Span
from netdsl.ir.program import Op, Routine
from netdsl.ir.protocol import Clamp, SetGlobal
from netdsl.runtime.origin import Origin, origin
from netdsl.runtime.session import Session
from netdsl.runtime.steps import all_steps

_HELP = "lower the learning rate or the time step, or guard the division, log or sqrt above it"


@contextmanager
def traced(session: Session, note: str = "") -> Iterator[None]:
    """Trace everything that is run on a session. `note` says what is run, for the message.

    Raises DiagnosticError E0416 at the first NaN or infinity that was not there before.
    """
    held = session.executor
    session.executor = cast(Executor, _Traced(session, note))
    try:
        yield
    finally:
        session.executor = held


class _Traced:
    """Stands for an executor and looks at what each call and each batch brings."""

    def __init__(self, session: Session, note: str) -> None:
        self._session, self._executor, self._note = session, session.executor, note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def write(self, buffer: str, value: Array | float) -> None:
        """Data and what the protocol computes are looked at as they come in."""
        held = self._session.program.buffers[buffer]
        given = np.asarray(value)
        bad = np.argwhere(~np.isfinite(given))
        if len(bad) and held.role in ("sample", "control"):
            kind = "NaN" if np.isnan(given[tuple(bad[0])]) else "infinity"
            row = int(bad[0][0]) if given.ndim else None
            path = held.of
            self._raise(Origin(path, kind, row, self._assigned(path)), "")
        self._executor.write(buffer, value)

    def _assigned(self, path: str) -> Span | None:
        """Where the protocol assigns a global state."""
        steps = all_steps(self._session.network)
        found = (s.span for s in steps if isinstance(s, SetGlobal) and s.target == path)
        return next(found, None)

    def call(self, routine: str, steps: int = 0, first: int = 0, last: int | None = None) -> None:
        """As the executor's, step by step."""
        last = steps if last is None else last
        held = self._session.program.routines[routine]
        if held.kind != "phase" or first == last:
            self._part(held, steps, first, last)
        else:
            for index in range(first, last):
                self._part(held, steps, index, index + 1)

    def _part(self, routine: Routine, steps: int, first: int, last: int) -> None:
        before = self._values()
        self._executor.call(routine.name, steps, first, last)
        after = self._values()
        counter = self._session.program.find("phase.step")
        if counter is not None and routine.kind == "phase":
            before[counter] = np.asarray(float(first))
        found = origin(self._session, before, after, _ops(routine, steps, first, last))
        if found is not None:
            self._raise(found, self._where(routine, first))

    def _where(self, routine: Routine, step: int) -> str:
        if routine.kind == "phase":
            return f", step {step} of `{routine.phase}`"
        steps = all_steps(self._session.network)
        clamps = any(isinstance(s, Clamp) and s.site == routine.name for s in steps)
        word = "clamp" if clamps else routine.kind
        return f", at {'an' if word == 'update' else 'a'} `{word}`"

    def _values(self) -> dict[str, Array]:
        buffers = self._session.program.buffers
        return {name: self._executor.read(name) for name in buffers}

    def _raise(self, found: Origin, where: str) -> None:
        sample = "" if found.row is None else f", sample {found.row}"
        host = self._session.host
        counter = "iteration" if "iterations" in host else "epoch"
        batch = f"batch {int(host['batch.index'])} of {counter} {int(host[counter])}"
        batch = batch if host["batch.rows"] and self._session.fields else ""
        raise nan_error(self._session, found, sample + where, batch, self._note)


def _ops(routine: Routine, steps: int, first: int, last: int) -> tuple[Op, ...]:
    if routine.kind != "phase":
        return routine.ops
    once = routine.once if first == 0 else ()
    step = routine.step if last > first else ()
    return (*once, *step, *(routine.after if last == steps else ()))


def nan_error(session: Session, found: Origin, where: str, *notes: str) -> DiagnosticError:
    """The diagnostic: which variable, which sample and step, and the line that computes it."""
    variable = session.network.table.get(found.path)
    declared = variable.span if variable is not None else None
    span: Span = found.span or declared or NO_SPAN
    line = f", from line {span.line}" if span is not NO_SPAN else ""
    labels: tuple[Label, ...] = ()
    if variable is not None and declared is not None and declared.line != span.line:
        labels = (Label(declared, "declared here"),)
        notes = (f"{variable.kind.value} from line {declared.line}", *notes)
    if session.focus is not None:
        notes = (*notes, f"member {session.focus} of the ensemble")
    note = ", ".join(filter(None, notes))
    message = f"{found.kind} first seen in `{found.path}`{where}{line}" + (note and f" ({note})")
    return DiagnosticError(Diagnostic("E0416", message, span, labels, _HELP))
