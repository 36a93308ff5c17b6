"""The compiler's folders import downwards only, in the order in which a spec flows through them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "netdsl"
ORDER = [
    "paths",
    "files",
    "diagnostics",
    "syntax",
    "library",
    "ir",
    "streams",
    "sema",
    "dataflow",
    "checks",
    "locality",
    "passes",
    "codegen",
    "backends",
    "runtime",
    "frontend",
    "tools",
    "api",
    "cli",
]


def layer(name: str) -> str:
    return name.split(".")[1]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("netdsl."):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("netdsl."))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.name))
def test_imports_point_downwards(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    own = relative.parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for module in imported(path):
        assert ORDER.index(layer(module)) <= ORDER.index(own), f"{relative} imports {module}"


def test_every_folder_has_its_place() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    assert folders <= set(ORDER)


def test_no_file_is_longer_than_400_lines() -> None:
    root = PACKAGE.parent
    kinds = ("*.py", "*.j2", "*.lark", "*.net")
    folders = ("netdsl", "templates", "grammars", "specs", "tests", "benchmarks")
    files = [f for folder in folders for kind in kinds for f in (root / folder).rglob(kind)]
    long = {
        str(f.relative_to(root)): n for f in files if (n := len(f.read_text().splitlines())) > 400
    }
    assert not long
