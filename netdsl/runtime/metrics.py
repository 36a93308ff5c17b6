"""Metrics of an evaluation: reductions over samples, fed batch by batch.

A metric is split at its reductions over the batch: their bodies are evaluated on every batch and
their values kept, so that an evaluation of any size is reduced as one.
"""

from __future__ import annotations

import numpy as np

from netdsl.ir.expr import Expr, Reduce, Ref, transform
from netdsl.ir.network import Place
from netdsl.ir.protocol import Metric, Protocol, RunPhase, Step, steps_of
from netdsl.runtime.datasets import fault_at
from netdsl.runtime.errors import RunFault
from netdsl.runtime.host import REDUCTIONS, Compiled, HostError, Matrix, Read
from netdsl.runtime.session import Session

_PART = "metric.part"


class MetricSum:
    """One metric while an evaluation runs: `add` after every batch, `value` at the end.

    Raises DiagnosticError E0744 where the metric cannot be evaluated on the host.
    """

    def __init__(self, metric: Metric, session: Session) -> None:
        self.metric, self._session = metric, session
        self._parts: list[tuple[Reduce, Compiled]] = []
        self._kept: list[list[Matrix]] = []
        self._whole: list[float] = []
        try:
            self._prepare(metric.value)
        except HostError as fault:
            error = RunFault("E0744", f"metric `{metric.name}`: {fault.message}")
            raise fault_at(error, fault.span or metric.span) from None

    def _prepare(self, expr: Expr) -> None:
        compiler = self._session.compiler(self._place_of)
        if self.metric.per_batch:
            self._rest = compiler.compile(expr)
            return

        def visit(node: Expr) -> Expr | None:
            if not (isinstance(node, Reduce) and node.axis == "batch"):
                return None
            self._parts.append((node, self._session.compiler(self._place_of).compile(node.body)))
            self._kept.append([])
            return Ref(f"{_PART}{len(self._parts) - 1}")

        self._rest = compiler.compile(transform(expr, visit))

    def _place_of(self, key: str) -> Place:
        if key.startswith(_PART):
            body = self._parts[int(key.removeprefix(_PART))][1].place
            return Place.NEURON if body in (Place.UNIT, Place.NEURON) else Place.GLOBAL
        return self._session.place_of(key)

    @property
    def reads(self) -> tuple[str, ...]:
        """Keys of all variables that the metric reads."""
        own = [key for key in self._rest.reads if not key.startswith(_PART)]
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
        for index, ((node, _), kept) in enumerate(zip(self._parts, self._kept, strict=True)):
            reduced[f"{_PART}{index}"] = REDUCTIONS[node.kind](np.concatenate(kept), 0)

        outside = self._session.reader()

        def read(key: str) -> Matrix:
            return reduced[key] if key in reduced else outside(key)

        with np.errstate(all="ignore"):
            return float(np.mean(self._rest.call(read)))


def phases_of(steps: tuple[Step, ...]) -> frozenset[str]:
    """Names of the phases that a block runs."""
    return frozenset(step.name for step in steps_of(steps) if isinstance(step, RunPhase))


def available(metric: MetricSum, protocol: Protocol) -> bool:
    """Can the metric be read in a protocol: does every phase that it names run there?"""
    phases = phases_of(protocol.body)
    for key in metric.reads:
        _, _, role = key.partition("@")
        name = role.rpartition(":")[2]
        if role and role not in ("prev", "settled") and name not in phases:
            return False
    return True
