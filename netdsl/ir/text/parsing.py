"""Reading back what `netdsl.ir.text.printing` writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, get_type_hints

from netdsl.ir.expr import Expr
from netdsl.ir.program import OPERATIONS, Buffer, Program, Routine
from netdsl.ir.roles import Node, Role, fields
from netdsl.ir.text.lines import Line, Mismatch, TextError, head_of, kinds_in
from netdsl.ir.text.printing import MAIN, STEP


def parse_program(text: str) -> Program:
    """The program of a text. Raises TextError with the line that cannot be read."""
    name, buffers, routines = "", {}, {}
    sizes: dict[str, int] = {}
    shapes: dict[str, tuple[int, int]] = {}
    layouts: dict[str, Any] = {}
    ends: dict[str, Any] = {}
    slices: dict[str, Any] = {}
    host: dict[str, Expr] = {}
    memories: dict[str, int] = {}
    for block in _blocks(text):
        line = Line(block.text, block.number)
        word = line.peek()
        if word == "program":
            line.take()
            name = line.plain()
        elif word == "population":
            line.take()
            owner = line.plain()
            sizes[owner] = line.plain()
        elif word == "memory":
            line.take()
            memory = line.plain()
            memories[memory] = line.plain()
        elif word == "projection":
            line.take()
            owner = line.plain()
            shapes[owner] = (line.plain(), line.plain())
            for key, table in (("ends", ends), ("slices", slices), ("layout", layouts)):
                if line.peek() == key:
                    line.expect(key, "=")
                    table[owner] = line.plain()
        elif word == "host":
            line.take()
            target = line.plain()
            line.expect(":=")
            host[target] = line.expression()
        elif word == "buffer":
            buffer = _node(block, (Buffer,))
            buffers[buffer.name] = buffer
            continue
        else:
            routine = _node(block, (Routine,))
            routines[routine.name] = routine
            continue
        line.end()
    return Program(name, sizes, shapes, buffers, routines, layouts, slices, host, ends, memories)


def parse_node(text: str, kinds: Iterable[type[Node]] = OPERATIONS) -> Node:
    """One operation, or one node of `kinds`, as `node_lines(…, exact=True)` prints it."""
    blocks = list(_blocks(text))
    if len(blocks) != 1:
        raise TextError("one node was expected", 1)
    node: Node = _node(blocks[0], kinds)
    return node


@dataclasses.dataclass
class _Block:
    """A line and the lines indented below it."""

    text: str
    number: int
    inner: list[_Block] = dataclasses.field(default_factory=list)


def _blocks(text: str) -> list[_Block]:
    top: list[_Block] = []
    open_at: list[tuple[int, list[_Block]]] = [(0, top)]
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // len(STEP)
        while open_at[-1][0] > depth:
            open_at.pop()
        if open_at[-1][0] != depth:
            raise TextError("it is indented too far", number)
        block = _Block(line.strip(), number)
        open_at[-1][1].append(block)
        open_at.append((depth + 1, block.inner))
    return top


def _node(block: _Block, kinds: Iterable[type[Any]]) -> Any:
    """The node of a block, of the first kind whose form fits."""
    for kind in kinds:
        try:
            values = head_of(Line(block.text, block.number), kind)
        except Mismatch:
            continue
        return kind(**values, **_held(block, kind, values))
    raise TextError(f"this cannot be read: {block.text}", block.number)


def _held(block: _Block, kind: type[Node], known: dict[str, Any]) -> dict[str, Any]:
    """The nodes below a line, by field."""
    hints = get_type_hints(kind)
    nested = [name for name, role in fields(kind) if role is Role.NESTED and name not in known]
    held: dict[str, list[Node]] = {name: [] for name in nested}
    for inner in block.inner:
        label, _, rest = inner.text.partition(": ")
        name = label if label in held else MAIN
        if name not in held:
            raise TextError(f"`{kind.__name__}` holds no such line", inner.number)
        text = rest if label in held else inner.text
        child = dataclasses.replace(inner, text=text)
        held[name].append(_node(child, kinds_in(hints[name])))
    return {name: tuple(found) for name, found in held.items()}
