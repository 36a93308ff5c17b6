"""Finding where a NaN came from: the run is repeated from the last good state, step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError
from netdsl.ir.protocol import Protocol, RunPhase, SplitRef
from netdsl.runtime.datasets import Batch, Datasets
from netdsl.runtime.engine import Hooks, Interpreter, Options, Place
from netdsl.runtime.session import Session

Array = NDArray[Any]
_HELP = "lower the learning rate or the time step, or guard the division, log or sqrt above it"


class NanWatch:
    """Looks at the parameters every `every` training batches, and on a fault finds its origin.

    `look` keeps a copy of the state whenever all is well. Raises DiagnosticError E0416.
    """

    def __init__(
        self,
        session: Session,
        datasets: Datasets,
        options: Options,
        protocol: Protocol,
        splits: tuple[SplitRef, ...] = (),
        every: int = 100,
    ) -> None:
        self._session, self._datasets, self._options = session, datasets, options
        self._protocol, self._splits, self._every = protocol, splits, every
        self._good: _Moment | None = None

    def look(self, interpreter: Interpreter, *, now: bool = False) -> None:
        """Check before a batch (every so often) or, with `now`, at once."""
        if not now and self._good is not None and interpreter.place.batches % self._every:
            return
        bad = first_bad(self._session.parameters())
        if bad is None:
            self._good = _Moment(self._session, interpreter.place)
        else:
            self._find(bad)

    def _find(self, bad: tuple[str, str]) -> None:
        if self._good is not None:
            place = self._good.put_back(self._session)
            hooks = _FindBatch(self._session)
            again = Interpreter(self._session, self._datasets, hooks, self._options, place=place)
            again.run(self._protocol, self._splits)
        raise nan_error(self._session, bad[0], bad[1], "")


class _Moment:
    """A copy of everything that a training run depends on."""

    def __init__(self, session: Session, place: Place) -> None:
        self._arrays = session.lasting()
        self._keys, self._host = session.keys, dict(session.host)
        self._draws, self._place = dict(session.draws), deepcopy(place)

    def put_back(self, session: Session) -> Place:
        session.restore(self._arrays, self._keys)
        session.draws = dict(self._draws)
        for path, value in self._host.items():
            session.set_host(path, value)
        return deepcopy(self._place)


class _FindBatch(Hooks):
    """Repeats batches whole until one leaves a bad parameter, then that one step by step."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: _Moment | None = None

    def before_batch(self, interpreter: Interpreter) -> None:
        self._before = _Moment(self._session, interpreter.place)

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        bad = first_bad(self._session.parameters())
        if bad is None or self._before is None:
            return
        self._before.put_back(self._session)
        probe_batch(self._session, interpreter, batch)
        raise nan_error(self._session, bad[0], bad[1], "")


def probe_batch(session: Session, interpreter: Interpreter, batch: Batch) -> None:
    """Run a batch again, one step at a time; raises DiagnosticError at the first NaN."""
    step = interpreter.loop
    if step is None:
        return
    again = Interpreter(session, interpreter.datasets, label=interpreter.label)
    again.phase = _probe(session)
    session.load(batch.fields, batch.keys, batch.index, interpreter.epoch)
    again.block(step.body)


def _probe(session: Session) -> Any:
    def run(step: RunPhase, steps: int) -> None:
        for index in range(steps):
            last = index + 1 if index + 1 < steps else None
            session.executor.call(step.site, steps, index, last)
            _check_step(session, step, index)
        if steps == 0:
            session.executor.call(step.site, 0)

    return run


def _check_step(session: Session, step: RunPhase, index: int) -> None:
    table = session.network.table
    for name in session.program.buffers:
        if name.split("@", 1)[0] not in table:
            continue
        value = session.executor.read(name)
        bad = np.argwhere(np.isnan(value))
        if len(bad):
            rows = value.ndim and session.place_of(name).value in ("row", "unit")
            where = f", sample {int(bad[0][0])}" if rows else ""
            raise nan_error(session, name, "NaN", f"{where}, step {index} of `{step.name}`")


def first_bad(values: Mapping[str, Array]) -> tuple[str, str] | None:
    """The first array with NaN or infinity, and which of the two."""
    for name, value in values.items():
        # A sum is not finite if any element is not, and costs no array of its own.
        if not math.isfinite(float(np.sum(value, dtype=np.float64))):
            kind = "NaN" if bool(np.isnan(value).any()) else "infinity"
            if kind == "NaN" or bool(np.isinf(value).any()):
                return name, kind
    return None


def nan_error(session: Session, name: str, kind: str, where: str) -> DiagnosticError:
    """The diagnostic: which variable, which sample and step, and the line that declares it."""
    path = name.split("@", 1)[0]
    variable = session.network.table.get(path)
    span = variable.span if variable is not None and variable.span is not None else NO_SPAN
    line = f", from line {span.line}" if span is not NO_SPAN else ""
    message = f"{kind} first seen in `{path}`{where}{line}"
    return DiagnosticError(Diagnostic("E0416", message, span, help=_HELP))
