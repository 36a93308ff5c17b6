"""The exact text of a diagnostic."""

from __future__ import annotations

from netdsl.diagnostics import Diagnostic, Label, Span, render

_LINES = [""] * 80
_LINES[54] = "projection W1 : x -> h1 dense delay 1 step {"
_LINES[70] = "  dw = pre.s * h2.s"
SOURCES = {"specs/csdp.net": "\n".join(_LINES)}
FINDING = Diagnostic(
    "E0301",
    "rule `csdp` reads `h2.s`, which is neither pre, post, synapse nor a declared modulator",
    Span("specs/csdp.net", 71, 16, 71, 20),
    (
        Label(
            Span("specs/csdp.net", 55, 17, 55, 24),
            "this synapse can see `x` (pre) and `h1` (post)",
        ),
    ),
    "send it through a projection (`h2 -> h1`) or declare a modulator that reads it",
    note="value of another population",
)
EXPECTED = """\
error[E0301]: rule `csdp` reads `h2.s`, which is neither pre, post, synapse nor a declared modulator
  --> specs/csdp.net:71:16
   |
55 | projection W1 : x -> h1 dense delay 1 step {
   |                 ------- this synapse can see `x` (pre) and `h1` (post)
71 |   dw = pre.s * h2.s
   |                ^^^^ value of another population
   = help: send it through a projection (`h2 -> h1`) or declare a modulator that reads it"""


def test_the_shape_of_a_diagnostic() -> None:
    assert render(FINDING, SOURCES) == EXPECTED


def test_colour_changes_nothing_else() -> None:
    coloured = render(FINDING, SOURCES, colour=True)
    assert "\x1b[" in coloured
    for code in ("\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == EXPECTED


def test_tabs_and_places_beyond_the_text() -> None:
    text = "\tlet a = b"
    shown = render(Diagnostic("E0001", "m", Span("f", 1, 10, 1, 11)), {"f": text})
    assert shown.split("\n")[3:] == ["1 |     let a = b", "  |             ^"]
    shown = render(Diagnostic("E0001", "m", Span("f", 9, 10, 9, 11)), {"f": text})
    assert shown == "error[E0001]: m\n --> f:9:10"


def test_without_the_file_only_the_place_is_given() -> None:
    shown = render(Diagnostic("E0001", "m", Span("no/such/file", 3, 4, 3, 5)))
    assert shown == "error[E0001]: m\n --> no/such/file:3:4"


def test_json_form() -> None:
    assert FINDING.to_json() == {
        "code": "E0301",
        "severity": "error",
        "line": 71,
        "column": 16,
        "message": FINDING.message,
        "help": FINDING.help,
    }


def test_a_terminal_shows_what_it_would_obey() -> None:
    span = Span("a\x1b.net", 1, 3, 1, 4)
    text = render(Diagnostic("E0001", "no \x1b]0;x\x07", span), {"a\x1b.net": "x \x1b[2J\u202ey"})
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "a�.net:1:3" in text and "x �[2J�y" in text
