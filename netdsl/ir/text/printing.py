"""Programs as text that reads back equal, and operations as lines of a schedule.

A node is a line: its form with the fields filled in, then the fields that the form leaves out and
that differ from their defaults. The nodes that it holds follow, indented; all but the statements
say which field they belong to.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from netdsl.ir.expr import Expr
from netdsl.ir.program import Program
from netdsl.ir.roles import Node, Role, fields
from netdsl.ir.space import Axis
from netdsl.ir.text.expressions import bare, expression

FIELD = re.compile(r"\{(\w+)(?:\?([^|}]*)\|([^|}]*))?\}")  # {name} or {flag?if set|if not}
MAIN = "statements"  # the field whose nodes stand without its name
STEP = "  "


def program_text(program: Program) -> str:
    """A program as text; `parse_program` of it is equal to the program."""
    lines = [f"program {plain(program.name)}"]
    lines += [f"population {plain(name)} {size}" for name, size in program.sizes.items()]
    lines += [f"memory {plain(name)} {slots}" for name, slots in program.memories.items()]
    lines += [
        f"projection {plain(name)} {m} {n}" + _wiring(program, name)
        for name, (m, n) in program.shapes.items()
    ]
    for buffer in program.buffers.values():
        lines += node_lines(buffer, exact=True)
    for name, value in program.host_scalars.items():
        lines.append(f"host {plain(name)} := {expression(value, exact=True)}")
    for routine in program.routines.values():
        lines += ["", *node_lines(routine, exact=True)]
    return "\n".join(lines) + "\n"


def _wiring(program: Program, name: str) -> str:
    parts = program.slices.get(name)
    found = {
        "ends": program.ends.get(name),
        "slices": parts if parts != (None, None) else None,
        "layout": program.layouts.get(name),
    }
    return "".join(f" {key}={plain(value)}" for key, value in found.items() if value is not None)


def node_lines(node: Node, *, exact: bool = False) -> list[str]:
    """An operation, a statement, … with what it holds, a line each.

    Not `exact`: as a schedule shows it, with rounded numbers and the label as a comment.
    """
    return list(_lines(node, exact))


def _lines(node: Node, exact: bool, prefix: str = "") -> Iterator[str]:
    inline = _in_form(type(node))
    yield prefix + _head(node, exact, inline)
    for name, role in fields(type(node)):
        if role is Role.NESTED and name not in inline:
            before = "" if name == MAIN or not exact else f"{name}: "
            for child in getattr(node, name):
                yield from (STEP + line for line in _lines(child, exact, before))


def _in_form(kind: type[Node]) -> set[str]:
    return {match[1] for match in FIELD.finditer(kind.form)}


def _head(node: Node, exact: bool, inline: set[str]) -> str:
    roles = dict(fields(type(node)))

    def fill(match: re.Match[str]) -> str:
        value = getattr(node, match[1])
        if match[2] is not None:
            return match[2] if value else match[3]
        return text_of(value, roles[match[1]], exact)

    text = FIELD.sub(fill, node.form)
    more = sorted(_more(node, inline), key=lambda item: not exact and item[0] == "label")
    for name, value in more:
        if not exact and name == "label":
            text += f"  # {value}"
        elif exact or name not in node.quiet:
            text += f" {_setting(name, value, roles[name], exact)}"
    return text


def _more(node: Node, inline: set[str]) -> Iterator[tuple[str, Any]]:
    """Fields beside the form that differ from their defaults."""
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        nested = dict(fields(type(node))).get(field.name, Role.NESTED) is Role.NESTED
        if field.compare and not nested and field.name not in inline and value != field.default:
            yield field.name, value


def _setting(name: str, value: Any, role: Role, exact: bool) -> str:
    if value is True:
        return name
    text = text_of(value, role, exact)
    closed = role is Role.EXPRESSION and isinstance(value, Expr)
    return f"{name}=({text})" if closed else f"{name}={text}"


def text_of(value: Any, role: Role, exact: bool) -> str:
    """What a field holds."""
    if isinstance(value, Expr):
        return expression(value, exact=exact)
    if role is Role.BOUND:
        return f"%{value}"
    if role is Role.NESTED:
        return " + ".join(_head(part, exact, _in_form(type(part))) for part in value) or "0"
    if role is Role.EXPRESSION and isinstance(value, tuple):
        return f"({', '.join(text_of(part, role, exact) for part in value)})"
    return plain(value)


def plain(value: Any) -> str:
    """A value that is no node: a name, a number, a tuple, or a record such as a draw."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str | Axis):
        return bare(str(value))
    if isinstance(value, Expr):
        return expression(value, exact=True)
    if isinstance(value, tuple):
        return f"({', '.join(plain(part) for part in value)})"
    if isinstance(value, Mapping):
        raise TypeError("a mapping has no text of its own")
    if dataclasses.is_dataclass(value):
        inside = [
            f"{f.name}={plain(getattr(value, f.name))}"
            for f in dataclasses.fields(value)
            if f.compare and getattr(value, f.name) != f.default
        ]
        return f"{type(value).__name__}({', '.join(inside)})"
    return repr(value)
