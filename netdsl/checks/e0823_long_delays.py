"""E0823: delays that are kept step by step, too many steps of them."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Network

MOST = 20_000  # kept steps of all delay lines together: each is a buffer and a copy at every step


def check(network: Network) -> Iterator[Diagnostic]:
    """A line of k steps keeps k values of each unit; lines of one population share the longest."""
    left = MOST
    longest: dict[str, int] = {}
    for projection in sorted(network.projections.values(), key=lambda p: p.delay):
        more = projection.delay - longest.get(projection.pre, 0)
        if more > left:
            size = network.populations[projection.pre].size
            yield Diagnostic(
                "E0823",
                f"the delay of `{projection.name}` keeps {projection.delay} values of each of "
                f"{size} units: {_amount(4 * projection.delay * size)} for each sample, in as many "
                f"buffers, and all delays together may have {MOST}",
                projection.span or NO_SPAN,
                help="use a larger `dt`, or a shorter delay",
            )
        elif more > 0:
            left -= more
            longest[projection.pre] = projection.delay


def _amount(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
