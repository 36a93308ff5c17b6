"""Straight-line array code: values, instructions, and registers shared by liveness.

A register is a scratch array of one place and kind. Printers emit instructions over values;
`assign_registers` gives every value that has no home one, reusing a register as soon as nothing
reads it any more, and in the very instruction that reads it last where that works in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.codegen.comments import python_comment
from netdsl.ir.network import Place

# Beginnings of the names of scratch arrays, by place and whether they hold truth values.
_PREFIX = {
    (Place.UNIT, False): "t",
    (Place.SYNAPSE, False): "t",
    (Place.ROW, False): "row",
    (Place.NEURON, False): "cell",
    (Place.UNIT, True): "mask",
    (Place.SYNAPSE, True): "mask",
    (Place.ROW, True): "row_mask",
    (Place.NEURON, True): "cell_mask",
}
RESERVED = frozenset(f"{prefix}{k}" for prefix in set(_PREFIX.values()) for k in range(400))


COPY = "np.copyto({out}, {0})"


@dataclass(eq=False)
class Value:
    """An operand: `text` is its spelling once known; `mask` says that it holds truth values.

    `home` values (buffers, views, scalars) have a spelling from the start.
    """

    place: Place
    mask: bool = False
    text: str = ""
    home: bool = False
    label: str = ""  # the name of a bound value, spelt instead of its register


@dataclass(eq=False)
class Instruction:
    """`form` with operands filled in; `in_place`: `out` may be the array of an operand."""

    form: str
    out: Value
    args: tuple[Value, ...]
    in_place: bool = True
    updates: bool = False  # reads `out` too


@dataclass
class Block:
    """Instructions and comments in order."""

    lines: list[Instruction | str] = field(default_factory=list)

    def emit(self, form: str, out: Value, *args: Value, **flags: bool) -> Value:
        """Append an instruction; returns `out`."""
        self.lines.append(Instruction(form, out, args, **flags))
        return out

    def comment(self, text: str) -> None:
        """Append a comment, unless it repeats the one before or is empty."""
        previous = next((x for x in reversed(self.lines) if isinstance(x, str)), None)
        if text and previous != text:
            self.lines.append(text)


@dataclass(frozen=True)
class Register:
    """A scratch array that the block uses."""

    name: str
    place: Place
    mask: bool
    index: int


def assign_registers(block: Block) -> tuple[Register, ...]:
    """Give every value a spelling; returns the registers used, in order of first use."""
    last: dict[int, int] = {}
    for position, line in enumerate(block.lines):
        if isinstance(line, Instruction):
            for value in (line.out, *line.args):
                last[id(value)] = position
    free: dict[str, list[int]] = {}
    used: dict[str, Register] = {}
    for position, line in enumerate(block.lines):
        if not isinstance(line, Instruction):
            continue
        ending = [v for v in dict.fromkeys(line.args) if not v.home and last[id(v)] == position]
        if line.in_place:
            _release(ending, free)
        if not line.out.home and not line.out.text:
            _acquire(line.out, free, used)
        if not line.in_place:
            _release(ending, free)
        if not line.out.home and last[id(line.out)] == position:
            _release([line.out], free)
    return tuple(used.values())


def _prefix(value: Value) -> str:
    return _PREFIX[value.place, value.mask]


def _release(values: list[Value], free: dict[str, list[int]]) -> None:
    for value in values:
        prefix = _prefix(value)
        free[prefix].append(int(value.text[len(prefix) :]))
        free[prefix].sort(reverse=True)


def _acquire(value: Value, free: dict[str, list[int]], used: dict[str, Register]) -> None:
    prefix = _prefix(value)
    pool = free.setdefault(prefix, [])
    count = sum(register.name.rstrip("0123456789") == prefix for register in used.values())
    index = pool.pop() if pool else count
    value.text = f"{prefix}{index}"
    used.setdefault(value.text, Register(value.text, value.place, value.mask, index))


def render(block: Block) -> list[str]:
    """Lines of text, after `assign_registers`."""
    named: set[int] = set()
    lines: list[str] = []
    for line in block.lines:
        if isinstance(line, str):
            lines.append(python_comment(line))
            continue
        spelling = [_spell(arg, named) for arg in line.args]
        text = line.form.format(*spelling, out=line.out.text)
        if line.out.label and not line.updates:
            text = f"{line.out.label} = {text}"
        lines.append(text)
        if line.out.label:
            named.add(id(line.out))
    only_comments = all(isinstance(line, str) for line in block.lines)
    return [*lines, "pass"] if only_comments else lines


def _spell(value: Value, named: set[int]) -> str:
    return value.label if id(value) in named else value.text
