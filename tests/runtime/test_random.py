"""The random streams: known answers, the layout of a draw, and its distributions."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.streams.draws import (
    PhiloxStream,
    build_normal,
    build_permutation,
    build_uniform,
    row_key,
    splitmix64,
    stream_hash,
)
from netdsl.streams.philox import PhiloxCore, philox4x32

# counter, key, output: the test vectors published with the generator.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    plain = philox4x32(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert plain.tolist() == expected
    out = np.empty((1, 1, 2), np.uint64)
    words = [np.array([word], np.uint64) for word in counter[1:]]
    PhiloxCore(*key).fill(out, counter[0], *words)
    assert out.view(np.uint32).reshape(4).tolist() == expected


@pytest.mark.parametrize("chunk", [8, 64, 100000])
def test_fast_form_equals_plain_form_whatever_the_tiles(chunk: int) -> None:
    rng = np.random.default_rng(1)
    rows, blocks = 7, 33
    step, low, high = (rng.integers(0, 2**32, rows, dtype=np.uint64) for _ in range(3))
    out = np.empty((rows, blocks, 2), np.uint64)
    PhiloxCore(123456789, 4000000000, chunk).fill(out, 5, step, low, high)
    counter = np.empty((rows, blocks, 4), np.uint32)
    counter[..., 0] = np.arange(5, 5 + blocks)
    for lane, word in enumerate((step, low, high), 1):
        counter[..., lane] = word[:, None]
    expected = philox4x32(counter, np.array([123456789, 4000000000], np.uint32))
    assert (out.view(np.uint32).reshape(rows, blocks, 4) == expected).all()


def test_draw_follows_the_documented_layout() -> None:
    seed, path, step, element = 0x123456789ABCDEF0, "img.s", 17, 6
    key64 = seed ^ stream_hash(path)
    row = int(row_key(2, 3, 41, 1, 0))
    counter = np.array([element // 4, step, row & 0xFFFFFFFF, row >> 32], np.uint32)
    key = np.array([key64 & 0xFFFFFFFF, key64 >> 32], np.uint32)
    word = int(philox4x32(counter, key)[element % 4])
    keys = np.array([row], np.uint64)
    drawn = PhiloxStream(seed, path).uniform(keys, step, 10, dtype=np.float64)
    assert drawn[0, element] == (word >> 8) * 2.0**-24
    assert PhiloxStream(seed, path).bits(keys, step, 10)[0, element] == word
    assert PhiloxStream(seed, path).randint(10, keys, step, 10)[0, element] == (word * 10) >> 32


def test_hashes_have_their_published_values() -> None:
    assert stream_hash("") == 0xCBF29CE484222325
    assert stream_hash("a") == 0xAF63DC4C8601EC8C
    assert stream_hash("foobar") == 0x85944171F73967E8
    assert int(splitmix64(np.uint64(0))) == 0xE220A8397B1DCDAF
    assert stream_hash("a", 1) != stream_hash("a", 2) != stream_hash("a", 0) == stream_hash("a")


def test_row_keys_broadcast_and_differ_in_every_part() -> None:
    keys = row_key(1, 2, np.arange(1000))
    assert keys.shape == (1000,)
    assert len(np.unique(keys)) == 1000
    base = [1, 2, 3, 1, 1]
    variants = {int(row_key(*base))}
    for place in range(5):
        variants.add(int(row_key(*[v + (i == place) for i, v in enumerate(base)])))
    assert len(variants) == 6


def test_rows_steps_and_types_do_not_disturb_each_other() -> None:
    stream = PhiloxStream(7, "img.s")
    keys = row_key(0, 0, np.arange(6))
    whole = stream.uniform(keys, 4, 13)
    assert (stream.uniform(keys[[4, 1]], 4, 13) == whole[[4, 1]]).all()
    chunk = stream.uniform(keys, 2, 13, steps=5)
    assert chunk.shape == (5, 6, 13)
    assert (chunk[2] == whole).all()
    assert (stream.uniform(keys, 4, 13, dtype=np.float64) == whole).all()
    assert (stream.uniform(keys, 4, 5) == whole[:, :5]).all()
    out = np.empty((6, 13), np.float32)
    assert stream.uniform(keys, 4, 13, out=out) is out


def test_bernoulli_is_a_comparison_with_the_uniform() -> None:
    stream = PhiloxStream(7, "img.s")
    keys = row_key(0, 0, np.arange(50))
    p = np.linspace(0, 1, 40, dtype=np.float32)
    drawn = stream.bernoulli(p, keys, 3)
    assert (drawn == (PhiloxStream(7, "img.s").uniform(keys, 3, 40) < p)).all()
    assert not drawn[:, 0].any()
    assert drawn[:, -1].all()
    out = np.empty((2, 50, 40), np.float32)
    assert (stream.bernoulli(p, keys, 3, steps=2, out=out)[0] == drawn).all()


def test_build_draws_use_flat_elements_whatever_the_shape() -> None:
    square = build_uniform(3, "W1.w", (600, 500), -1, 1)
    flat = build_uniform(3, "W1.w", (300000,), -1, 1)
    assert (square.reshape(-1) == flat).all()
    assert (build_uniform(3, "W1.w", (7,), -1, 1) == flat[:7]).all()
    assert (build_normal(3, "W1.w", (7,)) == build_normal(3, "W1.w", (300000,))[:7]).all()
    assert -1 <= flat.min() < -0.999
    assert 0.999 < flat.max() < 1


def test_distributions() -> None:
    stream = PhiloxStream(11, "x")
    keys = row_key(0, 0, np.arange(200))
    uniform = stream.uniform(keys, 0, 1000)
    assert abs(uniform.mean() - 0.5) < 3 * (1 / 12 / uniform.size) ** 0.5
    normal = stream.normal(keys, 0, 1001, dtype=np.float64)
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert abs(np.corrcoef(normal[:, 0::2][:, :500].ravel(), normal[:, 1::2].ravel())[0, 1]) < 0.01
    counts = np.bincount(stream.randint(7, keys, 1, 1000).ravel(), minlength=7)
    assert np.abs(counts / counts.sum() - 1 / 7).max() < 0.005
    signs = stream.random_sign(keys, 0, 1000)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 0.02


def test_permutations() -> None:
    stream = PhiloxStream(11, "x")
    rows = stream.permutation(128, row_key(0, 0, np.arange(3)))
    assert (np.sort(rows, axis=1) == np.arange(128)).all()
    assert (rows[0] != rows[1]).any()
    assert (build_permutation(1, "y", 50) == build_permutation(1, "y", 50)).all()


def test_limits() -> None:
    stream = PhiloxStream(1, "x")
    key = np.zeros(1, np.uint64)
    with pytest.raises(ValueError, match="2\\*\\*34"):
        stream.bits(key, 0, 2**34 + 1)
    with pytest.raises(ValueError, match="bound"):
        stream.randint(0, key, 0, 1)
    assert stream.uniform(key, 0, 0).shape == (1, 0)


@pytest.mark.parametrize("n", [3, 4, 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certain_outcomes_are_not_drawn_and_change_nothing(n: int, dtype: type) -> None:
    rng = np.random.default_rng(n)
    p = np.where(rng.random((7, n)) < 0.1, rng.random((7, n)), rng.random((7, n)) < 0.3)
    p = p.astype(dtype)
    keys = rng.integers(0, 2**63, 7).astype(np.uint64)
    out = np.full((7, n), 9.0, dtype)
    assert PhiloxStream(3, "img.s").bernoulli(p, keys, 11, out=out) is out
    expected = PhiloxStream(3, "img.s").bernoulli(p, keys, 11)
    np.testing.assert_array_equal(out, expected)
