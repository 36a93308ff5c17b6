"""Random streams: the same draws on every backend, batch size and resumed run.

THE CONTRACT. Backends in C and CUDA follow this text bit for bit; NumPy here is the reference.

* Cipher: Philox4x32-10 (see ``philox.py``), four uint32 lanes per counter.
* Stream: ``stream = fnv1a64(utf8(path))`` of the declaration's path, e.g. ``"img.s"``; a member of
  an ensemble other than 0 mixes in ``splitmix64(member)`` by exclusive or. A declaration with
  several draws has one path per draw.
* Key: ``(lo(seed) ^ lo(stream), hi(seed) ^ hi(stream))``, seed and stream being 64-bit.
* Counter: ``(element // 4, step, lo(row_key), hi(row_key))``; the draw is lane ``element % 4``.
  ``element`` is the row-major index within one sample, ``step`` the 0-based step of the
  presentation, ``row_key`` names the presentation that the row belongs to.
* Row key: ``h = splitmix64(call); h = splitmix64(h ^ epoch); h = splitmix64(h ^ sample);
  h = splitmix64(h ^ member); h = splitmix64(h ^ repetition)``. ``call`` is 0 in
  training; in an evaluation it stands for the split, and ``epoch`` is 0. ``sample`` is the index in
  the whole source, ``member`` is 1 for negative rows, ``repetition`` counts the passes.
* Draws made once, at build: row_key 0, element = row-major index of the whole array modulo 2**34,
  step = that index // 2**34.

From the 32-bit word ``x`` of an element:

* ``uniform``: ``(x >> 8) * 2**-24``, in [0, 1), exact in float32 and float64 alike.
* ``bernoulli(p)``: ``uniform < p``; ``uniform(a, b)``: ``a + (b - a) * u``, computed in float64 and
  rounded once to the type asked for.
* ``fraction``: numbers with 53 random bits, for draws of which synapses exist (``wiring.py``). With
  ``x`` the words of elements 2k (low half) and 2k + 1 as 64 bits, number k is
  ``(x >> 11) * 2**-53``, in [0, 1).
* ``normal``: Box-Muller on lane pairs (0, 1) and (2, 3) with uniforms ``(ua, ub)``:
  ``r = sqrt(-2 ln(1 - ua))``; the even lane is ``r cos(2 pi ub)``, the odd one ``r sin(2 pi ub)``;
  all in float64, rounded once.
* ``poisson(mean)``: the smallest n whose distribution P(N <= n) is above ``uniform``, by adding up
  in float64 (``counts.py``).
* ``exponential``, ``lognormal`` and ``gamma`` are made of ``uniform`` and ``normal`` in float64
  (``waits.py``).
* ``randint(n)``: ``(x * n) >> 32`` in 64 bits (bias below n / 2**32).
* ``random_sign``: +1 if the top bit of ``x`` is set, else -1.
* ``permutation(n)``: the stable ascending argsort of the words of elements 0 to n - 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from netdsl.streams.philox import U32, U64, PhiloxCore

MAX_ELEMENTS = 2**34
_MASK64 = 0xFFFFFFFFFFFFFFFF
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SCALE = 2.0**-24
# Whole-array draws work on this many elements at once, to bound their scratch memory.
_BUILD_CHUNK = 1 << 18

IntLike = int | np.integer[Any] | NDArray[np.integer[Any]]


def stream_hash(path: str, ensemble: int = 0) -> int:
    """64-bit stream of a declaration's path (FNV-1a of its UTF-8), for one ensemble member."""
    value = 0xCBF29CE484222325
    for byte in path.encode():
        value = ((value ^ byte) * 0x100000001B3) & _MASK64
    return value ^ int(splitmix64(np.uint64(ensemble))) if ensemble else value


def splitmix64(value: U64 | np.uint64) -> U64:
    """The splitmix64 finaliser of Steele, Lea and Flood (OOPSLA 2014), elementwise on uint64."""
    with np.errstate(over="ignore"):
        z = np.asarray(value, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)), np.uint64)


