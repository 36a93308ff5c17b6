"""Finding where a NaN or infinity came from: the run is repeated from the last good state.

First batch by batch, until one leaves something bad; then that batch under trace.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.protocol import Protocol, SplitRef
from netdsl.runtime.datasets import Batch, Datasets
from netdsl.runtime.engine import Hooks, Interpreter, Options, Place
from netdsl.runtime.origin import Origin
from netdsl.runtime.session import Session
from netdsl.runtime.tracing import nan_error, traced

Array = NDArray[Any]
_SELDOM = 10  # times as long as a look takes pass until the next
Bad = tuple[str, str]  # a variable, and "NaN" or "infinity"


class NanWatch:
    """Looks at parameters and states every `every` training batches, or less often where that would
    take more than a tenth of the time; on a fault finds its origin.

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
        self._looked, self._next = 0, 0.0  # batches at the last look, and when to look again

    def begin(self, place: Place) -> None:
        """Check before the run's first statement, which is at `place`."""
        require_finite(self._session)
        self._good, self._looked = _Moment(self._session, place), place.batches

    def look(self, interpreter: Interpreter, *, now: bool = False) -> None:
        """Check before a batch (every so often) or, with `now`, at once."""
        started, batches = time.perf_counter(), interpreter.place.batches
        if not now and self._good is not None and (self.room(batches) or started < self._next):
            return
        self.check(interpreter)
        self._good, self._looked = _Moment(self._session, interpreter.place), batches
        done = time.perf_counter()
        self._next = done + _SELDOM * (done - started)

    def room(self, batches: int) -> int:
        """How many batches until the next look, at least; 0 when it is due."""
        return max(self._looked + self._every - batches, 0)

    def check(self, interpreter: Interpreter) -> None:
        """Check at once, keeping no copy."""
        bad = self.bad()
        if bad is not None:
            self._find(bad, interpreter)

    def _states(self) -> dict[str, Array]:
        """Values of the samples present, which may have been bad for long before a parameter is."""
        session = self._session
        return {
            name: value[session.of_rows(name, slice(session.rows))]
            for name, value in session.per_sample().items()
            if session.program.buffers[name].role != "accumulator"
        }

    def _find(self, bad: Bad, interpreter: Interpreter) -> NoReturn:
        """Raises the error of what made it, or of `bad` itself where that is not found again."""
        session = self._session
        if self._good is None:
            raise nan_error(session, Origin(*bad, None, None), "")
        for _ in session.each_member():
            found = self.bad()
            if found is None and session.focus is not None:
                continue
            hooks = _FindBatch(self.bad, interpreter.place.batches)
            self._repeat(self._good, interpreter, hooks)
            with traced(session):
                self._repeat(hooks.before or self._good, interpreter, _Until(hooks.last))
            raise nan_error(session, Origin(*(found or bad), None, None), "")
        raise nan_error(session, Origin(*bad, None, None), "")

    def bad(self) -> Bad | None:
        """The first parameter or state that is bad now."""
        return first_bad(self._session.parameters()) or first_bad(self._states())

    def _repeat(self, moment: _Moment, outer: Interpreter, hooks: Hooks) -> None:
        place = moment.put_back(self._session)
        again = Interpreter(self._session, self._datasets, hooks, self._options, place=place)
        again.kept.update(outer.kept)
        with suppress(_Enough):
            again.run(self._protocol, self._splits)


class _Enough(Exception):
    """The repetition has come as far as it is wanted."""


class _Moment:
    """A copy of everything that a training run depends on."""

    def __init__(self, session: Session, place: Place) -> None:
        self._arrays, self._focus = session.lasting(), session.focus
        self._keys, self._host = session.keys, dict(session.host)
        self._draws, self._place = dict(session.draws), deepcopy(place)
        self._memories = dict(session.memories)

    def put_back(self, session: Session) -> Place:
        with session.focused(self._focus):
            session.restore(self._arrays, self._keys)
        session.draws, session.memories = dict(self._draws), dict(self._memories)
        for path, value in self._host.items():
            session.set_host(path, value)
        return deepcopy(self._place)


class _Until(Hooks):
    """Repeats training up to batch `last`, the first one that is not wanted."""

    def __init__(self, last: int) -> None:
        self.last = last

    def before_batch(self, interpreter: Interpreter) -> None:
        if interpreter.place.batches >= self.last:
            raise _Enough


class _FindBatch(_Until):
    """Repeats batches whole until one leaves something bad; `before` is the moment ahead of it."""

    def __init__(self, look: Callable[[], Bad | None], last: int) -> None:
        super().__init__(last)
        self._look = look
        self.bad: Bad | None = None
        self.before: _Moment | None = None

    def before_batch(self, interpreter: Interpreter) -> None:
        super().before_batch(interpreter)
        self._stop_if_bad(interpreter)
        self.before = _Moment(interpreter.session, interpreter.place)

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        self._stop_if_bad(interpreter)

    def after_phase(self, interpreter: Interpreter) -> None:
        self._stop_if_bad(interpreter)

    def _stop_if_bad(self, interpreter: Interpreter) -> None:
        self.bad = self._look()
        if self.bad is not None:
            self.last = interpreter.place.batches
            raise _Enough


def require_finite(session: Session) -> None:
    """Raises E0416 where a parameter is NaN or infinite."""
    bad = first_bad(session.parameters())
    if bad is not None:
        raise nan_error(session, Origin(*bad, None, None), "")


def first_bad(values: Mapping[str, Array]) -> Bad | None:
    """The first array with NaN or infinity, and which of the two."""
    for name, value in values.items():
        # A sum is not finite if any element is not, and costs no array of its own.
        with np.errstate(all="ignore"):
            total = float(np.sum(value, dtype=np.float64))
        if not math.isfinite(total):
            kind = "NaN" if bool(np.isnan(value).any()) else "infinity"
            if kind == "NaN" or bool(np.isinf(value).any()):
                return name, kind
    return None
