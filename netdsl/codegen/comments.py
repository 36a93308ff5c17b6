"""Comments of generated code: the line of the specification that a statement comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from netdsl.diagnostics.span import Span

_WIDTH = 72


def plain(text: str) -> str:
    """`text` fit for a comment of any language: one line, printable, closing no C comment."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split()).replace("*/", "* /").replace("\\", "/")


def spec_line(span: Span | None, sources: Mapping[str, str]) -> str:
    """`csdp.net:41  v := 0`: file, line and text of a span; "" where nothing was written.

    The line's own comment is dropped and long lines are cut.
    """
    if span is None or span.line < 1:
        return ""
    place = f"{plain(PurePath(span.source).name)}:{span.line}"
    lines = sources.get(span.source, "").splitlines()
    if span.line > len(lines):
        return place
    text = plain(lines[span.line - 1].split("#", 1)[0])
    if len(text) > _WIDTH:
        text = text[: _WIDTH - 3] + "..."
    return f"{place}  {text}".rstrip()
