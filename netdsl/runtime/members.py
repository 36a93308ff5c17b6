"""Values of an ensemble: one number for each member, and how they are said in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# What a network by itself finds is a number, what an ensemble finds one number for each member.
Found = float | Array
SPREAD = ("median", "sd", "min", "max")


def gathered(values: Sequence[float], members: int) -> Found:
    """What the members found, (members,), or what the only network did."""
    return np.array(values, np.float64) if members else values[0]


def spread(values: Array) -> dict[str, float]:
    """Median, standard deviation over members (0 of one), least and most."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {
        "median": float(np.median(values)),
        "sd": sd,
        "min": float(np.min(values)),
        "max": float(np.max(values)),
    }


def columns(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as a row of the log: of an ensemble the mean by the metric's own name, and beside it
    `.median`, `.sd`, `.min`, `.max` and the list `.members`."""
    row: dict[str, Any] = {}
    for name, value in metrics.items():
        if not isinstance(value, np.ndarray):
            row[name] = value
            continue
        row[name] = float(np.mean(value))
        row.update({f"{name}.{word}": number for word, number in spread(value).items()})
        row[f"{name}.members"] = [float(number) for number in value]
    return row


def better(value: Found, best: Any) -> Any:
    """Where a value is larger than the best so far, (members,) or one truth value; anything is
    where there is none."""
    return np.ones(np.shape(value), bool) if best is None else np.greater(value, np.asarray(best))


def merged(
    old: Mapping[str, Array] | None, new: Mapping[str, Array], where: Any
) -> dict[str, Array]:
    """Parameters of those members from `new` `where` it says so, of the others from `old`; what has
    no axis of members is that of `new`."""
    if old is None or not np.ndim(where) or bool(np.all(where)):
        return dict(new)
    found = {}
    for path, value in new.items():
        found[path] = value
        if value.ndim and value.shape == old[path].shape and len(value) == len(where):
            found[path] = np.where(where.reshape(-1, *[1] * (value.ndim - 1)), value, old[path])
    return found
