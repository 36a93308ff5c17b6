"""Evaluations: a protocol run on a copy of the per-sample state, with its metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.program import Key
from netdsl.ir.protocol import Evaluate, Protocol, SplitRef, simulates
from netdsl.runtime import simulation
from netdsl.runtime.chunks import Passed
from netdsl.runtime.datasets import Batch, Datasets
from netdsl.runtime.engine import Hooks, Interpreter, Options
from netdsl.runtime.members import Found, gathered
from netdsl.runtime.memories import empty
from netdsl.runtime.metrics import MetricSum, available
from netdsl.runtime.recorder import Recording
from netdsl.runtime.session import Session
from netdsl.runtime.tracing import traced

Array = NDArray[Any]


class _NotFinite(Exception):
    """A metric reads NaN or infinity, in a member of an ensemble or in the only network."""

    def __init__(self, member: int) -> None:
        super().__init__()
        self.member = member


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: metrics by name, samples seen, recordings by variable; of an
    ensemble metrics are (members,), and recordings have members in front."""

    label: str
    metrics: dict[str, Found]
    samples: int
    recordings: dict[str, Array]


class Evaluator:
    """Runs `evaluate` statements of a session. What they find depends on the parameters and on the
    samples alone, not on what ran before, unless they start `from present state`.

    `latest` holds the last evaluation by label. With `watch`, what metrics read must be finite:
    else the evaluation is repeated under trace, and E0416 is raised where the origin is found.
    """

    def __init__(
        self,
        session: Session,
        datasets: Datasets,
        options: Options | None = None,
        poll: Callable[[], None] = lambda: None,
        watch: bool = False,
    ) -> None:
        self._session, self._datasets = session, datasets
        self._options, self._poll, self._watch = options or Options(), poll, watch
        self.latest: dict[str, Evaluation] = {}

    def __call__(self, step: Evaluate, outer: Interpreter) -> dict[str, Found]:
        """Run one `evaluate` statement of the protocol that `outer` interprets."""
        splits = tuple(outer.resolve(ref) for ref in step.args)
        limit = None if step.limit is None else int(self._session.evaluate(step.limit))
        protocol = self._session.network.protocols[step.protocol]
        return self.run(protocol, splits, step.label, step.from_present, limit).metrics

    def run(
        self,
        protocol: Protocol,
        splits: tuple[SplitRef, ...],
        label: str,
        from_present: bool = False,
        limit: int | None = None,
    ) -> Evaluation:
        """Evaluate and leave the session as it was: states, clamps, counters, random streams."""
        before = _Before(self._session)

        def once(watch: bool = False) -> Evaluation:
            try:
                self._session.draws = {}
                if not from_present:
                    self._session.renew()
                    empty(self._session)
                return self._run(protocol, splits, label, limit, watch)
            finally:
                before.restore()

        try:
            result = once(self._watch)
        except _NotFinite as fault:
            member = fault.member if self._session.members else self._session.focus
            with self._session.focused(member), traced(self._session, f"evaluation `{label}`"):
                result = once()
            if member != self._session.focus:
                result = once()
        self.latest[label] = result
        return result

    def _run(
        self,
        protocol: Protocol,
        splits: tuple[SplitRef, ...],
        label: str,
        limit: int | None,
        watch: bool,
    ) -> Evaluation:
        sums = [self._sums(protocol, label) for _ in self._session.each_member()]
        recording = Recording(self._session, protocol, label or "evaluation")
        options = self._options
        if limit is not None:
            options = replace(options, eval_limit=_smaller(limit, options.eval_limit))
        hooks = _Collect(sums, recording, self._session, self._poll, watch)
        inner = Interpreter(self._session, self._datasets, hooks, options, label or "evaluation")
        inner.phase = recording.phase(inner.phase)
        inner.run(protocol, splits)
        if inner.alone:
            hooks.take(1)
        found = [[total.value() for total in sums[k]] for k in self._session.each_member()]
        metrics: dict[str, Found] = {
            total.metric.name: gathered(values, self._session.members)
            for total, values in zip(sums[0], zip(*found, strict=True), strict=False)
        }
        return Evaluation(label, metrics, hooks.samples, recording.arrays())

    def _sums(self, protocol: Protocol, label: str) -> list[MetricSum]:
        metrics = self._session.network.metrics.values()
        if simulates(protocol, self._session.network.protocols):
            return simulation.metrics_of(self._session, protocol, label)
        chosen = [m for m in metrics if m.every is None and m.on in (None, label)]
        sums = [MetricSum(metric, self._session) for metric in chosen]
        return [total for total in sums if available(total, protocol)]


