"""The tables of wrong specifications: pieces of text with carets under what is wrong.

A line `[frame]` names what stands around the pieces that follow, each separated by an empty line.
Under the wrong place stand carets, the code, the message, and after ` = ` the help.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MARK = re.compile(r" *(\^+) ([EL]\d{4}) (.*)")


class Wrong(NamedTuple):
    """A wrong piece of text in its frame, and the marks that must be found."""

    frame: str
    text: str
    marks: tuple[tuple[int, int, int, str, str], ...]  # line, columns from and to, code, words


def read(path: Path) -> Iterator[Wrong]:
    """The pieces of a table."""
    frame = ""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        lines, marks = [], []
        for line in block.strip("\n").split("\n"):
            if line.startswith("[") and line.endswith("]"):
                frame = line[1:-1]
            elif found := MARK.fullmatch(line):
                start, end = found.start(1) + 1, found.end(1) + 1
                marks.append((len(lines), start, end, found[2], found[3]))
            elif not line.startswith("# "):
                lines.append(line)
        if lines:
            yield Wrong(frame, "\n".join(lines), tuple(marks))
