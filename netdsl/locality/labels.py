"""The four lattices of a read's label, their joins, and the verdict (reference, section 7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Level:
    """One level of a lattice; `number` is the k of `delayed(k)`, the n of `multi(n)`."""

    name: str
    number: int | None = None

    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name}({self.number})"


@dataclass(frozen=True)
class Lattice:
    """Levels from best to worst; `between` names the join of two that are not ordered."""

    name: str
    levels: tuple[str, ...]
    between: tuple[tuple[frozenset[str], str], ...] = field(default=())

    @property
    def best(self) -> Level:
        """The bottom."""
        return Level(self.levels[0])

    def rank(self, level: Level) -> int:
        """Position of a level, 0 for the best."""
        return self.levels.index(level.name)

    def join(self, first: Level, second: Level) -> Level:
        """The least level that is at least as bad as both."""
        for pair, joined in self.between:
            if {first.name, second.name} == pair:
                return Level(joined)
        if first.name == second.name:
            numbers = [n for n in (first.number, second.number) if n is not None]
            return Level(first.name, max(numbers) if numbers else None)
        return max(first, second, key=self.rank)


SPACE = Lattice(
    "space",
    (
        "constant",
        "synapse",
        "pre",
        "post",
        "pre+post",
        "modulator",
        "pre-internal",
        "aggregated-weights",
        "weight-transport",
        "non-local",
    ),
    ((frozenset({"pre", "post"}), "pre+post"),),
)
TIME = Lattice("time", ("instant", "delayed", "trial-end", "non-causal"))
SAMPLE = Lattice(
    "sample",
    ("per-sample", "history", "batch-reduced", "batch-size-dependent", "window", "cross-sample"),
)
PHASE = Lattice("phase", ("single", "multi", "derivative"))
LATTICES = (SPACE, TIME, SAMPLE, PHASE)

SCOPES = ("none", "global", "population", "celltype", "neuron")  # from the broadest
VERDICTS = (
    "local",
    "three-factor",
    "conditional",
    "aggregated-weights",
    "weight-transport",
    "non-causal",
    "cross-sample",
    "non-local",
)
# Levels that are errors unless waived, with the code of the error.
ERRORS = {
    "weight-transport": "E0313",
    "aggregated-weights": "E0311",
    "non-causal": "E0312",
    "cross-sample": "E0310",
    "non-local": "E0314",
}


@dataclass(frozen=True)
class Label:
    """The label of a read, or of a rule: one level of each lattice."""

    space: Level = SPACE.best
    time: Level = TIME.best
    sample: Level = SAMPLE.best
    phase: Level = PHASE.best

    def join(self, other: Label) -> Label:
        """The label of something that reads both."""
        return Label(
            SPACE.join(self.space, other.space),
            TIME.join(self.time, other.time),
            SAMPLE.join(self.sample, other.sample),
            PHASE.join(self.phase, other.phase),
        )

    def levels(self) -> tuple[Level, Level, Level, Level]:
        """Space, time, sample, phase."""
        return (self.space, self.time, self.sample, self.phase)


def join_all(labels: Iterable[Label]) -> Label:
    """The join of any number of labels; of none: the best."""
    result = Label()
    for label in labels:
        result = result.join(label)
    return result


def narrower(first: str, second: str) -> str:
    """The more specific of two modulator scopes."""
    return max(first, second, key=SCOPES.index)


def verdict(label: Label) -> str:
    """The worst of VERDICTS that applies to a label."""
    by_space = {"modulator": "three-factor", "pre-internal": "conditional"}
    found = {"local", by_space.get(label.space.name, label.space.name)}
    found |= {label.time.name, label.sample.name}
    return max(found & set(VERDICTS), key=VERDICTS.index)
