"""Which synapses of a projection exist: 0/1 matrices (pre, post), drawn once at build."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.random import PhiloxStream

Array = NDArray[np.float64]
PREFIX = "connect:"


def mask(kind: str, shape: tuple[int, int], args: list[Array], stream: PhiloxStream) -> Array:
    """A 0/1 matrix of `shape` (pre, post).

    `kind`: dense | sparse:bernoulli | sparse:exact | sparse:pairs_with_replacement | fixed_in |
    fixed_out. `args`: the probability or number, whether a unit may reach itself, and by how much
    a unit's number as a receiver exceeds its number as a sender.
    """
    amount, itself = float(args[0]), bool(args[1])
    shift = int(args[2]) if len(args) > 2 else 0
    allowed = np.ones(shape, bool)
    if not itself:
        allowed &= ~np.eye(*shape, shift, dtype=bool)
    if kind == "dense":
        return allowed.astype(np.float64)
    if kind == "sparse:pairs_with_replacement":
        return _pairs(shape, amount, allowed, stream)
    chance = np.where(allowed, stream.array(shape), 2.0)  # forbidden synapses come last
    if kind == "sparse:bernoulli":
        return (chance < amount).astype(np.float64)
    if kind == "sparse:exact":
        return _smallest(chance.reshape(1, -1), round(amount * allowed.sum())).reshape(shape)
    if kind == "fixed_in":
        return _smallest(chance.T, int(amount)).T
    return _smallest(chance, int(amount))


def _smallest(chance: Array, count: int) -> Array:
    """1 at the `count` smallest allowed entries of every row."""
    order = np.argsort(chance, axis=1, kind="stable")[:, :count]
    chosen = np.zeros(chance.shape)
    np.put_along_axis(chosen, order, 1.0, axis=1)
    return np.where(chance > 1.0, 0.0, chosen)


def _pairs(
    shape: tuple[int, int], amount: float, allowed: NDArray[np.bool_], stream: PhiloxStream
) -> Array:
    count = round(amount * shape[0] * shape[1])
    index = stream.integers(shape[0] * shape[1], count)
    chosen = np.zeros(shape[0] * shape[1])
    chosen[index] = 1.0
    return np.where(allowed, chosen.reshape(shape), 0.0)
