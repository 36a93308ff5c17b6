"""Diagnostics as text: the line of the spec with carets under the place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from netdsl.diagnostics.diagnostic import Diagnostic
from netdsl.diagnostics.span import Span
from netdsl.files.reading import read_bytes

Lines = Callable[[str], "list[str] | None"]

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "lint": "\x1b[1;36m"}
_BLUE, _BOLD, _OFF = "\x1b[1;34m", "\x1b[1m", "\x1b[0m"
_TAB = 4
_LONGEST = 240  # columns of a line that are shown


def render_all(
    diagnostics: Iterable[Diagnostic], sources: dict[str, str] | None = None, colour: bool = False
) -> str:
    """All diagnostics with an empty line between them; `sources` maps file names to texts."""
    return "\n\n".join(render(d, sources, colour) for d in diagnostics)


def render(
    diagnostic: Diagnostic, sources: dict[str, str] | None = None, colour: bool = False
) -> str:
    """One diagnostic as the terminal shows it.

    The text of each file is taken from `sources`, or read from disk; without it the place is
    given by line and column alone. Pass `colour=stream.isatty()`.
    """
    paint = _painter(colour)
    severity = diagnostic.severity
    head = paint(f"{severity}[{diagnostic.code}]", _COLOURS[severity])
    out = [f"{head}{paint(': ' + visible(diagnostic.message), _BOLD)}"]
    marks = _marks(diagnostic)
    width = max((len(str(span.line)) for span, _, _ in marks), default=1)
    if diagnostic.primary.line > 0:
        out.append(f"{' ' * width}{paint('-->', _BLUE)} {visible(str(diagnostic.primary))}")
    out.extend(_excerpt(marks, width, sources or {}, paint, _COLOURS[severity]))
    if diagnostic.help:
        out.append(f"{' ' * width} {paint('=', _BLUE)} help: {visible(diagnostic.help)}")
    return "\n".join(out)


def visible(text: str) -> str:
    """`text` without what a terminal obeys instead of showing it, such as escape sequences; lines
    and columns stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _painter(colour: bool) -> Callable[[str, str], str]:
    return lambda text, code: f"{code}{text}{_OFF}" if colour else text


def _marks(diagnostic: Diagnostic) -> list[tuple[Span, str, str]]:
    """The places to show, by file (the primary one's first) and line."""
    marks = [(diagnostic.primary, "^", diagnostic.note)]
    marks += [(label.span, "-", label.text) for label in diagnostic.labels]
    home = diagnostic.primary.source
    shown = [mark for mark in marks if mark[0].line > 0]
    return sorted(shown, key=lambda m: (m[0].source != home, m[0].source, m[0].line, m[0].column))


def _excerpt(
    marks: list[tuple[Span, str, str]],
    width: int,
    sources: dict[str, str],
    paint: Callable[[str, str], str],
    primary: str,
) -> list[str]:
    out: list[str] = []
    cache: dict[str, list[str] | None] = {}
    bar = paint("|", _BLUE)
    previous: tuple[str, int] | None = None
    first = 0
    for span, character, text in marks:
        if span.source not in cache:
            cache[span.source] = _lines(span.source, sources)
        lines = cache[span.source]
        if lines is None or span.line > len(lines) + 1:
            continue
        if previous is not None and previous[0] != span.source:
            out.append(f"{' ' * width}{paint(':::', _BLUE)} {visible(str(span))}")
        if previous is None:
            out.append(f"{' ' * width} {bar}")
        line = lines[span.line - 1] if span.line <= len(lines) else ""
        if previous != (span.source, span.line):
            shown = line.expandtabs(_TAB)
            first = _first(line, span, len(shown))
            clipped = shown[first : first + _LONGEST]
            out.append(f"{paint(f'{span.line:>{width}}', _BLUE)} {bar} {visible(clipped)}")
        start, length = _columns(line, span)
        start = max(0, start - first)
        length = max(1, min(length, _LONGEST - start))
        colour = primary if character == "^" else _BLUE
        mark = f"{character * length} {visible(text)}".rstrip()
        out.append(f"{' ' * width} {bar} {' ' * start}{paint(mark, colour)}")
        previous = (span.source, span.line)
    return out


def _first(line: str, span: Span, length: int) -> int:
    """The first column shown of a line: 0, but for lines that no terminal shows whole."""
    start, _ = _columns(line, span)
    return 0 if length <= _LONGEST or start < _LONGEST // 2 else start - _LONGEST // 4


def _lines(source: str, sources: dict[str, str]) -> list[str] | None:
    text = sources.get(source)
    if text is None:
        try:
            text = read_bytes(source).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError, ValueError):
            return None
    return _split(text)


@lru_cache(maxsize=4)
def _split(text: str) -> list[str]:
    return [line.rstrip("\r") for line in text.split("\n")]


def _columns(line: str, span: Span) -> tuple[int, int]:
    """Where the marks start and how many there are, with tabs expanded."""
    last = span.end_column if span.end_line == span.line else len(line) + 1
    start = len(line[: span.column - 1].expandtabs(_TAB)) + max(0, span.column - 1 - len(line))
    end = len(line[: last - 1].expandtabs(_TAB))
    return start, max(1, end - start)
