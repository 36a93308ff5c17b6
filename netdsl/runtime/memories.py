"""What memories hold at run time: the samples of a replay, and how often each was pushed into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.network import Memory, Network

if TYPE_CHECKING:
    from netdsl.runtime.datasets import Batch
    from netdsl.runtime.session import Session

Arrays = dict[str, NDArray[Any]]
PREFIX, KEYS, COUNT, SAMPLES = "memory/", "@keys", "@count", "@samples"


@dataclass(frozen=True)
class Held:
    """The content of a memory: how many slots were filled, and of a replay its samples, the newest
    last, with their numbers in the source."""

    count: int = 0
    fields: Arrays = field(default_factory=dict)
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    samples: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def pushed(self, memory: Memory, batch: Batch) -> Held:
        """The content behind a `push`; augmented samples are done anew, as of this presentation."""
        count = min(self.count + 1, memory.size)
        if memory.kind != "replay":
            return Held(count)
        samples = _pushed(self.samples, batch.samples, count)
        fields: Mapping[str, NDArray[Any]]
        if batch.renewed is not None:
            fields = batch.renewed(samples, np.arange(count)[::-1])
        else:
            held = self.fields
            fields = {
                name: _pushed(held.get(name), new, count) for name, new in batch.fields.items()
            }
        return Held(count, dict(fields), _pushed(self.keys, batch.keys, count), samples)


def _pushed(held: NDArray[Any] | None, new: Any, count: int) -> NDArray[Any]:
    """The last rows of what is held and what comes."""
    new = np.asarray(new)
    return new if held is None or count == 1 else np.concatenate([held[1 - count :], new])


def push(session: Session, name: str, batch: Batch, epoch: int) -> None:
    """A sample comes into a memory; the slots of a replay become the rows that are present."""
    memory = session.network.memories[name]
    held = session.memories[name] = session.memories[name].pushed(memory, batch)
    if memory.kind == "replay":
        session.load(held.fields, held.keys, batch.index, epoch)
    session.set_host(f"{name}.full", float(held.count == memory.size))


def empty(session: Session, names: tuple[str, ...] = ()) -> None:
    """Memories, or all of them, hold nothing."""
    for name in names or tuple(session.network.memories):
        session.memories[name] = Held()
        session.set_host(f"{name}.full", 0.0)
    for name in session.stored() if not names else ():
        session.executor.write(name, 0.0)


def none_held(network: Network) -> dict[str, Held]:
    """The content of memories at the start."""
    return {name: Held() for name in network.memories}


def made(fields: Mapping[str, NDArray[Any]], rows: int) -> Arrays:
    """The fields of samples with those that no data file has."""
    found = dict(fields)
    found.setdefault("positive", np.ones(rows, np.float32))
    if "label" in found:
        found.setdefault("shown_label", found["label"])
    found["newest"] = (np.arange(rows) == rows - 1).astype(np.float32)
    return found


# ---------------------------------------------------------------- files


def saved(memories: Mapping[str, Held]) -> Arrays:
    """The content of memories as arrays of a file."""
    found: Arrays = {}
    for name, held in memories.items():
        found[f"{PREFIX}{name}/{COUNT}"] = np.asarray(held.count)
        found[f"{PREFIX}{name}/{KEYS}"] = held.keys
        found[f"{PREFIX}{name}/{SAMPLES}"] = held.samples
        found.update({f"{PREFIX}{name}/{path}": value for path, value in held.fields.items()})
    return found


def taken(arrays: Arrays, network: Network) -> dict[str, Held]:
    """Take the content of memories out of the arrays of a file. ValueError for what is none."""
    parts: dict[str, Arrays] = {name: {} for name in network.memories}
    for key in [key for key in arrays if key.startswith(PREFIX)]:
        name, _, path = key[len(PREFIX) :].partition("/")
        value = arrays.pop(key)
        if name in parts:
            parts[name][path] = value
    return {name: _taken(network.memories[name], found) for name, found in parts.items()}


def _taken(memory: Memory, found: Arrays) -> Held:
    count, keys = found.pop(COUNT, np.zeros(())), found.pop(KEYS, np.zeros(0, np.uint64))
    samples = found.pop(SAMPLES, np.zeros(0, np.int64))
    rows = int(count) if count.shape == () else -1
    stored = rows if memory.kind == "replay" else 0
    right = keys.dtype == np.uint64 and keys.shape == samples.shape == (stored,)
    lengths = {len(value) if value.ndim else -1 for value in found.values()}
    if not right or not 0 <= rows <= memory.size or lengths - {stored}:
        raise ValueError(f"the samples of memory `{memory.name}` do not fit together")
    return Held(rows, found, keys, samples.astype(np.int64))
