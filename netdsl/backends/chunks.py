"""Chunks: several batches of one loop of a protocol, run in one call of an executor.

Every batch of a chunk is the same list of calls on other samples, so that the host has nothing to
decide between two of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from netdsl.backends.base import Executor

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Call:
    """A routine, with its steps if it is a phase."""

    routine: str
    steps: int = 0


@dataclass(frozen=True)
class Assign:
    """A GLOBAL buffer gets a value."""

    buffer: str
    value: float


Action = Call | Assign


@dataclass(frozen=True)
class Plan:
    """What is done with every batch: sample buffers are `fed`, `numbers` (GLOBAL buffers) assigned,
    the actions done in order, and the values of `kept` buffers put aside."""

    fed: tuple[str, ...]
    numbers: tuple[str, ...]
    actions: tuple[Action, ...]
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fed:
    """What a sample buffer gets: rows of `values`, (n,) or (n, width) in the run's number type and
    C order, by `index` (batches, R)."""

    values: Array
    index: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chunk:
    """The batches of a chunk: `fed` by buffer, `numbers` (batches, numbers of the plan), random
    keys of the samples (batches, R)."""

    fed: Mapping[str, Fed]
    numbers: npt.NDArray[np.float64]
    keys: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.keys)


def one_by_one(executor: Executor, plan: Plan, chunk: Chunk) -> dict[str, Array]:
    """What `Executor.run_chunk` does, for a backend that has no call of its own for it."""
    kept: dict[str, list[Array]] = {name: [] for name in plan.kept}
    for batch, keys in enumerate(chunk.keys):
        executor.set_rows(len(keys), keys)
        for name, value in zip(plan.numbers, chunk.numbers[batch].tolist(), strict=True):
            executor.write(name, value)
        for name in plan.fed:
            fed = chunk.fed[name]
            executor.write(name, fed.values[fed.index[batch]])
        for action in plan.actions:
            if isinstance(action, Call):
                executor.call(action.routine, action.steps)
            else:
                executor.write(action.buffer, action.value)
        for name in plan.kept:
            kept[name].append(executor.read(name))
    return {name: np.stack(values) for name, values in kept.items()}
