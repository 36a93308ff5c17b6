"""Values given from outside (`--set path=value`): typed and unit-aware."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from netdsl.diagnostics import DiagnosticBag, Span, did_you_mean
from netdsl.ir.functions import bounded
from netdsl.sema.scopes.units import NONE, Dim, parse_unit
from netdsl.sema.scopes.values import Value, number

Raw = str | int | float | bool
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z1][\w/*^-]*)?\s*$")


@dataclass
class Overrides:
    """Given values by path; remembers which were asked for, so that the others can be reported."""

    given: Mapping[str, Raw]
    offered: dict[str, None] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def take(self, path: str) -> Raw | None:
        """The value given for a path, if any."""
        self.offered[path] = None
        if path in self.given:
            self.taken.add(path)
            return self.given[path]
        return None

    def report_unknown(self, bag: DiagnosticBag, span: Span) -> None:
        """Report every path that names nothing."""
        for path in self.given:
            if path not in self.taken:
                bag.error(
                    "E0111",
                    f"nothing to set has the path `{path}`",
                    span,
                    help=self._meant(path),
                )

    def _meant(self, path: str) -> str | None:
        """A likely path, else some of those that there are."""
        inner = [known for known in self.offered if known.endswith(f".{path}")]
        if inner:
            return f"did you mean `{inner[0]}`?"
        some = ", ".join(list(self.offered)[:20])
        return did_you_mean(path, self.offered) or (f"there are: {some}" if some else None)


def read_value(raw: Raw, span: Span, choices: tuple[str, ...] = ()) -> Value | None:
    """The value that a text such as `20 ms`, `true` or `supervised` stands for, or None."""
    if not isinstance(raw, str):
        return _number(raw, span)
    text = raw.strip()
    if choices:
        return (
            Value(number(0).expr, text=text, choices=choices, span=span)
            if (text in choices)
            else None
        )
    if text in ("true", "false"):
        return number(text == "true", span)
    match = _NUMBER.match(text)
    if match is None:
        return None
    digits = match[1]
    whole = re.fullmatch(r"[-+]?\d{1,18}", digits) is not None
    plain: float | int = int(digits) if whole else float(digits)
    if match[2] is None:
        return _number(plain, span)
    unit = parse_unit(match[2])
    if unit is None:
        return None
    if unit.dimension == NONE:
        return _number(plain, span)
    return _number(unit.to_si(plain), span, unit.dimension)


def _number(value: float | int, span: Span, dim: Dim = NONE) -> Value | None:
    """A literal; None where it is too large for a number."""
    try:
        return number(bounded(value), span, dim)
    except OverflowError:
        return None
