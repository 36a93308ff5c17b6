"""Which buffers, fields and routines of a program serve what: all that does not change in a run."""

from __future__ import annotations

from functools import cached_property

from netdsl.ir.network import Kind, Network, Type
from netdsl.ir.program import PHASE, Buffer, Key, Program
from netdsl.runtime.refusals import not_kept
from netdsl.runtime.whole import BACKEND_COUNTERS

_STILL = ("prev", "settled")  # earlier values of what does not change have no buffers


class Holding:
    """A network's values as its program holds them; `host` are those that the host assigns."""

    def __init__(self, network: Network, program: Program) -> None:
        self.network, self.program = network, program
        self.host: dict[str, float] = {}
        self._resets: dict[tuple[str, ...], tuple[str, ...]] = {}

    def on_host(self, key: Key) -> bool:
        """Is a value one that the host assigns: a control, a global state, a counter?"""
        return not key.tag and key.of in self.host and key.of not in BACKEND_COUNTERS

    def buffer_of(self, key: Key) -> str:
        """The buffer of a value that the program keeps. Raises RunFault E0742 where it does not."""
        of, tag = key
        name = self.program.find(of, tag)
        # A value that cannot change between the phase's end and now has no snapshot of its own.
        if name is None and (tag in _STILL or tag.startswith(PHASE)):
            name = self.program.find(of)
        if name is None:
            raise not_kept(self, key)
        return name

    def field_of(self, path: str) -> str:
        """The field of the data that a variable stands for, "" for other variables."""
        variable = self.network.table.get(path)
        return variable.name if variable is not None and variable.kind is Kind.SAMPLE else ""

    @cached_property
    def step_counters(self) -> tuple[str, ...]:
        """Buffers of what counts steps, and of what it was some steps ago."""
        buffers = self.program.buffers
        return tuple(name for name, buffer in buffers.items() if buffer.of in BACKEND_COUNTERS)

    @cached_property
    def sample_buffers(self) -> tuple[tuple[Buffer, str], ...]:
        """The buffers that take a batch's fields, and which."""
        buffers = self.program.buffers.values()
        found = (buffer for buffer in buffers if buffer.role == "sample" and not buffer.tag)
        return tuple((buffer, self.field_of(buffer.of)) for buffer in found)

    @cached_property
    def binary_fields(self) -> tuple[str, ...]:
        """The fields that are 0 and 1."""
        found = (v for v in self.network.table.values() if v.kind is Kind.SAMPLE)
        return tuple(variable.name for variable in found if variable.type is Type.BOOL)

    def resets(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """The reset routines of the owners named, or of all."""
        if targets not in self._resets:
            self._resets[targets] = tuple(
                name
                for name, routine in self.program.routines.items()
                if routine.kind == "reset"
                and (not targets or {routine.owner, routine.owner.split(".", 1)[0]} & set(targets))
            )
        return self._resets[targets]
