"""What waits for what within one step, and an order in which everything can run.

Bodies are cut into pieces at the first read of an input that is fed within the step. A piece waits
for the one before it and for the inputs that it reads, an input for the deliveries into it, a
delivery for whatever assigns the values that it sends (reference, sections 1 and 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol, TypeVar

from netdsl.dataflow.walk import walk_population
from netdsl.ir.expr import NOW, PREV, Expr, refs
from netdsl.ir.network import Deliver, Kind, Network, Projection

T = TypeVar("T")
Feeds = Mapping[str, Sequence[tuple[Projection, Deliver]]]  # deliveries by the input they feed
Node = tuple[str, str, int]  # ("body", population, piece) | ("send", projection, delivery)
# | ("input", path, 0)


class Piece(Protocol):
    """Statements of a body that run together."""

    @property
    def inputs(self) -> AbstractSet[str]:
        """Inputs that they read."""

    @property
    def assigns(self) -> AbstractSet[str]:
        """Variables that they assign."""

    @property
    def reads(self) -> AbstractSet[str]:
        """Modulators of others that they read, of those that have a number for each slot."""


class Circle(Exception):
    """Some things wait for each other; `nodes` are those on one way around."""

    def __init__(self, nodes: Sequence[Any]) -> None:
        super().__init__(nodes)
        self.nodes = nodes


def in_order(waits: Mapping[T, Iterable[T]]) -> tuple[T, ...]:
    """Everything behind what it waits for. Raises Circle."""
    try:
        return tuple(TopologicalSorter(waits).static_order())
    except CycleError as problem:
        raise Circle(problem.args[1]) from None


def waits_within_step(
    network: Network, bodies: Mapping[str, Sequence[Piece]], late: Feeds, *, post: bool = True
) -> dict[Node, list[Node]]:
    """What each piece, each input of `late` and each delivery into one waits for.

    `post`: whether deliveries also wait for what they read at their own target.
    """
    waits: dict[Node, list[Node]] = {}
    per_slot = {modulator.home for modulator in network.modulators if modulator.memory}
    for name, pieces in bodies.items():
        read = {n: paths for n, paths in _read_elsewhere(network, name).items() if bodies.get(n)}
        for index, piece in enumerate(pieces):
            before: list[Node] = [("body", name, index - 1)] if index else []
            homes = [network.table[path].owner for path in sorted(piece.reads)]
            last = {home: len(bodies[home]) - 1 for home in (*read, *homes) if bodies.get(home)}
            if name in per_slot:  # it is read by modulators further down in these bodies
                last |= {other: _made_by(bodies[other], paths) for other, paths in read.items()}
            before += [("body", other, number) for other, number in last.items()]
            before += [("input", path, 0) for path in sorted(piece.inputs & late.keys())]
            waits["body", name, index] = before
    for path, feeds in late.items():
        waits["input", path, 0] = []
        for projection, deliver in feeds:
            node = ("send", projection.name, projection.delivers.index(deliver))
            waits["input", path, 0].append(node)
            waits[node] = _before_send(network, projection, deliver, bodies, late, post)
    return waits


def _made_by(pieces: Sequence[Piece], paths: AbstractSet[str]) -> int:
    """The last piece that assigns some variables."""
    found = [number for number, piece in enumerate(pieces) if piece.assigns & paths]
    return found[-1] if found else len(pieces) - 1


def numbers_of_slots(network: Network, name: str, exprs: Iterable[Expr]) -> set[str]:
    """Modulators of others with a number for each slot that the body of a population reads."""
    per_slot = {m.variable for m in network.modulators if m.memory and m.home != name}
    return {r.path for e in exprs for r in refs(e) if r.path in per_slot and r.time == NOW}


def _read_elsewhere(network: Network, name: str) -> dict[str, set[str]]:
    """Populations whose values of this step another's body reads, those a modulator reduces, with
    these values."""
    found: dict[str, set[str]] = {}
    per_slot = {m.variable for m in network.modulators if m.memory}
    for flow in walk_population(network.populations[name]):
        for ref in flow.sources if flow.kind in ("statement", "def") else ():
            variable = network.table.get(ref.path)
            if variable is None or ref.path in per_slot:
                continue  # its pieces say which of them wait
            if ref.time == NOW and variable.kind is Kind.MODULATOR:
                found.setdefault(variable.owner, set()).add(ref.path)
    return {owner: paths for owner, paths in found.items() if owner != name}


def _before_send(
    network: Network,
    projection: Projection,
    deliver: Deliver,
    bodies: Mapping[str, Sequence[Piece]],
    late: Feeds,
    post: bool,
) -> list[Node]:
    """What must have run before a delivery can read what it sends."""
    sent, inputs = read_now(network, deliver.value)
    nodes: list[Node] = [("input", path, 0) for path in sorted(inputs & late.keys())]
    ends = ((projection.pre, sent[0]), (projection.post, sent[1] if post else set()))
    for population, read in ends:
        for index, piece in enumerate(bodies[population]):
            if piece.assigns & read:
                nodes.append(("body", population, index))
    return nodes


def read_now(network: Network, expr: Expr) -> tuple[tuple[set[str], set[str]], set[str]]:
    """Variables read within the step at the pre (or own) end and at the post end, and inputs;
    definitions are looked into."""
    pre: set[str] = set()
    post: set[str] = set()
    inputs: set[str] = set()
    for ref in refs(expr):
        variable = network.table.get(ref.path)
        if variable is None or ref.time == PREV or ref.phase is not None:
            continue
        if variable.kind is Kind.DEF and variable.definition is not None:
            (inner, _), more = read_now(network, variable.definition)
            (post if ref.side == "post" else pre).update(inner)
            inputs |= more
        elif variable.kind is Kind.INPUT:
            inputs.add(ref.path)
        else:
            (post if ref.side == "post" else pre).add(ref.path)
    return (pre, post), inputs
