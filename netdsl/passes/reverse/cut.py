"""The cheapest set of nodes that lies on every way through a small graph (Ford and Fulkerson)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)
_SOURCE, _SINK = "source", "sink"


def cheapest(
    cost: Mapping[Node, float],
    ways: Iterable[tuple[Node, Node]],
    starts: Iterable[Node],
    ends: Iterable[Node],
) -> set[Node]:
    """Nodes without which no way leads from `starts` to `ends`, of the least cost in all; of equal
    ones those farthest on. A cost may be infinite, if not all on one way are."""
    left: dict[object, dict[object, float]] = {_SOURCE: {}, _SINK: {}}

    def edge(a: object, b: object, room: float) -> None:
        left.setdefault(a, {})[b] = room
        left.setdefault(b, {}).setdefault(a, 0.0)

    for node, price in cost.items():
        edge((node, "in"), (node, "out"), price)
    for a, b in ways:
        edge((a, "out"), (b, "in"), float("inf"))
    for first in starts:
        edge(_SOURCE, (first, "in"), float("inf"))
    for last in ends:
        edge((last, "out"), _SINK, float("inf"))
    while path := _path(left):
        room = min(left[here][there] for here, there in path)
        for here, there in path:
            left[here][there] -= room
            left[there][here] += room
    behind = _reaching(left)
    return {node for node in cost if (node, "out") in behind and (node, "in") not in behind}


def _path(left: dict[object, dict[object, float]]) -> list[tuple[object, object]]:
    """A shortest way with room from the source to the sink."""
    came: dict[object, object] = {_SOURCE: None}
    waiting: deque[object] = deque([_SOURCE])
    while waiting and _SINK not in came:
        here = waiting.popleft()
        for there, room in left[here].items():
            if room > 0 and there not in came:
                came[there] = here
                waiting.append(there)
    path: list[tuple[object, object]] = []
    at: object = _SINK
    while at in came and at != _SOURCE:
        path.append((came[at], at))
        at = came[at]
    return path


def _reaching(left: dict[object, dict[object, float]]) -> set[object]:
    """From where there is still room to the sink."""
    found: set[object] = {_SINK}
    waiting: list[object] = [_SINK]
    while waiting:
        here = waiting.pop()
        for there in left[here]:
            if there not in found and left[there][here] > 0:
                found.add(there)
                waiting.append(there)
    return found
