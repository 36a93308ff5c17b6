"""Tables over cell types that follow the weights of a projection."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.diagnostics.span import Span


@dataclass(frozen=True)
class Block:
    """One place of a table: the synapses from neurons of one type to those of another.

    `path`: the variable that holds the mean. `pre`, `post`: (type, its number, how many neurons);
    the number is None where all neurons of the projection are of this type.
    """

    path: str
    pre: tuple[str, int | None, int]
    post: tuple[str, int | None, int]


@dataclass(frozen=True)
class Table:
    """`table NAME[pre type, post type] = block_mean(e over present)`: it follows the weights.

    What it is the mean of is the body of the reduction that the variables of its blocks define.
    `over`: "present", over the synapses that exist, or "all", over all pairs. `loops`: whether a
    neuron's synapse onto itself counts.
    """

    name: str
    projection: str
    over: str
    blocks: tuple[Block, ...]
    loops: bool = True
    span: Span | None = field(default=None, compare=False)
