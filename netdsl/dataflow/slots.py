"""What is made of the slots of memories, variable by variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netdsl.dataflow.walk import CELL, Flow, walk_population
from netdsl.ir.expr import NEWEST, Expr, Reduce, refs, walk
from netdsl.ir.network import Kind, Network, Variable

ANY = "*"  # any replay: what reads the newest row


def slots_read(expr: Expr) -> frozenset[str]:
    """The memories whose slots an expression reads itself; "batch" for rows."""
    over = (node.over_slots for node in walk(expr) if isinstance(node, Reduce))
    found = {slots[0] for slots in over if slots is not None}
    for ref in refs(expr):
        for slot in ref.slot.split(","):
            memory, of, _ = slot.replace("/", ":").partition(":")
            if of:
                found.add(memory)
            elif slot == NEWEST:
                found.add(ANY)
    return frozenset(found)


def made_of_slots(network: Network) -> Mapping[str, frozenset[str]]:
    """The memories whose slots variables of populations are made of, through others too. A network
    does not change, and so is asked once."""
    known = vars(network)
    if "slots" not in known:
        known["slots"] = _made_of_slots(network)
    found: Mapping[str, frozenset[str]] = known["slots"]
    return found


def _made_of_slots(network: Network) -> Mapping[str, frozenset[str]]:
    flows = tuple(_flows(network)) if network.memories or _by_rows(network) else ()
    found: dict[str, frozenset[str]] = {}
    while True:
        before = dict(found)
        for flow in flows:
            made = slots_read(flow.expr).union(*(found.get(r.path, ()) for r in flow.sources))
            if made:
                found[flow.target] = found.get(flow.target, frozenset()) | made
        if found == before:
            return found


def _by_rows(network: Network) -> bool:
    return any(slots_read(flow.expr) for flow in _flows(network))


def _flows(network: Network) -> Iterator[Flow]:
    for population in network.populations.values():
        for flow in walk_population(population):
            if flow.kind in CELL:
                yield flow


def lacking(network: Network, path: str, rows: str) -> frozenset[str]:
    """The replays that a variable is made of where the rows are not their slots; `rows`: the replay
    whose slots they are."""
    kinds = {name: memory.kind for name, memory in network.memories.items()}
    made = made_of_slots(network).get(path, frozenset())
    return frozenset(
        name
        for name in made
        if (name == ANY and not rows) or (kinds.get(name) == "replay" and name != rows)
    )


def of_modulator(network: Network, variable: Variable) -> bool:
    """Whether a variable of a population is one that a modulator computes with."""
    alone = {m.home for m in network.modulators if m.population is None}
    own = variable.path.startswith(f"{variable.owner}.")
    return variable.kind is Kind.MODULATOR or variable.owner in alone or not own
