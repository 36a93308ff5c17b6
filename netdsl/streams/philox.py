"""Philox4x32-10 in NumPy: the counter-based generator behind every random number of a run.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. It turns a
counter of four 32-bit words and a key of two into four 32-bit words, with no state, so that any
backend computes any draw on its own.

NumPy has no 32x32 -> 64 bit product of uint32 arrays, so words live in the low half of uint64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = 0x9E3779B9
_W1 = 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ROUNDS = 10

# Blocks worked on at once: six uint64 scratch arrays of this size stay in a core's L2 cache, and
# the fixed cost of a NumPy call is small beside the work.
CHUNK_BLOCKS = 8192


def round_keys(key0: int, key1: int) -> list[tuple[np.uint64, np.uint64]]:
    """Keys of the ten rounds for the key words ``key0``, ``key1`` (each below 2**32)."""
    mask = 0xFFFFFFFF
    return [
        (np.uint64((key0 + r * _W0) & mask), np.uint64((key1 + r * _W1) & mask))
        for r in range(_ROUNDS)
    ]


class PhiloxCore:
    """Philox4x32-10 for a grid of counters, with scratch that is allocated once.

    A grid has ``rows`` x ``blocks`` counters ``(block, step, row_lo, row_hi)``: the first word
    depends on the column only and the others on the row only, which the first two rounds use.
    Not to be shared by threads.
    """

    def __init__(self, key0: int, key1: int, chunk: int = CHUNK_BLOCKS) -> None:
        self._keys = round_keys(key0, key1)
        self._chunk = chunk
        self._scratch = np.empty((6, chunk), np.uint64)

    def fill(self, out: U64, first_block: int, step: U64, row_lo: U64, row_hi: U64) -> None:
        """Write the draws of ``rows`` rows into ``out``.

        ``out`` is (rows, blocks, 2) uint64, C-contiguous in the last axis; on a little-endian
        machine its uint32 view is the four lanes in order. ``step``, ``row_lo`` and ``row_hi``
        are (rows,) with values below 2**32.
        """
        rows, blocks = out.shape[:2]
        width = min(blocks, self._chunk)
        if width == 0:
            return
        height = max(1, self._chunk // width)
        for left in range(0, blocks, width):
            right = min(left + width, blocks)
            columns = np.arange(first_block + left, first_block + right, dtype=np.uint64)
            for top in range(0, rows, height):
                part = slice(top, min(top + height, rows))
                self._tile(out[part, left:right], columns, step[part], row_lo[part], row_hi[part])

    def fill_at(self, out: U64, block: U64, step: U64, row_lo: U64, row_hi: U64) -> None:
        """Write the draws of k single counters: all arrays are (k,), ``out`` is (k, 2)."""
        for start in range(0, len(out), self._chunk):
            part = slice(start, min(start + self._chunk, len(out)))
            a, b, c, d, p, q = (buffer[: part.stop - start] for buffer in self._scratch)
            a[:], b[:], c[:], d[:] = block[part], step[part], row_lo[part], row_hi[part]
            for key in self._keys:
                _round(a, b, c, d, p, q, key)
            np.left_shift(b, _HALF, out=b)
            np.bitwise_or(a, b, out=out[part, 0])
            np.left_shift(d, _HALF, out=d)
            np.bitwise_or(c, d, out=out[part, 1])

    def _tile(self, out: U64, columns: U64, step: U64, row_lo: U64, row_hi: U64) -> None:
        shape = out.shape[:2]
        size = shape[0] * shape[1]
        a, b, c, d, p, q = (buffer[:size].reshape(shape) for buffer in self._scratch)
        (k0, k1), (l0, l1) = self._keys[:2]
        # Round 1: words 0 and 3 still depend on the row or on the column alone.
        low, high = columns * _M0, (row_lo * _M1)[:, None]
        word0 = (high >> _HALF) ^ (step[:, None] ^ k0)
        np.bitwise_xor((low >> _HALF)[None, :], (row_hi ^ k1)[:, None], out=c)
        # Round 2: the product of word 0 is still one number per row.
        product = word0 * _M0
        np.multiply(c, _M1, out=q)
        np.right_shift(q, _HALF, out=a)
        np.bitwise_xor(a, (high & _LOW) ^ l0, out=a)
        np.bitwise_and(q, _LOW, out=b)
        np.bitwise_xor((product >> _HALF) ^ l1, (low & _LOW)[None, :], out=c)
        np.bitwise_and(product, _LOW, out=d)
        for key in self._keys[2:]:
            _round(a, b, c, d, p, q, key)
        np.left_shift(b, _HALF, out=b)
        np.bitwise_or(a, b, out=out[:, :, 0])
        np.left_shift(d, _HALF, out=d)
        np.bitwise_or(c, d, out=out[:, :, 1])


def _round(
    a: U64, b: U64, c: U64, d: U64, p: U64, q: U64, key: tuple[np.uint64, np.uint64]
) -> None:
    """One round in place on the words ``a b c d``; ``p`` and ``q`` hold the two products."""
    np.multiply(a, _M0, out=p)
    np.multiply(c, _M1, out=q)
    np.right_shift(q, _HALF, out=a)
    np.bitwise_xor(a, b, out=a)
    np.bitwise_xor(a, key[0], out=a)
    np.bitwise_and(q, _LOW, out=b)
    np.right_shift(p, _HALF, out=c)
    np.bitwise_xor(c, d, out=c)
    np.bitwise_xor(c, key[1], out=c)
    np.bitwise_and(p, _LOW, out=d)


def philox4x32(counter: U32, key: U32) -> U32:
    """Philox4x32-10 of single counters: the plain form that the fast one is tested against.

    ``counter`` is (..., 4) and ``key`` (..., 2), uint32, broadcast; returns (..., 4) uint32.
    """
    a, b, c, d = (counter[..., i].astype(np.uint64) for i in range(4))
    k0, k1 = (key[..., i].astype(np.uint64) for i in range(2))
    for _ in range(_ROUNDS):
        p, q = a * _M0, c * _M1
        a, b, c, d = (q >> _HALF) ^ b ^ k0, q & _LOW, (p >> _HALF) ^ d ^ k1, p & _LOW
        k0, k1 = (k0 + np.uint64(_W0)) & _LOW, (k1 + np.uint64(_W1)) & _LOW
    return np.stack([a, b, c, d], axis=-1).astype(np.uint32)
