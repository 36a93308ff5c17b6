"""Order and batching of samples: reproducible, and the same samples whatever the batch size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import DataError
from netdsl.streams.draws import PhiloxStream, row_key


class Batches:
    """Index arrays (B,) int64 of one pass over ``n`` samples; iterate or take ``len``.

    With ``shuffle`` the order is drawn from (seed, declaration path, epoch) alone, so another
    batch size cuts the same order at other places. ``partial`` says what becomes of a last batch
    that is not full: ``"keep"`` or ``"drop"``. Raises DataError E0716 if nothing would be left.
    """

    def __init__(
        self,
        n: int,
        batch: int,
        shuffle: bool = False,
        partial: str = "keep",
        seed: int = 0,
        epoch: int = 0,
        path: str = "data",
    ) -> None:
        if n < 1 or batch < 1:
            raise DataError("E0716", f"cannot make batches of {batch} from {n} samples")
        if partial not in ("keep", "drop"):
            raise DataError("E0716", f"unknown `partial = {partial}`", "it is `keep` or `drop`")
        if partial == "drop" and batch > n:
            raise DataError(
                "E0716",
                f"a batch of {batch} is larger than the {n} samples, and `partial = drop` drops it",
                f"use `batch = {n}` or less, or `partial = keep`",
            )
        self.n, self.batch = n, batch
        self.order = sample_order(n, seed, path, epoch) if shuffle else np.arange(n)
        self._stop = n - n % batch if partial == "drop" else n

    @property
    def rows(self) -> NDArray[np.int64]:
        """All that the batches hold, in order."""
        return self.order[: self._stop]

    def __len__(self) -> int:
        return -(-self._stop // self.batch)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        for start in range(0, self._stop, self.batch):
            yield self.order[start : min(start + self.batch, self._stop)]


def sample_order(n: int, seed: int, path: str, epoch: int) -> NDArray[np.int64]:
    """The shuffled order of ``n`` samples in ``epoch``, for the data declaration ``path``."""
    stream = PhiloxStream(seed, path)
    order: NDArray[np.int64] = stream.permutation(n, np.atleast_1d(row_key(0, epoch, 0)))[0]
    return order
