"""Bools as bits, as packed rings hold them: a row begins at an even byte, the lowest bit first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.ir.places import packed_bytes

Bits = npt.NDArray[np.uint8]


def packed(values: npt.NDArray[Any]) -> Bits:
    """(…, n) numbers as (…, bytes) bits: what is not 0 is 1."""
    out = np.zeros((*values.shape[:-1], packed_bytes(values.shape[-1])), np.uint8)
    bits = np.packbits(values != 0, axis=-1, bitorder="little")
    out[..., : bits.shape[-1]] = bits
    return out


def unpacked(bits: npt.NDArray[Any], width: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """(…, bytes) bits as (…, width) zeros and ones."""
    return np.unpackbits(bits, axis=-1, count=width, bitorder="little").astype(dtype)
