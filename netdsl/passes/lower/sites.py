"""Walk protocols: every step that needs a routine, with the clamps in force around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.ir.network import Network
from netdsl.ir.protocol import (
    Choose,
    Clamp,
    Each,
    Protocol,
    Push,
    Repeat,
    RunPhase,
    SetState,
    Step,
    Update,
)


@dataclass(frozen=True)
class Site:
    """A protocol step, the clamps that hold there, and the phase that ran last in its block."""

    step: RunPhase | Update | SetState | Clamp | Push
    protocol: Protocol
    clamps: tuple[Clamp, ...]
    previous: RunPhase | None


def sites(network: Network) -> Iterator[Site]:
    """All sites of all protocols, in order of the text."""
    for protocol in network.protocols.values():
        yield from _walk(protocol, protocol.body, (), None)


def _walk(
    protocol: Protocol, body: tuple[Step, ...], clamps: tuple[Clamp, ...], last: RunPhase | None
) -> Iterator[Site]:
    for step in body:
        if isinstance(step, Clamp):
            clamps = (*(c for c in clamps if c.target != step.target), step)
            yield Site(step, protocol, clamps, last)
        elif isinstance(step, RunPhase | Update | SetState | Push):
            yield Site(step, protocol, clamps, last)
            last = step if isinstance(step, RunPhase) else last
        elif isinstance(step, Each | Repeat):
            yield from _walk(protocol, step.body, clamps, last)
        elif isinstance(step, Choose):
            yield from _walk(protocol, step.then, clamps, last)
            yield from _walk(protocol, step.otherwise, clamps, last)


def clamps_of(network: Network, path: str) -> dict[str, int]:
    """How many clamp statements each protocol has for a variable."""
    counts: dict[str, int] = {}
    for site in sites(network):
        if isinstance(site.step, Clamp) and site.step.target == path:
            counts[site.protocol.name] = counts.get(site.protocol.name, 0) + 1
    return counts


def sets_of(network: Network, path: str) -> bool:
    """Does any protocol `set` this variable?"""
    return any(
        isinstance(site.step, SetState) and site.step.target == path for site in sites(network)
    )


def learns(network: Network, protocol: Protocol) -> bool:
    """Does a protocol change weights, in a learning phase or by `update`?"""
    return any(
        site.protocol is protocol
        and (
            isinstance(site.step, Update)
            or (isinstance(site.step, RunPhase) and bool(site.step.learning))
        )
        for site in sites(network)
    )
