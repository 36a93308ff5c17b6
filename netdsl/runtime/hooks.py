"""What a run is asked, where it is, and what it wants to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netdsl.ir.program import Key
from netdsl.runtime.datasets import Batch
from netdsl.runtime.members import Found
from netdsl.runtime.rewiring import Choice

if TYPE_CHECKING:
    from netdsl.runtime.chunks import Passed
    from netdsl.runtime.engine import Interpreter


class Interrupted(Exception):
    """The run was asked to stop; the state is that between two batches."""


class Hooks:
    """What a run wants to hear of; every method may be overridden, none must be."""

    def poll(self) -> None:
        """Called before every batch, those of evaluations included; may raise Interrupted."""

    def before_batch(self, interpreter: Interpreter) -> None:
        """Called before every training batch."""

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        """Called after every batch of this interpreter."""

    def start_row(self, interpreter: Interpreter) -> None:
        """Called before a row without data begins, and where samples may come after it."""

    def after_phase(self, interpreter: Interpreter) -> None:
        """Called after every phase of a protocol without data, in place of `after_batch`."""

    def room(self, interpreter: Interpreter) -> int:
        """How many batches may run in one call before this must hear of them; 1: of every one."""
        return 1

    def reads(self, interpreter: Interpreter) -> tuple[Key, ...]:
        """What this wants to read of every batch of several that run in one call."""
        return ()

    def after_batches(self, interpreter: Interpreter, passed: Passed) -> None:
        """Called in place of `after_batch` after several batches in one call."""

    def start_rounds(self, protocol: str, count: int) -> None:
        """So many epochs or iterations begin, of a protocol that the outer one runs ("": of it)."""

    def start_epoch(self, epoch: int, batches: int, rounds: int = 0) -> None:
        """An epoch begins, or with `rounds` a loop of so many iterations; `batches` is its number
        of training batches."""

    def end_epoch(self, interpreter: Interpreter) -> None:
        """An epoch ended."""

    def evaluated(self, label: str, metrics: Mapping[str, Found], interpreter: Interpreter) -> None:
        """An evaluation ended."""

    def kept(self, name: str, interpreter: Interpreter) -> None:
        """A checkpoint took the present parameters."""


@dataclass
class Options:
    """Settings of a run: `epochs` replaces the protocol's own, `limit` cuts training splits to so
    many samples, `eval_limit` those of evaluations, `batch` replaces the batch size. `choice` says
    which synapses a rewiring opens, instead of draws."""

    epochs: int | None = None
    limit: int | None = None
    eval_limit: int | None = None
    batch: int | None = None
    choice: Choice | None = None


@dataclass
class Place:
    """Where a run is, as JSON values: indices into the protocol, and counters."""

    position: list[int] = field(default_factory=list)
    loops: int = 0
    batches: int = 0
    earlier: int = 0  # epochs and iterations of the loops that are done
    draws: dict[str, int] = field(default_factory=dict)
    best: dict[str, Found] = field(default_factory=dict)
    kept_at: int = 0  # the epoch of the last parameters kept
    results: dict[str, dict[str, Found]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint file."""
        return dict(vars(self))
