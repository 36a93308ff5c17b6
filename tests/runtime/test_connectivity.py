"""Which synapses exist: draws made in parts against the same draws of a whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netdsl.ir.expr import Const
from netdsl.ir.network import Draw
from netdsl.runtime import connectivity
from netdsl.runtime.random import PhiloxStream

KINDS = {
    "dense": 0.0,
    "sparse:bernoulli": 0.1,
    "sparse:exact": 0.13,
    "sparse:pairs_with_replacement": 0.2,
    "fixed_in": 3.0,
    "fixed_out": 4.0,
}


def whole(
    kind: str, shape: tuple[int, int], amount: float, allowed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The matrix as the text says it: smallest draws first, the first of equal ones."""
    stream = PhiloxStream(5, "W.mask")
    if kind == "dense":
        return allowed
    chance = np.where(allowed, stream.array(shape), 2.0)
    chosen = np.zeros(shape, bool)
    if kind == "sparse:pairs_with_replacement":
        count = round(amount * chosen.size)
        chosen.reshape(-1)[stream.integers(chosen.size, count)] = True
    elif kind == "sparse:bernoulli":
        chosen = chance < amount
    elif kind == "sparse:exact":
        order = np.argsort(chance.reshape(-1), kind="stable")
        chosen.reshape(-1)[order[: round(amount * allowed.sum())]] = True
    else:
        axis = 0 if kind == "fixed_in" else 1
        rank = np.argsort(np.argsort(chance, axis, kind="stable"), axis, kind="stable")
        chosen = rank < amount
    return chosen & allowed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("itself", [True, False])
@settings(max_examples=25, deadline=None)
@given(m=st.integers(1, 40), n=st.integers(1, 40), shift=st.integers(-5, 5))
def test_parts_make_the_whole(kind: str, itself: bool, m: int, n: int, shift: int) -> None:
    allowed = np.ones((m, n), bool)
    if not itself:
        allowed &= ~np.eye(m, n, shift, dtype=bool)
    draw = Draw(f"connect:{kind}", (Const(KINDS[kind]), Const(itself), Const(shift)), "W.mask")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connectivity, "_CHUNK", 64)
        connectivity._drawn.cache_clear()
        found = connectivity.drawn(draw, (m, n), 5)
    np.testing.assert_array_equal(found.matrix(), whole(kind, (m, n), KINDS[kind], allowed))
    assert (np.diff(found.flat) > 0).all()
    np.testing.assert_array_equal(np.diff(found.start), found.matrix().sum(1))
    np.testing.assert_array_equal(found.post[found.in_edge], np.sort(found.post))
    assert (np.diff(found.in_start)).sum() == found.count


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_draws_of_some_elements(kind: str) -> None:
    stream = PhiloxStream(3, "W.w")
    drawn = stream.array((301, 77), kind)
    at = np.sort(np.random.default_rng(0).choice(drawn.size, 4000, replace=False))
    np.testing.assert_array_equal(stream.array_at(at, kind), drawn.reshape(-1)[at])
    whole = stream.integers(9, 5000)
    np.testing.assert_array_equal(stream.integers_at(9, at[at < 5000]), whole[at[at < 5000]])
