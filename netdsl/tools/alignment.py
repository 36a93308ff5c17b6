"""What a comparison of updates with the gradient found: numbers, warnings, a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.diagnostics.span import Span
from netdsl.ir.network import Network

Array = NDArray[np.float64]
AGREES = 0.9  # a cosine from which on the direction is said to agree
AGAINST = -0.1  # and below which it is said to be against the gradient
NORM = 1.25  # by what factor norms may differ without a word


@dataclass(frozen=True)
class Point:
    """An update beside the gradient's: Euclidean norms of both, and of what lies between them.

    `cosine`, `angle` (degrees), `ratio` (of the update's norm to the gradient's) and `distance`
    (relative to the gradient's norm) are NaN where they would divide by 0.
    """

    update: float
    gradient: float
    product: float  # of the two, as vectors
    between: float

    @property
    def cosine(self) -> float:
        """Of the angle between update and downhill gradient."""
        norm = self.update * self.gradient
        return min(1.0, max(-1.0, self.product / norm)) if norm else math.nan

    @property
    def angle(self) -> float:
        """In degrees, 0 to 180."""
        return math.degrees(math.acos(self.cosine)) if self.cosine == self.cosine else math.nan

    @property
    def ratio(self) -> float:
        """Of the update's norm to the gradient's."""
        return self.update / self.gradient if self.gradient else math.nan

    @property
    def distance(self) -> float:
        """Norm of the difference by that of the gradient."""
        return self.between / self.gradient if self.gradient else math.nan

    def json(self) -> dict[str, float | None]:
        """Numbers by name; null where there is none."""
        found = {
            "cosine": self.cosine,
            "angle": self.angle,
            "ratio": self.ratio,
            "distance": self.distance,
            "update": self.update,
            "gradient": self.gradient,
        }
        return {name: value if math.isfinite(value) else None for name, value in found.items()}


def compare(update: Array, gradient: Array) -> Point:
    """The numbers of two arrays of equal shape."""
    norms = float(np.linalg.norm(update)), float(np.linalg.norm(gradient))
    product = float(np.sum(update * gradient))
    return Point(*norms, product, float(np.linalg.norm(update - gradient)))


@dataclass(frozen=True)
class Measured:
    """One batch, after `batch` others that were learned from: a `Point` by projection. The batches
    of one point of training have the same `start`."""

    batch: int
    start: int
    points: Mapping[str, Point]


@dataclass(frozen=True)
class Alignment:
    """What was compared: updates of `projections` in a protocol with the gradient of `loss` at the
    end of `phase`; `refused` says why a projection has no gradient."""

    network: Network
    loss: str
    phase: str
    protocol: str
    projections: tuple[str, ...]
    measured: tuple[Measured, ...]
    refused: Mapping[str, Diagnostic]

    def points(self, projection: str) -> list[Point]:
        """Those of one projection, in order of the batches."""
        return [m.points[projection] for m in self.measured if projection in m.points]

    @property
    def starts(self) -> list[int]:
        """Points of training, in batches."""
        return list(dict.fromkeys(m.start for m in self.measured))

    def mean(self, projection: str, what: str, start: int | None = None) -> float:
        """Mean of `cosine`, `angle`, … over the batches that have it, or those of one point of
        training; NaN where none has."""
        held = [m for m in self.measured if start is None or m.start == start]
        values = [getattr(m.points[projection], what) for m in held if projection in m.points]
        known = [value for value in values if math.isfinite(value)]
        return sum(known) / len(known) if known else math.nan

    @cached_property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Weights without a signal (L0610), and updates that are not the gradient's (L0611)."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[Diagnostic]:
        for name in self.projections:
            points = self.points(name)
            found = _silent(points) if points else None
            if found is not None:
                help = "look for a factor that is 0 throughout, or a path that leads nowhere"
                yield self._warning("L0610", f"`{name}` {found}", name, help)
            elif points:
                said = _unlike(self.mean(name, "cosine"), self.mean(name, "ratio"))
                if said is not None:
                    yield self._warning("L0611", f"`{name}`: {said[0]}", name, said[1])

    def _warning(self, code: str, message: str, name: str, help: str) -> Diagnostic:
        return Diagnostic(code, message, self._span(name), help=help, severity="warning")

    def _span(self, name: str) -> Span:
        projection = self.network.projections[name]
        rule = projection.rule
        return (rule.learn_span if rule else None) or projection.span or NO_SPAN

    def _rule(self, name: str) -> str:
        rule = self.network.projections[name].rule
        return rule.name if rule else ""

    def render(self) -> str:
        """A table, a line for each projection with means over the batches."""
        head = ("projection", "rule", "cosine", "angle", "ratio", "distance", "|update|")
        rows: list[tuple[str, ...]] = [(*head, "|gradient|")]
        for name in self.projections:
            if name in self.refused:
                fault = self.refused[name]
                rows.append((name, self._rule(name), f"no gradient: {fault.code} {fault.message}"))
            elif not self.points(name):
                rows.append((name, self._rule(name), "did not come to learn in these batches"))
            else:
                rows.append((name, self._rule(name), *self._cells(name)))
        return "\n".join([*_table(rows), self._foot(), *self._course()])

    def _course(self) -> list[str]:
        """The cosine at each point of training, where there are several."""
        names = [name for name in self.projections if self.points(name)]
        if len(self.starts) < 2:
            return []
        rows: list[tuple[str, ...]] = [("after batches", "", *names)]
        for start in self.starts:
            cosines = [format(self.mean(name, "cosine", start), "+.4f") for name in names]
            rows.append((str(start), "cosine", *cosines))
        return ["", *_table(rows)]

    def _cells(self, name: str) -> tuple[str, ...]:
        def mean(what: str, form: str) -> str:
            value = self.mean(name, what)
            return "-" if math.isnan(value) else format(value, form)

        small = (mean("cosine", "+.6f"), mean("angle", ".2f") + "°", mean("ratio", ".6g"))
        return (*small, *(mean(what, ".3g") for what in ("distance", "update", "gradient")))

    def _foot(self) -> str:
        count = len(self.measured)
        where = f"at the end of phase `{self.phase}` of `{self.protocol}`"
        batches = f"{count} batch{'es' if count != 1 else ''}"
        last = self.measured[-1].batch if self.measured else 0
        trained = f", the last after {last} of training" if last else ""
        return f"gradient of `{self.loss}` {where}; means over {batches}{trained}"

    def json(self) -> dict[str, Any]:
        """The stable form that `--json` prints."""
        return {
            "schema": 1,
            "spec": self.network.source,
            "loss": self.loss,
            "phase": self.phase,
            "protocol": self.protocol,
            "projections": {name: self._json(name) for name in self.projections},
            "warnings": [warning.to_json() for warning in self.warnings],
        }

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"rule": self._rule(name)}
        if name in self.refused:
            return found | {"refused": self.refused[name].to_json()}
        batches = [m for m in self.measured if name in m.points]
        return found | {"batches": [{"batch": m.batch, **m.points[name].json()} for m in batches]}


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns side by side; the last cell of a short row runs on."""
    full = [row for row in rows if len(row) == len(rows[0])]
    widths = [max(len(row[column]) for row in full) for column in range(len(rows[0]))]
    for row in rows:
        widths[:2] = [max(width, len(cell)) for width, cell in zip(widths, row[:2], strict=False)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
        if len(row) == len(rows[0]):
            cells += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        else:
            cells += row[2:]
        lines.append("  ".join(cells).rstrip())
    return lines


def _silent(points: list[Point]) -> str | None:
    """What is said of a projection whose update or gradient is 0 throughout."""
    still = not any(point.update for point in points)
    flat = not any(point.gradient for point in points)
    count = f"in all {len(points)} batches" if len(points) > 1 else "in this batch"
    if still and flat:
        return f"gets no signal: its update and the gradient are 0 {count}"
    if still:
        return f"gets no signal: its update is 0 {count}, and the gradient is not"
    if flat:
        return f"does not move the loss: the gradient is 0 {count}, and its update is not"
    return None


def _unlike(cosine: float, ratio: float) -> tuple[str, str] | None:
    """What is said of an update against the gradient, or along it with another norm."""
    if cosine < AGAINST:
        return (
            f"its update goes against the gradient (cosine {cosine:.2f})",
            "look at the sign of `dw` and of the error that it reads",
        )
    if cosine >= AGREES and not 1 / NORM <= ratio <= NORM:
        return (
            f"its update has {ratio:.3g} times the norm of the gradient, whose direction it has "
            f"(cosine {cosine:.3f})",
            "a factor is missing or one too many; where `dw` holds a rate, this is the rate",
        )
    return None
