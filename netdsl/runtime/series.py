"""Fields of a batch as buffers hold them: one or more numbers a sample, or slots of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import RunFault


def sample_values(field: str, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The field in the shape of its buffer: (R,), (R, n) or (steps, R, n)."""
    if len(shape) == 3:
        return _slots(field, values, shape)
    value = np.asarray(values, np.float64).reshape(shape[0], -1)
    return value[:, 0] if len(shape) == 1 else value


def _slots(field: str, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(steps, R, n) of an array (R, T, n) or (R, T), however flattened. Raises RunFault E0786."""
    steps, rows, size = shape
    given = np.asarray(values).reshape(rows, -1, size)[:, :steps]
    if given.shape[1] < steps > 2:  # slots are two at least
        raise RunFault(
            "E0786",
            f"`sample.{field}` has {given.shape[1]} steps, and a trial of {steps} reads it",
            "give a longer array",
        )
    slots = np.zeros(shape)
    slots[: given.shape[1]] = given.transpose(1, 0, 2)
    return slots
