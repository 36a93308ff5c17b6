"""Removal of copies from straight-line array code, before registers are assigned."""

from __future__ import annotations

from netdsl.codegen.numpy.registers import COPY, Block, Instruction, Value


def coalesce(block: Block) -> None:
    """Drop copies of values that nothing reads afterwards.

    A copy between scratch values makes them one; a copy into a buffer lets the instruction that
    made the value write the buffer instead, where nothing in between touches the buffer.
    """
    position = 0
    while position < len(block.lines):
        line = block.lines[position]
        if isinstance(line, Instruction) and _needless(block, position, line):
            del block.lines[position]
        else:
            position += 1


def _needless(block: Block, position: int, copy: Instruction) -> bool:
    """Whether the copy at `position` can go; its value is renamed throughout if so."""
    if copy.form != COPY:
        return False
    value, target = copy.args[0], copy.out
    alike = value.place is target.place and value.mask is target.mask
    if not alike or value.home or _read(block, position + 1, len(block.lines), value):
        return False
    if not target.home:
        _rename(block, target, value)
        return True
    made = [k for k, line in enumerate(block.lines[:position]) if _makes(line, value)]
    first = made[0] if made else position
    if first == position or _read(block, first + 1, position, target):
        return False
    if any(_makes(line, target) for line in block.lines[first:position]):
        return False
    made_by = block.lines[first]
    in_place = isinstance(made_by, Instruction) and made_by.in_place and len(made) == 1
    if not in_place and _read(block, first, first + 1, target):
        return False
    _rename(block, value, target)
    return True


def _makes(line: Instruction | str, value: Value) -> bool:
    return isinstance(line, Instruction) and line.out is value


def _read(block: Block, first: int, last: int, value: Value) -> bool:
    """Whether lines `first` to `last` - 1 read `value`."""
    return any(
        isinstance(line, Instruction)
        and (value in line.args or (line.updates and line.out is value))
        for line in block.lines[first:last]
    )


def _rename(block: Block, old: Value, new: Value) -> None:
    for line in block.lines:
        if isinstance(line, Instruction):
            line.out = new if line.out is old else line.out
            line.args = tuple(new if arg is old else arg for arg in line.args)
