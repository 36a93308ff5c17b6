"""Operations are asked through roles, properties and methods; few places ask for their class."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from netdsl.ir.program import OPERATIONS, STATEMENTS

ROOT = Path(__file__).parents[2]
KINDS = {kind.__name__ for kind in (*OPERATIONS, *STATEMENTS)}
MOST = 25  # fewer is better; no operation needs one


def test_few_places_ask_for_the_class_of_an_operation() -> None:
    paths = sorted((ROOT / "netdsl").rglob("*.py"))
    found = [line for path in paths for line in questions(path)]
    assert len(found) <= MOST, "\n".join(found)


def questions(path: Path) -> Iterator[str]:
    """The lines of a module that ask whether something is an operation of some class."""
    text = path.read_text()
    if "netdsl.ir." not in text:
        return
    tree = ast.parse(text)
    known = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module
        in (
            "netdsl.ir.program",
            "netdsl.ir.operations",
            "netdsl.ir.statements",
        )
        for alias in node.names
        if alias.name in KINDS
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)} & known
        elif isinstance(node, ast.MatchClass):
            asked = {ast.unparse(node.cls)} & known
        else:
            continue
        if asked:
            yield f"{path.relative_to(ROOT)}:{node.lineno} asks for {', '.join(sorted(asked))}"