def row_key(
    call: IntLike, epoch: IntLike, sample: IntLike, member: IntLike = 0, repetition: IntLike = 0
) -> U64:
    """Keys of presentations: non-negative integers, broadcast together; returns uint64."""
    key: int | U64 = 0
    for part in (call, epoch, sample, member, repetition):
        if isinstance(key, int) and isinstance(part, int):
            key = _mixed(key ^ part)
        else:
            key = splitmix64(np.asarray(key, np.uint64) ^ np.asarray(part, np.uint64))
    return np.asarray(key, np.uint64)


def _mixed(value: int) -> int:
    """`splitmix64` of one number."""
    z = (value + 0x9E3779B97F4A7C15) & _MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
    return z ^ (z >> 31)


class PhiloxStream:
    """The draws of one declaration, with scratch that grows to the largest request and is reused.

    ``stream`` is a path or its ``stream_hash``, ``member`` that of an ensemble. Methods take
    ``row_keys`` (R,) uint64, a 0-based ``step`` and ``n`` elements per row, and return (R, n), or
    (steps, R, n) with ``steps`` given: draws of ``steps`` steps from ``step`` on. ``out`` receives
    the result without a copy.
    """

    def __init__(self, seed: int, stream: int | str, member: int = 0) -> None:
        hashed = stream_hash(stream, member) if isinstance(stream, str) else stream
        key = (seed ^ hashed) & _MASK64
        self._core = PhiloxCore(key & 0xFFFFFFFF, key >> 32)
        self._words = np.empty(0, np.uint64)
        self._uniform: NDArray[Any] = np.empty(0, np.float32)

    def bits(self, row_keys: U64, step: int, n: int, steps: int | None = None) -> U32:
        """The uint32 words. The result is scratch: the next draw of this object overwrites it."""
        return self._grid(np.atleast_1d(row_keys), step, 0, n, steps)

    def uniform(
        self,
        row_keys: U64,
        step: int,
        n: int,
        steps: int | None = None,
        dtype: DTypeLike = np.float32,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Uniform draws in [0, 1) of type ``dtype`` (float32 or float64; ``out``'s if given)."""
        words = self.bits(row_keys, step, n, steps)
        if out is None:
            out = np.empty(words.shape, dtype)
        return _to_unit(words, out)

    def uniform_between(
        self, low: float, high: float, row_keys: U64, step: int, n: int, dtype: DTypeLike
    ) -> NDArray[Any]:
        """Uniform draws between ``low`` and ``high``."""
        unit = self.uniform(row_keys, step, n, dtype=np.float64)
        return (low + (high - low) * unit).astype(dtype)

    def bernoulli(
        self,
        p: NDArray[Any],
        row_keys: U64,
        step: int,
        steps: int | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """1 with probability ``p`` ((R, n) or (n,), constant over the steps), else 0.

        The type is bool, or that of ``out``. Where ``p`` is 0 or 1 nothing is random, and where
        that holds for most blocks of four elements only the others are drawn.
        """
        if out is not None and steps is None and _in_blocks(p) and _in_blocks(out):
            open_blocks = _open_blocks(p)
            if np.count_nonzero(open_blocks) <= 0.6 * open_blocks.size:
                return self._bernoulli_at(p, open_blocks, row_keys, step, out)
        words = self.bits(row_keys, step, p.shape[-1], steps)
        kind = p.dtype if p.dtype == np.float64 else np.dtype(np.float32)
        if self._uniform.size < words.size or self._uniform.dtype != kind:
            self._uniform = np.empty(words.size, kind)
        unit = _to_unit(words, self._uniform[: words.size].reshape(words.shape))
        drawn: NDArray[Any] = np.less(unit, p, out=out)
        return drawn

    def _bernoulli_at(
        self,
        p: NDArray[Any],
        open_blocks: NDArray[np.bool_],
        row_keys: U64,
        step: int,
        out: NDArray[Any],
    ) -> NDArray[Any]:
        """As ``bernoulli``, drawing only the blocks of four elements that need it."""
        np.greater_equal(p, 1.0, out=out)
        chosen = np.flatnonzero(open_blocks)
        row, block = np.divmod(chosen, p.shape[1] // 4)
        words, keys = np.empty((row.size, 2), np.uint64), row_keys[row]
        when = np.full(row.size, step, np.uint64)
        self._core.fill_at(words, block.astype(np.uint64), when, keys & _LOW, keys >> _HALF)
        kind = p.dtype if p.dtype == np.float64 else np.dtype(np.float32)
        unit = _to_unit(words.view("<u4"), np.empty((row.size, 4), kind))
        np.less(unit, np.take(p.reshape(-1, 4), chosen, axis=0), out=unit)
        # Whole blocks are moved as single items, which is many times faster than by rows.
        item = np.dtype((np.void, 4 * out.itemsize))
        out.reshape(-1).view(item)[chosen] = unit.astype(out.dtype).reshape(-1).view(item)
        return out

    def normal(
        self,
        row_keys: U64,
        step: int,
        n: int,
        steps: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> NDArray[Any]:
        """Standard normal draws."""
        even = n + n % 2  # the last element needs its partner's lane
        unit = self.uniform(row_keys, step, even, steps, np.float64)
        return _box_muller(unit)[..., :n].astype(dtype)

    def randint(self, bound: int, row_keys: U64, step: int, n: int) -> NDArray[np.int64]:
        """Integers from 0 to ``bound - 1`` (1 <= bound <= 2**32)."""
        return _to_int(self.bits(row_keys, step, n), bound)

    def random_sign(self, row_keys: U64, step: int, n: int = 1) -> NDArray[np.int64]:
        """+1 or -1 with equal probability."""
        return self.randint(2, row_keys, step, n) * 2 - 1

    def permutation(self, n: int, row_keys: U64, step: int = 0) -> NDArray[np.int64]:
        """A permutation of 0 to n - 1 per row, (R, n)."""
        return np.argsort(self.bits(row_keys, step, n), axis=-1, kind="stable").astype(np.int64)

    def array(self, shape: Sequence[int], kind: str = "uniform") -> NDArray[np.float64]:
        """Draws made at build for a whole array: ``kind`` is ``"uniform"`` or ``"normal"``.

        Returns float64, to be scaled and then rounded by the caller.
        """
        out = np.empty(tuple(shape), np.float64)
        flat = out.reshape(-1)
        for start in range(0, flat.size, _BUILD_CHUNK):
            flat[start : start + _BUILD_CHUNK] = self.part(
                start, min(_BUILD_CHUNK, flat.size - start), kind
            )
        return out

    def part(self, first: int, size: int, kind: str = "uniform") -> NDArray[np.float64]:
        """Elements `first` (a multiple of 4) to `first + size - 1` of an array drawn at build."""
        words = self._grid(np.zeros(1, np.uint64), 0, first // 4, size + size % 2, None)[0]
        unit = _to_unit(words, np.empty(words.shape, np.float64))
        return (_box_muller(unit) if kind == "normal" else unit)[:size]

    def array_at(self, elements: NDArray[np.int64], kind: str = "uniform") -> NDArray[np.float64]:
        """The given elements, (k,), of an array drawn at build: what `array` has there."""
        out = np.empty(len(elements), np.float64)
        for start, words, lane in self._words_at(elements):
            unit = _to_unit(words, np.empty(words.shape, np.float64))
            drawn = _box_muller(unit) if kind == "normal" else unit
            out[start : start + len(lane)] = drawn[np.arange(len(lane)), lane]
        return out

    def integers_at(self, bound: int, elements: NDArray[np.int64]) -> NDArray[np.int64]:
        """The given elements, (k,), of `integers`."""
        out = np.empty(len(elements), np.int64)
        for start, words, lane in self._words_at(elements):
            out[start : start + len(lane)] = _to_int(words[np.arange(len(lane)), lane], bound)
        return out

    def _words_at(
        self, elements: NDArray[np.int64]
    ) -> Iterator[tuple[int, U32, NDArray[np.int64]]]:
        """The blocks of four words that hold elements drawn at build, and the lane of each."""
        for start in range(0, len(elements), _BUILD_CHUNK):
            block, lane = np.divmod(elements[start : start + _BUILD_CHUNK], 4)
            words, zero = np.empty((len(block), 2), np.uint64), np.zeros(len(block), np.uint64)
            far, near = np.divmod(block.astype(np.uint64), np.uint64(MAX_ELEMENTS // 4))
            self._core.fill_at(words, near, far, zero, zero)
            yield start, words.view("<u4"), lane

    def integers(self, bound: int, size: int) -> NDArray[np.int64]:
        """``size`` integers from 0 to ``bound - 1``, drawn at build."""
        out = np.empty(size, np.int64)
        key = np.zeros(1, np.uint64)
        for start in range(0, size, _BUILD_CHUNK):
            part = out[start : start + _BUILD_CHUNK]
            part[:] = _to_int(self._grid(key, 0, start // 4, part.size, None)[0], bound)
        return out

    def fractions(self, first: int, size: int) -> NDArray[np.float64]:
        """Fractions ``first`` to ``first + size - 1`` drawn at build, (size,) in [0, 1)."""
        out, key = np.empty(size, np.float64), np.zeros(1, np.uint64)
        for start in range(0, size, _BUILD_CHUNK):
            part = out[start : start + _BUILD_CHUNK]
            block, skip = divmod(first + start, 2)
            words = self._grid(key, 0, block, 2 * (part.size + skip), None)[0].view("<u8")[skip:]
            np.multiply((words >> np.uint64(11)).view(np.int64), 2.0**-53, out=part)
        return out

    def _grid(self, row_keys: U64, step: int, first_block: int, n: int, steps: int | None) -> U32:
        if first_block * 4 + n > MAX_ELEMENTS:
            raise ValueError(f"a draw of {n} elements per row exceeds the limit of 2**34")
        count = 1 if steps is None else steps
        rows, blocks = count * row_keys.size, -(-n // 4)
        needed = rows * blocks * 2
        if self._words.size < needed:
            self._words = np.empty(needed, np.uint64)
        words = self._words[:needed].reshape(rows, blocks, 2)
        when = np.repeat(np.arange(step, step + count, dtype=np.uint64), row_keys.size)
        low, high = np.tile(row_keys & _LOW, count), np.tile(row_keys >> _HALF, count)
        self._core.fill(words, first_block, when, low, high)
        lanes = words.reshape(rows, blocks * 2).view("<u4")[:, :n]
        return lanes if steps is None else lanes.reshape(steps, row_keys.size, n)


def build_uniform(
    seed: int,
    path: str,
    shape: Sequence[int],
    low: float = 0.0,
    high: float = 1.0,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """An array drawn once, uniform between ``low`` and ``high``, for the declaration ``path``."""
    return (low + (high - low) * PhiloxStream(seed, path).array(shape)).astype(dtype)


def build_normal(
    seed: int,
    path: str,
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """An array drawn once, normal with ``mean`` and ``std``, for the declaration ``path``."""
    return (mean + std * PhiloxStream(seed, path).array(shape, "normal")).astype(dtype)


def build_permutation(seed: int, path: str, n: int, member: int = 0) -> NDArray[np.int64]:
    """A permutation of 0 to n - 1 drawn once for the declaration ``path``."""
    stream = PhiloxStream(seed, path, member)
    order: NDArray[np.int64] = stream.permutation(n, np.zeros(1, np.uint64))[0]
    return order


def _in_blocks(array: NDArray[Any]) -> bool:
    """Whether rows consist of whole blocks of four elements, one after the other."""
    return array.ndim == 2 and array.shape[1] % 4 == 0 and array.flags.c_contiguous


def _open_blocks(p: NDArray[Any]) -> NDArray[np.bool_]:
    """(R * n / 4,): where one of four probabilities is neither 0 nor 1."""
    uncertain = np.logical_and(p > 0.0, p < 1.0)
    return np.not_equal(uncertain.reshape(-1).view(np.uint32), 0)


def _to_unit(words: U32, out: NDArray[Any]) -> NDArray[Any]:
    """Uniforms from words, which are overwritten. The signed view converts much faster."""
    np.right_shift(words, np.uint32(8), out=words)
    np.multiply(words.view(np.int32), out.dtype.type(_SCALE), out=out, casting="unsafe")
    return out


def _to_int(words: U32, bound: int) -> NDArray[np.int64]:
    if not 1 <= bound <= 2**32:
        raise ValueError(f"randint needs a bound from 1 to 2**32, not {bound}")
    return ((words.astype(np.uint64) * np.uint64(bound)) >> _HALF).astype(np.int64)


def _box_muller(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    radius = np.sqrt(-2.0 * np.log1p(-unit[..., 0::2]))
    angle = 2.0 * np.pi * unit[..., 1::2]
    out = np.empty_like(unit)
    np.multiply(radius, np.cos(angle), out=out[..., 0::2])
    np.multiply(radius, np.sin(angle), out=out[..., 1::2])
    return out
