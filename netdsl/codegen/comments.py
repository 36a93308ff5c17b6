"""Text of a specification in comments of generated code: escaped here and nowhere else.

What an author writes (lines, names, file names, labels) reaches generated code as an identifier
that `Names` makes, or in a comment. A comment is made by the one function of its language, which
lets through what is known to be harmless there, so that nothing can end it and become code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

from netdsl.diagnostics.span import Span

_WIDTH = 72
# Printable ASCII without the backslash, which C lets join lines and spell characters.
_ALLOWED = frozenset(map(chr, range(0x20, 0x7F))) - {"\\"}
# Between two characters that together begin or end a comment of C, or a trigraph.
_JOINTS = re.compile(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)")


def python_text(text: str) -> str:
    """`text` as it may stand in a comment of Python: one line of printable ASCII."""
    return "".join(char if char in _ALLOWED else _stand_in(char) for char in text)


def c_text(text: str) -> str:
    """`text` as it may stand in a `/* */` comment of C and CUDA: one line of printable ASCII
    without backslashes, `*/`, `/*` and `??`."""
    return _JOINTS.sub(" ", python_text(text))


def c_comment(text: str) -> str:
    """A comment of C and CUDA."""
    return f"/* {c_text(text)} */"


def python_comment(text: str) -> str:
    """A comment of Python."""
    return f"# {python_text(text)}"


def _stand_in(char: str) -> str:
    return "." if char.isprintable() else " "


def spec_line(span: Span | None, sources: Mapping[str, str]) -> str:
    """`csdp.net:41  v := 0`: file, line and text of a span, for a comment; "" where nothing was
    written.

    The text is as the author wrote it, not escaped. The line's own comment is dropped and long
    lines are cut.
    """
    if span is None or span.line < 1:
        return ""
    place = f"{PurePath(span.source).name}:{span.line}"
    lines = sources.get(span.source, "").split("\n")
    if span.line > len(lines):
        return place
    text = " ".join(lines[span.line - 1].split("#", 1)[0].split())
    if len(text) > _WIDTH:
        text = text[: _WIDTH - 3] + "..."
    return f"{place}  {text}".rstrip()
