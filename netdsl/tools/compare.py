"""Two backends side by side, step by step: the first variable and step that differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.protocol import RunPhase
from netdsl.runtime.choosing import main_protocol
from netdsl.runtime.datasets import Batch
from netdsl.runtime.engine import Hooks, Interpreter, Interrupted
from netdsl.runtime.session import Session
from netdsl.runtime.simulation import require_no_data

if TYPE_CHECKING:
    from netdsl.runtime.model import Model


@dataclass(frozen=True)
class Comparison:
    """`first` names the first difference beyond tolerance; `largest` is by variable, relative to
    the variable's largest magnitude (at least 1)."""

    names: tuple[str, str]
    tolerance: float
    steps: int
    first: str | None
    largest: dict[str, float]

    @property
    def ok(self) -> bool:
        """Nothing differs beyond the tolerance."""
        return self.first is None

    def render(self) -> str:
        """A few lines: the verdict and the variables that differ most."""
        title = f"{self.names[0]} and {self.names[1]}"
        worst = sorted(self.largest.items(), key=lambda item: -item[1])[:5]
        listed = ", ".join(f"{name} {gap:.1e}" for name, gap in worst if gap) or "none"
        if self.first is None:
            return (
                f"{title} agree within {self.tolerance:g} over {self.steps} steps;"
                f" largest differences: {listed}"
            )
        return f"{title} differ first in {self.first}; largest differences: {listed}"


class _Pair(Hooks):
    """Runs the second session in lock step with the first."""

    def __init__(self, a: Session, b: Session, batches: int, tolerance: float) -> None:
        self._a, self._b = a, b
        self._batches, self._tolerance = batches, tolerance
        self.names = [
            name
            for name, buffer in a.program.buffers.items()
            if name in b.program.buffers
            and buffer.role not in ("scratch", "hoisted")
            and buffer.of not in a.host
        ]
        ops = [op for routine in a.program.routines.values() for op in routine.ops]
        last = (op.writes for op in ops if getattr(op, "newest", False))
        self._last = frozenset[str]().union(*last)  # of what the newest row alone is computed
        self.first: str | None = None
        self.largest: dict[str, float] = {}
        self.steps = 0
        self._batch = 0

    def phase(self, step: RunPhase, steps: int) -> None:
        """Both backends, one step at a time."""
        self.mirror()
        for index in range(steps):
            last = index + 1 if index + 1 < steps else None
            for session in (self._a, self._b):
                session.executor.call(step.site, steps, index, last)
            self.steps += 1
            self._look(f"step {index} of `{step.name}`")
        if steps == 0:
            for session in (self._a, self._b):
                session.executor.call(step.site, 0)

    def mirror(self) -> None:
        """What the host holds (controls, global states, counters) is the first session's."""
        for path, value in self._a.host.items():
            self._b.set_host(path, value)

    def _look(self, where: str) -> None:
        for name in self.names:
            one, other = self._value(self._a, name), self._value(self._b, name)
            gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
            gap = np.where(np.isnan(one) & np.isnan(other), 0.0, gap)
            if name in self._a.program.of_newest:
                gap[(slice(None),) * self._a.executor.lead(name) + (slice(-1),)] = 0.0
            scale = max(1.0, float(np.nanmax(np.abs(one), initial=0.0)))
            largest = float(np.max(gap, initial=0.0)) / scale
            self.largest[name] = max(self.largest.get(name, 0.0), largest)
            if not largest <= self._tolerance and self.first is None:
                at = np.unravel_index(int(np.argmax(gap)), gap.shape)
                element = f" element {[int(i) for i in at]}" if gap.ndim else ""
                line = self._line(name)
                self.first = (
                    f"`{name}`{element}, {where} of batch {self._batch}{line}:"
                    f" {float(one[at]):.9g} and {float(other[at]):.9g}"
                )
                raise Interrupted

    def _value(self, session: Session, name: str) -> NDArray[Any]:
        """What there is to compare of a buffer."""
        whole, last = session.executor.read(name), slice(session.rows - 1, session.rows)
        return whole[session.of_rows(name, last)] if name in self._last else whole

    def _line(self, name: str) -> str:
        variable = self._a.network.table.get(self._a.program.buffers[name].of)
        return f", line {variable.span.line}" if variable is not None and variable.span else ""

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        if not interpreter.idle:
            self._ended()

    def after_phase(self, interpreter: Interpreter) -> None:
        self._ended()

    def _ended(self) -> None:
        self._look("the end")
        self._batch += 1
        if self._batch >= self._batches:
            raise Interrupted


_PRESENT = ("load", "alone")  # what a session does to present rows


class _Twin(Interpreter):
    """Everything outside phases, done on both sessions."""

    def __init__(self, pair: _Pair, model: Model, other: Session) -> None:
        super().__init__(model.session, model.datasets, pair)
        self._other, self._pair = other, pair
        self.phase = pair.phase
        for name in _PRESENT:
            setattr(self.session, name, self._both(getattr(self.session, name), name))

    def _both(self, own: Callable[..., None], name: str) -> Callable[..., None]:
        def present(*args: object) -> None:
            own(*args)
            getattr(self._other, name)(*args)

        return present

    def release(self) -> None:
        """Let the first session present samples by itself again."""
        for name in _PRESENT:
            delattr(self.session, name)

    def push(self, step):  # type: ignore[no-untyped-def]
        super().push(step)
        if step.site in self._other.program.routines:
            self._other.executor.call(step.site)

    def reset(self, step):  # type: ignore[no-untyped-def]
        super().reset(step)
        self._other.reset(step.targets)

    def clamp(self, step):  # type: ignore[no-untyped-def]
        self._pair.mirror()
        super().clamp(step)
        if step.site in self._other.program.routines:
            self._other.executor.call(step.site)

    def set_state(self, step):  # type: ignore[no-untyped-def]
        self._pair.mirror()
        super().set_state(step)
        self._other.executor.call(step.site)

    def update(self, step):  # type: ignore[no-untyped-def]
        self._pair.mirror()
        super().update(step)
        self._other.executor.call(step.site)


def compare_models(a: Model, b: Model, batches: int = 2, tolerance: float = 1e-4) -> Comparison:
    """Train both models for some batches in lock step; evaluations are left out.

    They start from equal build-time values; differences are relative to a variable's largest
    magnitude, at least 1. GLOBAL buffers are compared too.
    """
    a.single("`compare`")
    b.single("`compare`")
    protocol = main_protocol(a.network)
    require_no_data(a.network, a.program, protocol)
    pair = _Pair(a.session, b.session, batches, tolerance)
    twin = _Twin(pair, a, b.session)
    try:
        twin.run(protocol)
    except Interrupted:
        pass
    finally:
        twin.release()
    names = (a.backend, b.backend)
    return Comparison(names, tolerance, pair.steps, pair.first, pair.largest)
