"""Text to tree, with as many independent findings as one run can give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lark import Token

from netdsl.diagnostics import Diagnostic, DiagnosticBag, DiagnosticError, Span
from netdsl.files.reading import read_bytes
from netdsl.syntax import ast
from netdsl.syntax.brackets import balance, span_of
from netdsl.syntax.build import build_spec
from netdsl.syntax.grammar import load_grammar
from netdsl.syntax.layout import separate
from netdsl.syntax.lexer import Comment, lex
from netdsl.syntax.recovery import Driver

MAX_BYTES = 1_000_000  # so that whatever is given is answered in seconds
MAX_TOKENS = 60_000


@dataclass(frozen=True, slots=True)
class ParseResult:
    """The tree (without what could not be read), the findings, and the comments."""

    spec: ast.Spec
    diagnostics: tuple[Diagnostic, ...]
    comments: tuple[Comment, ...]

    @property
    def ok(self) -> bool:
        """Whether the whole text was read without an error."""
        return not any(d.severity == "error" for d in self.diagnostics)


def parse(text: str, source: str = "<text>") -> ParseResult:
    """Parse a text; never raises for a mistake in it."""
    lexed = lex(text, source)
    if len(lexed.tokens) > MAX_TOKENS:
        return ParseResult(ast.Spec(), (_too_long(lexed.tokens[MAX_TOKENS], source),), ())
    balanced = balance(lexed.tokens, source)
    bag = DiagnosticBag(lexed.diagnostics)
    if not any(d.code == "E0005" for d in bag):  # an open text hides the brackets after it
        bag.extend(balanced.diagnostics)
    if any(d.code == "E0010" for d in bag):
        return ParseResult(ast.Spec(), bag.sorted(), tuple(lexed.comments))
    mute = {d.primary.line for d in bag}
    driver = Driver(load_grammar(), separate(balanced.tokens), text, source, mute)
    tree = driver.run()
    bag.extend(driver.diagnostics)
    if driver.unbraced:
        bag = DiagnosticBag(d for d in bag if not _ends_unbraced(d, driver.unbraced))
    built = DiagnosticBag()
    spec = build_spec(tree, source, built) if tree is not None else ast.Spec()
    bag.extend(d for d in built if d.primary.line not in mute)
    return ParseResult(spec, bag.sorted(), tuple(lexed.comments))


def parse_or_raise(text: str, source: str = "<text>") -> ast.Spec:
    """Parse a text; raises DiagnosticError when there is any error in it."""
    result = parse(text, source)
    if not result.ok:
        raise DiagnosticError(*result.diagnostics, sources={source: text})
    return result.spec


def read_source(path: str | Path) -> str:
    """Read a spec file as UTF-8 (a byte order mark is dropped).

    Raises DiagnosticError: E0007 when there is no readable file, E0008 when it is not UTF-8.
    """
    name = str(path)
    try:
        data = read_bytes(path)
    except (OSError, ValueError) as problem:
        raise DiagnosticError(_unreadable(name, problem)) from None
    if len(data) > MAX_BYTES:
        message = f"`{name}` is longer than {MAX_BYTES} bytes, more than any specification"
        raise DiagnosticError(Diagnostic("E0014", message, Span(name, 0, 0, 0, 0)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DiagnosticError(_not_utf8(name, data, problem.start)) from None


def _ends_unbraced(found: Diagnostic, blocks: list[tuple[int, int]]) -> bool:
    """Whether a stray `}` is but the end of a block that was not opened by `{`."""
    line = found.primary.line
    return found.code == "E0003" and any(first < line <= last for first, last in blocks)


def _too_long(token: Token, source: str) -> Diagnostic:
    message = f"a specification has at most {MAX_TOKENS} words and signs, here is one more"
    help = "put parts that belong together into files of their own, and `use` them"
    return Diagnostic("E0014", message, span_of(token, source), help=help)


def _unreadable(name: str, problem: Exception) -> Diagnostic:
    span = Span(name, 0, 0, 0, 0)
    if isinstance(problem, FileNotFoundError):
        message = f"there is no file `{name}`"
    elif isinstance(problem, IsADirectoryError):
        message = f"`{name}` is a folder, not a spec"
    else:
        reason = getattr(problem, "strerror", None) or str(problem)
        message = f"cannot read `{name}`: {reason}"
    return Diagnostic("E0007", message, span)


def _not_utf8(name: str, data: bytes, offset: int) -> Diagnostic:
    before = data[:offset]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    message = f"byte 0x{data[offset]:02x} at offset {offset} is not valid UTF-8"
    span = Span(name, line, column, line, column + 1)
    return Diagnostic("E0008", message, span, help="save the file with the encoding UTF-8")