class _Before:
    """The session's state at the start of an evaluation."""

    def __init__(self, session: Session) -> None:
        self._session, self._focus = session, session.focus
        self._arrays = session.per_sample() | session.stored()
        for name in session.step_counters:
            self._arrays[name] = session.executor.read(name)
        self._keys, self._fields, self._started = session.keys, session.fields, session.started
        self._host, self._draws = dict(session.host), dict(session.draws)
        self._choices, self._memories = session.executor.choices(), dict(session.memories)

    def restore(self) -> None:
        session = self._session
        session.memories = self._memories
        with session.focused(self._focus):
            session.restore(self._arrays, self._keys)
        session.executor.choose(self._choices)
        session.fields, session.draws = self._fields, self._draws
        session.started = self._started
        for path in set(session.host) - set(self._host):
            del session.host[path]
        for path, value in self._host.items():
            session.set_host(path, value)


class _Collect(Hooks):
    """After every batch of an evaluation: metrics, of each member, and recordings."""

    def __init__(
        self,
        sums: list[list[MetricSum]],
        recording: Recording,
        session: Session,
        poll: Callable[[], None],
        watch: bool,
    ) -> None:
        self._sums, self._recording, self._session = sums, recording, session
        self._poll, self._watch = poll, watch
        self.samples = 0

    def poll(self) -> None:
        self._poll()

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        if not interpreter.idle:
            self.take(len(batch.keys))

    def take(self, samples: int) -> None:
        """Take in the samples that are present."""
        odd = None
        for number, sums in zip(self._session.each_member(), self._sums, strict=True):
            read = self._session.reader()
            for total in sums:
                total.add(read)
            if odd is None and self._watch and not all(total.finite(read) for total in sums):
                odd = number
        self.samples += samples
        self._recording.end_batch()
        if odd is not None:
            raise _NotFinite(odd)

    def start_row(self, interpreter: Interpreter) -> None:
        self._recording.end_row()

    def room(self, interpreter: Interpreter) -> int:
        return _MANY if self._recording.empty else 1

    def reads(self, interpreter: Interpreter) -> tuple[Key, ...]:
        return tuple(key for total in self._sums[0] for key in total.reads)

    def after_batches(self, interpreter: Interpreter, passed: Passed) -> None:
        if interpreter.idle:
            return
        odd, members = None, self._session.members
        for number, sums in zip(self._session.each_member(), self._sums, strict=True):
            own = passed.of(number) if members else passed
            for total in sums:
                total.add_several(own)
            if odd is None and self._watch and not all(t.finite(own.stacked) for t in sums):
                odd = number
        self.samples += passed.samples
        if odd is not None:
            raise _NotFinite(odd)


_MANY = 1 << 20  # batches: nothing is wanted of each


def _smaller(a: int, b: int | None) -> int:
    return a if b is None else min(a, b)


def clocked_room(session: Session, batches: int) -> int:
    """How many batches from this one on until a metric with a clock of its own is due."""
    clocks = (metric.every for metric in session.network.metrics.values())
    return min((every - batches % every for every in clocks if every), default=_MANY)


def clocked_metrics(session: Session, batches: int, protocol: Protocol) -> dict[str, Found]:
    """Metrics with a clock of their own (`every 500 batches`) that are due after this batch."""
    due: dict[str, Found] = {}
    for metric in session.network.metrics.values():
        if metric.every is None or batches % metric.every:
            continue
        values = []
        for _ in session.each_member():
            total = MetricSum(metric, session)
            if available(total, protocol):
                total.add(session.reader())
                values.append(total.value())
        if values:
            due[metric.name] = gathered(values, session.members)
    return {name: value for name, value in due.items() if not np.isnan(value).all()}
