"""Products of generated NumPy modules over the existing synapses of a projection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.numpy.active import Active
from netdsl.streams.connectivity import Connections

Floats = NDArray[Any]
# Numbers of one factor gathered at once for batch products: both parts stay in cache.
PART = 65536
# Share of spikes below which they are multiplied as a sparse matrix: of many rows, and how much
# more of a single one. Measured: 7 ns a listed synapse, 0.65 and for each row 0.15 ns one of all.
FEW, FEW_ALONE = 0.02, 0.09


class EdgeArrays:
    """The synapses of one projection as a module uses them: ends, indices, sparse matrices.

    Every array is (edges,); `pre_index` and `post_index` are the ends as numbers of `dtype`.
    """

    def __init__(self, connections: Connections, dtype: np.dtype[Any]) -> None:
        self.connections = connections
        self.count = connections.count
        self.pre, self.post = connections.pre, connections.post
        self.dtype = dtype
        self._ends: dict[str, Floats] = {}
        self._matrices: dict[int, tuple[Floats, Any]] = {}

    @property
    def pre_index(self) -> Floats:
        """Presynaptic neurons."""
        return self._index("pre", self.pre)

    @property
    def post_index(self) -> Floats:
        """Postsynaptic neurons."""
        return self._index("post", self.post)

    def _index(self, side: str, neurons: NDArray[np.int32]) -> Floats:
        if side not in self._ends:
            self._ends[side] = neurons.astype(self.dtype)
        return self._ends[side]

    def of(self, side: str, neurons: NDArray[Any]) -> NDArray[Any]:
        """The synapses of some neurons on one side."""
        found = self.connections
        start = found.start if side == "pre" else found.in_start
        first, counts = start[neurons], start[neurons + 1] - start[neurons]
        ends = np.cumsum(counts)
        at = np.repeat(first - (ends - counts), counts) + np.arange(counts.sum())
        return at if side == "pre" else found.in_edge[at]

    def matrix(self, weight: Floats) -> Any:
        """`weight` as a compressed sparse matrix (m, n) that shares its memory."""
        if id(weight) not in self._matrices:
            from scipy.sparse import csr_array

            edges = self.connections
            made = csr_array((weight, self.post, edges.start), shape=edges.shape, copy=False)
            made.data = weight
            # Held with its array, whose identity is the key.
            self._matrices[id(weight)] = (weight, made)
        return self._matrices[id(weight)][1]

    @property
    def nbytes(self) -> int:
        """Bytes of the ends and of what was derived from them."""
        total = 2 * self.pre.nbytes + self.connections.start.nbytes
        for _, matrix in self._matrices.values():
            total += int(matrix.indices.nbytes + matrix.indptr.nbytes)
        return total + sum(index.nbytes for index in self._ends.values())


def propagate_edges(
    target: Floats,
    source: Floats | Active,
    edges: EdgeArrays,
    weight: Floats,
    scale: float,
    keep: float,
    transposed: bool = False,
) -> None:
    """`target = keep * target + scale * source @ W`, W having `weight` where synapses exist.

    With `transposed` Wᵀ. The batch is the inner loop of the product, so that its numbers are read
    in a row for each synapse; few spikes are a sparse matrix themselves.
    """
    whole = edges.matrix(weight)
    whole = whole.T if transposed else whole
    if isinstance(source, Active):
        product = _from_spikes(source, whole)
    else:
        product = source @ whole
    if scale != 1.0:
        np.multiply(product, scale, out=product)
    if keep:
        np.add(target, product, out=target)
    else:
        np.copyto(target, product)


def _from_spikes(source: Active, whole: Any) -> Floats:
    spikes = source.array
    if source.whole or source.count() >= (FEW + FEW_ALONE / max(1, len(spikes))) * spikes.size:
        return np.asarray(spikes @ whole)
    from scipy.sparse import csr_array

    starts, neurons = source.by_row()
    listed = csr_array((source.filled(len(neurons), 1.0), neurons, starts), shape=spikes.shape)
    return np.asarray((listed @ whole).toarray())


def by_neuron(source: Floats, out: Floats) -> Floats:
    """`out = sourceᵀ`, (n, R) in rows: what `edge_products` reads."""
    np.copyto(out, source.T)
    return out


def edge_products(
    edges: EdgeArrays, first: int, last: int, pre: Floats, post: Floats, out: Floats
) -> None:
    """`out[e] = sum_r pre[i_e, r] post[j_e, r]` for synapses `first` to `last` - 1.

    `pre` (m, R) and `post` (n, R) are by neuron.
    """
    step = max(1, PART // max(1, pre.shape[1]))
    for start in range(first, last, step):
        stop = min(last, start + step)
        a = np.take(pre, edges.pre[start:stop], axis=0)
        b = np.take(post, edges.post[start:stop], axis=0)
        np.einsum("er,er->e", a, b, out=out[start - first : stop - first])


def at_edges(neurons: NDArray[np.int32], value: Floats, out: Floats) -> None:
    """`out[e] = value[neurons[e]]`: a number of each neuron at its synapses."""
    np.take(value, neurons, out=out, mode="clip")
