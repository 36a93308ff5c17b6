"""Dense matrix products of generated NumPy modules, in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


def propagate(target: Floats, source: Floats, weight: Floats, scale: float, keep: float) -> None:
    """`target = keep * target + scale * source @ weight`, in place: (R, n), (R, m), (m, n).

    BLAS accumulates into `target` where all three are contiguous; `weight` may be a transpose.
    """
    plain = weight.flags.c_contiguous
    if (
        target.flags.c_contiguous
        and source.flags.c_contiguous
        and (plain or weight.flags.f_contiguous)
    ):
        # Row-major C = A B is column-major C' = B' A'.
        _gemm(target.dtype)(
            scale,
            weight.T if plain else weight,
            source.T,
            keep,
            target.T,
            trans_a=not plain,
            overwrite_c=True,
        )
        return
    product = np.matmul(source, weight)
    np.multiply(product, scale, out=product)
    if keep:
        np.add(target, product, out=target)
    else:
        np.copyto(target, product)


_GEMM: dict[Any, Any] = {}


def _gemm(dtype: np.dtype[Any]) -> Any:
    if dtype not in _GEMM:
        from scipy.linalg import blas

        _GEMM[dtype] = blas.sgemm if dtype == np.float32 else blas.dgemm
    return _GEMM[dtype]


def outer(pre: Floats, post: Floats, out: Floats) -> None:
    """`out = pre @ post`: the sum over rows of outer products; (m, R), (R, n), (m, n)."""
    np.matmul(pre, post, out=out)
