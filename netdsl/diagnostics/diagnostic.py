"""Diagnostics: what is wrong, where, why and how to fix it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from netdsl.diagnostics.span import Span

Severity = Literal["error", "warning", "lint"]


@dataclass(frozen=True, slots=True)
class Label:
    """A secondary place that explains the primary one."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: a stable code, a sentence, the place, labels for causes, at most one help."""

    code: str
    message: str
    primary: Span
    labels: tuple[Label, ...] = ()
    help: str | None = None
    severity: Severity = "error"
    note: str = ""  # text beside the primary carets

    def to_json(self) -> dict[str, Any]:
        """The stable form that `--format json` prints."""
        return {
            "code": self.code,
            "severity": self.severity,
            "line": self.primary.line,
            "column": self.primary.column,
            "message": self.message,
            "help": self.help,
        }


class DiagnosticError(Exception):
    """Raised where work cannot go on; carries everything there is to report.

    As a text it is what `netdsl check` prints: lines with carets under the places, and help.
    `sources` maps names of files to their texts, for what is not on disk.
    """

    def __init__(self, *diagnostics: Diagnostic, sources: Mapping[str, str] | None = None) -> None:
        super().__init__(*diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics
        self.sources = dict(sources or {})

    def __str__(self) -> str:
        from netdsl.diagnostics.render import render_all

        return render_all(self.diagnostics, self.sources)


_COMPONENT = re.compile(r"(?<=\w)\[\d+\]")


class DiagnosticBag:
    """Collects the findings of a run, each once, and remembers names not to report again."""

    def __init__(self, initial: Iterable[Diagnostic] = ()) -> None:
        self._seen: dict[tuple[str, Span, str], Diagnostic] = {}
        self._poisoned: set[tuple[str, ...]] = set()
        self.extend(initial)

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a finding unless the same code, place and message is there already.

        Components of a vector, `g[0]` and `g[1]`, have one place: the first stands for all.
        """
        message = _COMPONENT.sub("[]", diagnostic.message)
        key = (diagnostic.code, diagnostic.primary, message)
        self._seen.setdefault(key, diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep several findings."""
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def error(
        self,
        code: str,
        message: str,
        primary: Span,
        *labels: Label,
        help: str | None = None,
        note: str = "",
    ) -> None:
        """Add an error."""
        self.add(Diagnostic(code, message, primary, labels, help, "error", note))

    def warning(self, code: str, message: str, primary: Span, help: str | None = None) -> None:
        """Add a warning."""
        self.add(Diagnostic(code, message, primary, (), help, "warning"))

    def lint(self, code: str, message: str, primary: Span, help: str | None = None) -> None:
        """Add a lint."""
        self.add(Diagnostic(code, message, primary, (), help, "lint"))

    def poison(self, *name: str) -> bool:
        """Mark a name (with its context) as reported; False when it already was.

        `if bag.poison("h1", "vv"): bag.error(…)` reports each unknown name once.
        """
        if name in self._poisoned:
            return False
        self._poisoned.add(name)
        return True

    def is_poisoned(self, *name: str) -> bool:
        """Whether the name was reported, so that what follows from it should stay silent."""
        return name in self._poisoned

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(d.severity == "error" for d in self._seen.values())

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All findings in the order of their places."""
        return tuple(sorted(self._seen.values(), key=lambda d: (d.primary, d.code, d.message)))

    def raise_if_errors(self) -> None:
        """Raise DiagnosticError with all findings if one is an error."""
        if self.has_errors:
            raise DiagnosticError(*self.sorted())

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.sorted())

    def __len__(self) -> int:
        return len(self._seen)


_MOST, _LONGEST = 500, 60  # names that are compared: a hint is not worth waiting for


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` was most likely meant to be, or None."""
    if len(name) > _LONGEST:
        return None
    pool = [c for c in islice(candidates, _MOST) if c != name]
    lowered = {c.lower(): c for c in reversed(pool)}
    if name.lower() in lowered:
        return lowered[name.lower()]
    close = difflib.get_close_matches(name, pool, n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A help line with the likeliest candidate, or None."""
    found = suggest(name, candidates)
    return f"did you mean `{found}`?" if found else None
