"""Metrics of an evaluation: reductions over samples, fed batch by batch.

A metric is split at its reductions over the batch: their bodies are evaluated on every batch and
their values kept, so that an evaluation of any size is reduced as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netdsl.ir.expr import Apply, Expr, Reduce, Ref, transform, walk
from netdsl.ir.network import Place
from netdsl.ir.program import Key
from netdsl.ir.protocol import Metric, Protocol, RunPhase, Step, steps_of
from netdsl.runtime.datasets import fault_at
from netdsl.runtime.errors import RunFault
from netdsl.runtime.host import REDUCTIONS, Compiled, HostError, Matrix, Read
from netdsl.runtime.session import Session

if TYPE_CHECKING:
    from netdsl.runtime.chunks import Passed


class MetricSum:
    """One metric while an evaluation runs: `add` after every batch, `value` at the end.

    Raises DiagnosticError E0744 where the metric cannot be evaluated on the host.
    """

    def __init__(self, metric: Metric, session: Session) -> None:
        self.metric, self._session = metric, session
        self._parts: list[tuple[Reduce, Compiled]] = []
        self._numbers: dict[Key, int] = {}  # of the parts, as the rest of the metric reads them
        self._kept: list[list[Matrix]] = []
        self._whole: list[float] = []
        self._rowwise: bool | None = None  # are parts the same whichever samples are there
        self._apart: tuple[Reduce, Compiled] | None = (
            None  # a reduction over the batch, and its body
        )
        try:
            self._prepare(metric.value)
        except HostError as fault:
            error = RunFault("E0744", f"metric `{metric.name}`: {fault.message}")
            raise fault_at(error, fault.span or metric.span) from None

    def _prepare(self, expr: Expr) -> None:
        compiler = self._session.compiler(self._place_of)
        if self.metric.per_batch:
            self._rest = compiler.compile(expr)
            if isinstance(expr, Reduce) and expr.axis == "batch" and _rowwise(expr.body):
                body = self._session.compiler(self._place_of).compile(expr.body)
                self._apart = (expr, body) if body.place in _SAMPLES else None
            return

        def visit(node: Expr) -> Expr | None:
            if not (isinstance(node, Reduce) and node.axis == "batch"):
                return None
            self._parts.append((node, self._session.compiler(self._place_of).compile(node.body)))
            self._kept.append([])
            part = f"metric.part{len(self._numbers)}"
            self._numbers[Key(part)] = len(self._numbers)
            return Ref(part)

        self._rest = compiler.compile(transform(expr, visit))

    def _place_of(self, key: Key) -> Place:
        if key in self._numbers:
            body = self._parts[self._numbers[key]][1].place
            return Place.NEURON if body in (Place.UNIT, Place.NEURON) else Place.GLOBAL
        return self._session.place_of(key)

    @property
    def reads(self) -> tuple[Key, ...]:
        """Keys of all variables that the metric reads."""
        own = [key for key in self._rest.reads if key not in self._numbers]
        return tuple(dict.fromkeys([*own, *(k for _, part in self._parts for k in part.reads)]))

    @property
    def per_sample(self) -> bool:
        """Does it read anything that differs between samples?"""
        shared = (Place.GLOBAL, Place.NEURON, Place.SYNAPSE)
        return any(self._session.place_of(key) not in shared for key in self.reads)

    def add(self, read: Read) -> None:
        """Take in the batch that is present."""
        with np.errstate(all="ignore"):
            for (_, part), kept in zip(self._parts, self._kept, strict=True):
                kept.append(np.array(part.call(read)))
            if not self._parts:
                self._whole.append(float(np.mean(self._rest.call(read))))

    def add_several(self, passed: Passed) -> None:
        """Take in batches that have run in one call."""
        with np.errstate(all="ignore"):
            if self._apart is not None and _of_samples(self._apart[1], passed):
                self._whole += self._batch_by_batch(self._apart, passed)
            elif self._by_sample(passed):
                for (_, part), kept in zip(self._parts, self._kept, strict=True):
                    kept.append(np.array(part.call(passed.stacked)))
            else:
                for batch in range(len(passed)):
                    self.add(passed.reader(batch))

    def _by_sample(self, passed: Passed) -> bool:
        """Can the parts be computed of all samples at once?"""
        if self._rowwise is None:
            self._rowwise = bool(self._parts) and all(
                _rowwise(node.body) and part.place in _SAMPLES for node, part in self._parts
            )
        return self._rowwise and all(_of_samples(part, passed) for _, part in self._parts)

    @staticmethod
    def _batch_by_batch(apart: tuple[Reduce, Compiled], passed: Passed) -> list[float]:
        """What `per batch` averages, of each batch."""
        node, body = apart
        values = body.call(passed.stacked)
        each = values.reshape(len(passed), -1, values.shape[1])
        reduced = REDUCTIONS[node.kind](each, 1)
        return [float(value) for value in reduced.mean(axis=(1, 2))]

    def finite(self, read: Read) -> bool:
        """Whether all that the metric reads is finite; its own value may still be 0 / 0."""
        return all(bool(np.isfinite(read(key)).all()) for key in self.reads)

    def value(self) -> float:
        """The metric over all batches added; NaN without any."""
        if not self._parts:
            return float(np.mean(self._whole)) if self._whole else float("nan")
        if not all(self._kept):
            return float("nan")
        reduced = {}
        parts = zip(self._numbers, self._parts, self._kept, strict=True)
        for key, (node, _), kept in parts:
            reduced[key] = REDUCTIONS[node.kind](np.concatenate(kept), 0)

        outside = self._session.reader()

        def read(key: Key) -> Matrix:
            return reduced[key] if key in reduced else outside(key)

        with np.errstate(all="ignore"):
            return float(np.mean(self._rest.call(read)))


_SAMPLES = (Place.ROW, Place.UNIT)
_WHOLE = ("angle", "logdet", "transpose", "random_sign")  # of matrices as they are


def _rowwise(expr: Expr) -> bool:
    """Is what an expression says of a sample the same whichever others are there?"""
    return not any(
        (isinstance(node, Reduce) and node.axis in ("batch", "pre"))
        or (isinstance(node, Apply) and node.function in _WHOLE)
        for node in walk(expr)
    )


def _of_samples(part: Compiled, passed: Passed) -> bool:
    return all(passed.steady(key) or passed.by_sample(key) for key in part.reads)


def phases_of(steps: tuple[Step, ...]) -> frozenset[str]:
    """Names of the phases that a block runs."""
    return frozenset(step.name for step in steps_of(steps) if isinstance(step, RunPhase))


def available(metric: MetricSum, protocol: Protocol) -> bool:
    """Can the metric be read in a protocol: does every phase that it names run there?"""
    phases = phases_of(protocol.body)
    nodes = walk(metric.metric.value)
    named = (
        node.phase if isinstance(node, Ref) else node.over_phase
        for node in nodes
        if isinstance(node, Ref | Reduce)
    )
    return phases.issuperset(name for name in named if name is not None)
