"""Generic walks over the tree, and its printed form for `netdsl show ast`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from netdsl.syntax.ast.base import Node
from netdsl.syntax.ast.expressions import Number

_HIDDEN = {"span", "name_span", "word"}


_CHILD_FIELDS: dict[type[Node], tuple[str, ...]] = {}


def children(node: Node) -> Iterator[Node]:
    """The direct sub-nodes, in the order of the node's fields."""
    names = _CHILD_FIELDS.get(type(node))
    if names is None:
        names = tuple(item.name for item in fields(node) if item.name not in _HIDDEN)
        _CHILD_FIELDS[type(node)] = names
    for name in names:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (element for element in value if isinstance(element, Node))


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        left.extend(reversed(tuple(children(node))))


def dump(node: Node, indent: int = 0) -> str:
    """The tree as indented text, one node a line, without spans."""
    return "\n".join(_lines(node, indent))


def _is_spelling(node: Node, name: str) -> bool:
    return name == "text" and isinstance(node, Number)


def _lines(node: Node, indent: int, label: str = "") -> Iterator[str]:
    plain, nested = [], []
    for item in fields(node):
        value = getattr(node, item.name)
        if item.name in _HIDDEN or value is None or value == () or _is_spelling(node, item.name):
            continue
        if isinstance(value, Node):
            nested.append((item.name, value))
        elif isinstance(value, tuple) and isinstance(value[0], Node):
            nested.extend((f"{item.name}[{i}]", element) for i, element in enumerate(value))
        else:
            plain.append(f"{item.name}={value!r}")
    prefix = "  " * indent + (f"{label}: " if label else "")
    yield prefix + " ".join([type(node).__name__, *plain])
    for name, child in nested:
        yield from _lines(child, indent + 1, name)
