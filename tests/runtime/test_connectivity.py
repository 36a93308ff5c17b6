"""Which synapses exist: as many draws as synapses, every choice as likely as every other."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from netdsl.ir.expr import Const
from netdsl.ir.network import Draw
from netdsl.streams import connectivity, wiring
from netdsl.streams import draws as random
from netdsl.streams.connectivity import Connections
from netdsl.streams.draws import PhiloxStream
from tests.amounts import amount as sized
from tests.amounts import sweep, up_to

KINDS = (
    "dense",
    "sparse:bernoulli",
    "sparse:exact",
    "sparse:pairs_with_replacement",
    "fixed_in",
    "fixed_out",
)


def draw(
    kind: str,
    amount: float,
    shape: tuple[int, int],
    shift: int | None = None,
    seed: int = 5,
) -> Connections:
    args = (Const(amount), Const(shift is None), Const(shift or 0))
    connectivity._drawn.cache_clear()
    return connectivity.drawn(Draw(f"connect:{kind}", args, "W.mask"), shape, seed)


def allowed_in(shape: tuple[int, int], shift: int | None) -> NDArray[np.bool_]:
    every = np.ones(shape, bool)
    return every if shift is None else every & ~np.eye(*shape, shift, dtype=bool)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=up_to(60), deadline=None)
@given(
    m=st.integers(1, 40),
    n=st.integers(1, 40),
    shift=st.none() | st.integers(-5, 5),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_what_a_draw_promises(
    kind: str, m: int, n: int, shift: int | None, share: float, seed: int
) -> None:
    allowed = allowed_in((m, n), shift)
    partners = {"fixed_in": m, "fixed_out": n}.get(kind)
    amount = share if partners is None else float(round(share * partners))
    found = draw(kind, amount, (m, n), shift, seed)
    matrix = found.matrix()
    assert (np.diff(found.flat) > 0).all()  # by pre, then post, none twice
    assert ((found.pre >= 0) & (found.pre < m) & (found.post >= 0) & (found.post < n)).all()
    assert not matrix[~allowed].any()
    np.testing.assert_array_equal(np.diff(found.start), matrix.sum(1))
    np.testing.assert_array_equal(found.post[found.in_edge], np.sort(found.post))
    np.testing.assert_array_equal(np.diff(found.in_start), matrix.sum(0))
    if kind == "dense":
        assert found.count == allowed.sum()
    elif kind == "sparse:exact":
        assert found.count == round(amount * allowed.sum())
    elif partners is not None:
        axis = int(kind == "fixed_out")
        wanted = np.minimum(amount, allowed.sum(axis))
        np.testing.assert_array_equal(matrix.sum(axis), wanted)
    elif amount in (0.0, 1.0) and kind == "sparse:bernoulli":
        assert found.count == amount * allowed.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("amount", [0.1, 0.7])
@pytest.mark.parametrize("chunk", [4, 64, 4096])
def test_chunks_change_nothing(
    kind: str, amount: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = amount if "sparse" in kind else round(50 * amount)
    wanted = draw(kind, count, (50, 60), 3)
    monkeypatch.setattr(wiring, "_CHUNK", chunk)
    monkeypatch.setattr(random, "_BUILD_CHUNK", chunk)
    found = draw(kind, count, (50, 60), 3)
    np.testing.assert_array_equal(found.flat, wanted.flat)


def choices(kind: str, amount: float, shape: tuple[int, int], shift: int | None) -> list[Any]:
    """Every set of elements that an exact draw may give."""
    m, n = shape
    free = np.flatnonzero(allowed_in(shape, shift))
    if kind == "sparse:exact":
        return [frozenset(c) for c in combinations(free.tolist(), round(amount * len(free)))]
    unit = free % n if kind == "fixed_in" else free // n
    parts = [
        combinations(free[unit == u].tolist(), min(int(amount), int((unit == u).sum())))
        for u in range(n if kind == "fixed_in" else m)
    ]
    return [frozenset(sum(c, ())) for c in product(*parts)]


@pytest.mark.varied
@pytest.mark.parametrize("shift", sweep([None, 0, 1], lambda shift: shift == 0))
@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        ("sparse:exact", 0.25),
        ("sparse:exact", 0.75),
        ("fixed_in", 1),
        ("fixed_in", 2),
        ("fixed_out", 1),
        ("fixed_out", 2),
    ],
)
def test_every_choice_is_as_likely(kind: str, amount: float, shift: int | None) -> None:
    shape = (3, 3)
    expected = choices(kind, amount, shape, shift)
    trials = sized(6, 15) * max(60, len(expected))
    counts = Counter(
        frozenset(draw(kind, amount, shape, shift, seed).flat.tolist()) for seed in range(trials)
    )
    assert counts.keys() <= set(expected)
    if len(expected) > 1:
        assert chisquare([counts[choice] for choice in expected]).pvalue > 1e-3


@pytest.mark.varied
@pytest.mark.parametrize("p", sweep([0.03, 0.3, 0.6, 0.97], lambda p: p == 0.03))
def test_synapses_of_a_bernoulli_draw_are_independent(p: float) -> None:
    trials, elements = sized(800, 2000), 6
    counts = np.zeros(2**elements)
    for seed in range(trials):
        counts[(1 << draw("sparse:bernoulli", p, (2, 3), None, seed).flat).sum()] += 1
    ones = np.array([bin(code).count("1") for code in range(2**elements)])
    expected = trials * p**ones * (1 - p) ** (elements - ones)
    rare = expected < 5
    group = np.where(rare, -1, np.arange(2**elements))  # those that hardly occur count as one
    groups = np.unique(group)
    cells = [[a[group == g].sum() for g in groups] for a in (counts, expected)]
    assert chisquare(*cells).pvalue > 1e-3


@pytest.mark.parametrize("kind", KINDS[1:])
def test_shares_of_neurons_and_distances(kind: str) -> None:
    """Large draws: as many synapses at every neuron and at every distance between the ends."""
    m, n = 300, 400
    amount = {"fixed_in": 30, "fixed_out": 40}.get(kind, 0.1)
    p = -math.expm1(-amount) if "pairs" in kind else 0.1
    found = draw(kind, amount, (m, n))
    for cell, cells in ((found.pre % 20, 20), (found.post % 16, 16), ((found.flat * 7) % 13, 13)):
        counts = np.bincount(cell, minlength=cells)
        # Without replacement counts vary less than chi-square says: only too much is a fault.
        assert chisquare(counts, np.full(cells, counts.sum() / cells)).pvalue > 1e-3
    assert abs(found.count - p * m * n) < 5 * math.sqrt(m * n * p * (1 - p))


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("share", [1e-4, 0.02, 0.5, 0.9])
def test_no_more_numbers_than_synapses_are_drawn(
    kind: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    plain = PhiloxStream.fractions

    def fractions(self: PhiloxStream, first: int, size: int) -> NDArray[np.float64]:
        nonlocal asked
        asked += size
        return plain(self, first, size)

    monkeypatch.setattr(PhiloxStream, "fractions", fractions)
    amount = share if "sparse" in kind else max(1, round(1000 * share))
    found = draw(kind, amount, (1000, 1000), 0)
    more = 2 if "pairs" in kind else 1.5  # pairs drawn twice are one synapse
    assert asked <= more * found.count + 300


def test_more_pairs_than_an_integer_counts() -> None:
    n = 60_000
    for kind, amount, count in (
        ("fixed_in", 3, 3 * n),
        ("fixed_out", 2, 2 * n),
        ("sparse:exact", 1e-5, 36_000 - 1),
    ):
        found = draw(kind, amount, (n, n), 0)
        assert found.count == count and found.flat.max() > 2**31
        assert (found.pre != found.post).all() and (np.diff(found.flat) > 0).all()
    for kind in ("sparse:bernoulli", "sparse:pairs_with_replacement"):
        found = draw(kind, 1e-5, (n, n), 0)
        assert abs(found.count - 36_000) < 5 * math.sqrt(36_000)
        assert chisquare(np.bincount(found.pre // 6000)).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_draws_of_some_elements(kind: str) -> None:
    stream = PhiloxStream(3, "W.w")
    drawn = stream.array((301, 77), kind)
    at = np.sort(np.random.default_rng(0).choice(drawn.size, 4000, replace=False))
    np.testing.assert_array_equal(stream.array_at(at, kind), drawn.reshape(-1)[at])
    whole = stream.integers(9, 5000)
    np.testing.assert_array_equal(stream.integers_at(9, at[at < 5000]), whole[at[at < 5000]])


def test_draws_of_elements_far_away() -> None:
    """Weights of networks with more pairs than the counter's first word counts."""
    stream = PhiloxStream(3, "W.w")
    near, far = np.arange(4000), np.arange(4000) + 2**34
    a, b = stream.array_at(near), stream.array_at(far)
    assert len(np.intersect1d(a, b)) < 10 and abs(np.corrcoef(a, b)[0, 1]) < 0.1
    both = np.concatenate((near, far))
    np.testing.assert_array_equal(stream.array_at(both), np.concatenate((a, b)))
