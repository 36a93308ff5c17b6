"""Every file of tests/invalid has the one fault that its first line names; every valid one none.

The first line of an invalid file is `# error: E0501 12:3`, or `# warning: …`, `# lint: …`. Findings
of lesser severity than the one named are left aside. Valid neighbours are named like the invalid
ones, code first.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netdsl.frontend import check

HERE = Path(__file__).parent
SEVERITIES = ("lint", "warning", "error")
HEADER = re.compile(r"# (error|warning|lint): ([EL]\d{4}) (\d+):(\d+)")


def files(folder: str) -> list[Path]:
    return sorted((HERE / folder).glob("*.net"))


@pytest.mark.parametrize("path", files("invalid"), ids=lambda path: path.stem)
def test_invalid(path: Path) -> None:
    header = HEADER.match(path.read_text(encoding="utf-8"))
    assert header is not None, "the first line names severity, code, line and column"
    severity, code, line, column = header.groups()
    assert path.stem.upper().startswith(code)
    grave = SEVERITIES[SEVERITIES.index(severity) :]
    found = [d for d in check(path).diagnostics if d.severity in grave]
    assert [(d.severity, d.code, d.primary.line, d.primary.column) for d in found] == [
        (severity, code, int(line), int(column))
    ]


@pytest.mark.parametrize("path", files("valid"), ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    code = path.stem[:5].upper()
    found = check(path).diagnostics
    assert [d for d in found if d.severity != "lint" or d.code == code] == []
