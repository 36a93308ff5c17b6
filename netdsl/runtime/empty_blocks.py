"""Blocks of tables that have no synapse when a network is made: their mean is 0, which is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.network import Projection
from netdsl.ir.tables import Block, Table
from netdsl.streams.connectivity import synapses_of

if TYPE_CHECKING:
    from netdsl.runtime.session import Session

Mask = NDArray[np.bool_]


def empty_blocks(session: Session) -> Iterator[str]:
    """A line for each table that is read and has such blocks now, with the types that they join."""
    for table in session.network.tables.values():
        if any(session.program.find(block.path) is None for block in table.blocks):
            continue  # nothing reads it
        names = [f"{b.pre[0]} to {b.post[0]}" for b in _empty(session, table)]
        if names:
            at = f", line {table.span.line}," if table.span is not None else ""
            yield (
                f"warning: table `{table.name}`{at} is 0 from {', from '.join(names)}: "
                f"`{table.projection}` has no synapse there"
            )


def _empty(session: Session, table: Table) -> Iterator[Block]:
    projection = session.network.projections[table.projection]
    counted = _counted(session, table, projection)
    for block in table.blocks:
        pre = _members(session, projection.pre, projection.pre_slice, block.pre[1])
        post = _members(session, projection.post, projection.post_slice, block.post[1])
        if not counted[np.ix_(pre, post)].any():
            yield block


def _counted(session: Session, table: Table, projection: Projection) -> Mask:
    """Which pairs a mean is over, (pre, post)."""
    assert projection.weight is not None
    stored = np.asarray(session.read(projection.weight))
    found = np.ones(stored.shape, bool)
    if table.over == "present":
        drawn = synapses_of(session.program, projection.name, session.seed)
        if drawn is not None:
            found = drawn.matrix(np.ones(drawn.count, bool))
        if projection.sign is not None:
            found = found & (stored > 0)
    if not table.loops and projection.pre == projection.post:
        first = [part[0] if part else 0 for part in (projection.pre_slice, projection.post_slice)]
        pre, post = (np.arange(n) + start for n, start in zip(stored.shape, first, strict=True))
        found = found & (pre[:, None] != post[None, :])
    return found


def _members(
    session: Session, population: str, part: tuple[int, int] | None, code: int | None
) -> NDArray[np.intp]:
    """Which neurons of one end are of a type; all where their types are not asked for."""
    if code is None:
        first, past = part or (0, session.network.populations[population].size)
        return np.arange(past - first)
    types = np.asarray(session.read(f"{population}.type"))
    return np.flatnonzero((types if part is None else types[part[0] : part[1]]) == code)
