"""E0823: delays that keep more values than a machine could hold for one sample."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Network

MOST = 2 << 30  # bytes of all delay lines for one sample in float32
_BYTES = 4


def check(network: Network) -> Iterator[Diagnostic]:
    """A line of k steps keeps k values of each unit; projections of a population share the longest.

    What a machine has for a batch is reckoned before a run (E0820); here is said what no batch is
    small enough for.
    """
    left = MOST
    longest: dict[str, int] = {}
    for projection in sorted(network.projections.values(), key=lambda p: p.delay):
        size = network.populations[projection.pre].size
        more = _BYTES * size * (projection.delay - longest.get(projection.pre, 0))
        if more > left:
            yield Diagnostic(
                "E0823",
                f"the delay of `{projection.name}` keeps {projection.delay} values of each of "
                f"{size} units, {_amount(_BYTES * projection.delay * size)} for each sample, and "
                f"all delays together may keep {_amount(MOST)}",
                projection.span or NO_SPAN,
                help="use a larger `dt`, a shorter delay, or send it from a smaller population",
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
