"""The batch-reduced sums that a pass over synapses forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from netdsl.ir.expr import Expr
from netdsl.ir.roles import Bound, Node, Read


@dataclass(frozen=True)
class Product(Node):
    """`coefficient[i, j] * sum_r pre[r, i] * post[r, j]`: one term of a batch-reduced sum.

    `pre`/`post` are UNIT buffers of the two populations; None stands for ones. `coefficient`
    reads SYNAPSE buffers, scalars and `Index(side=...)` (None: 1). `binary_pre`: `pre` holds only
    0 and 1. `pre_ago`, `post_ago`: their slots, where they have some (`Load.ago`). `newest`: the
    sum is of the last row alone.
    """

    form = "batch_sum({pre} x {post})"
    quiet = frozenset({"binary_pre"})
    slot_fields: ClassVar[Mapping[str, str]] = {"pre": "pre_ago", "post": "post_ago"}

    pre: Read | None
    post: Read | None
    coefficient: Expr | None = None
    binary_pre: bool = False
    pre_ago: int = 0
    post_ago: int = 0
    newest: bool = False

    @property
    def sparse(self) -> tuple[str, ...]:
        """The presynaptic factor."""
        return (self.pre,) if self.binary_pre and self.pre is not None else ()


@dataclass(frozen=True)
class RowSum(Node):
    """`sum_r value[r, i, j]`, beside `Product` a term of a batch-reduced sum: `value` is an
    expression over (row, edge), with `Load(side="pre"|"post")`."""

    form = "row_sum({value})"

    value: Expr


@dataclass(frozen=True)
class Sum(Node):
    """A batch-reduced synaptic quantity, readable as `Local(name)` in the statements.

    `rows` are added to the products; a pass makes a `Reduction` of each before a backend sees it.
    """

    form = "{name} = {products}"

    name: Bound
    products: tuple[Product, ...]
    rows: tuple[RowSum, ...] = ()
