"""Habits of other languages, told from the line where reading stops: what they are called here.

Each habit is a pattern of a line with a group `at`, where the carets go; `x`, if there is such a
group, is what the message and the help quote.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from lark import Token


class Habit(NamedTuple):
    """A habit that was found: columns from 0, and what there is to say."""

    code: str
    message: str
    help: str | None
    start: int
    end: int


class _Pattern(NamedTuple):
    code: str
    pattern: str
    message: str
    help: str


_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_FIRST = r"(?:^|[{;])\s*(?!deliver\b)"  # at the beginning of a statement
_PATTERNS = (
    # Derivatives.
    _Pattern(
        "E0017",
        rf"(?P<at>d(?P<x>{_NAME})\s*/\s*d\s*t)\b",
        "a derivative is written with a space: `d {x}/dt`",
        "write `d {x}/dt = …`; no unit follows it, and `integrate {x} with euler` advances it",
    ),
    _Pattern(
        "E0017",
        rf"^\s*d\s+(?P<x>{_NAME})\s*/\s*dt\b[^:]*(?P<at>:.*?)\s*$",
        "no unit follows an equation",
        "leave it out: the unit follows from `state {x}` and is checked",
    ),
    # Comments.
    _Pattern(
        "E0019",
        r"(?P<at>//.*)$",
        "a comment does not begin with `//`, which divides",
        "write `# …`",
    ),
    _Pattern(
        "E0019", r"(?P<at>/\*.*)$", "a comment does not begin with `/*`", "write `# …` on each line"
    ),
    _Pattern(
        "E0019",
        r'^\s*(?P<at>"".*)$',
        "a comment does not stand in quotes",
        "write `# …` on each line",
    ),
    _Pattern("E0019", r"^\s*(?P<at>%.*)$", "a comment does not begin with `%`", "write `# …`"),
    _Pattern("E0019", r"(?P<at>--(?!>).*)$", "a comment does not begin with `--`", "write `# …`"),
    # What changes and what is declared.
    _Pattern(
        "E0018",
        r"^(?:.*[{;])?\s*dw\s*(?P<at>[-+*/]=|:=|<-|~)",
        "a rule says the change of a weight with `=`",
        "write `dw = …`: what is to be added to the weight",
    ),
    _Pattern(
        "E0018",
        rf"\bdeliver\s+(?P<x>{_NAME}(\[.*?\])?)\s*(?P<at>:=|=|-=|<-|~)",
        "what is delivered is added to an input",
        "write `deliver {x} += …`",
    ),
    _Pattern(
        "E0018",
        r"\b(?P<x>clamp)\s+[\w.]+\s*(?P<at>:=|\+=|<-|~)",
        "a clamp holds a value, with `=`",
        "write `clamp … = …`",
    ),
    _Pattern(
        "E0018",
        r"\bset\s+(?P<x>[\w.]+)\s*(?P<at>=|\+=|<-|~)",
        "what is set takes its value with `:=`",
        "write `set {x} := …`",
    ),
    _Pattern(
        "E0018",
        rf"\b(param|let|def|state|weight|control|metric|readout|loss|split|signal|field|dt)\b"
        rf"(\s+(?P<x>{_NAME}))?[^=]*?(?P<at>:=|<-|\+=)",
        "a declaration gives its value with `=`",
        "write `=` here; `:=` changes a state later on",
    ),
    _Pattern(
        "E0018",
        rf"{_FIRST}(?P<x>{_NAME}(\.{_NAME})*)\s*(?P<at>\+=|\+\+)",
        "a state is changed with `:=`, and only `deliver` adds with `+=`",
        "write `{x} := {x} + …`, or in a rule `dw = …` for what is added to a weight",
    ),
    _Pattern(
        "E0018",
        rf"{_FIRST}(?P<x>{_NAME}(\.{_NAME})*)\s*(?P<at>(?P<sign>[-*/^%])=)",
        "a state is changed with `:=`",
        "write `{x} := {x} {sign} …`",
    ),
    _Pattern(
        "E0018",
        rf"{_FIRST}(?P<x>{_NAME}(\.{_NAME})*)\s*(?P<at><-)",
        "a state is changed with `:=`",
        "write `{x} := …`",
    ),
    _Pattern(
        "E0018",
        rf"^\s*(?P<x>{_NAME})\s*(?P<at>==)",
        "`==` compares; a state is changed with `:=`",
        "write `{x} := …`",
    ),
    # Operators.
    _Pattern("E0022", r"(?P<at>\*\*)", "`**` is no operator here", "powers are spelled `x^2`"),
    _Pattern(
        "E0022",
        r"(?P<at>=>)",
        "`=>` is no operator here",
        "an arrow is spelled `->`, at least `>=`",
    ),
    _Pattern("E0022", r"(?P<at>=<)", "`=<` is no operator here", "at most is spelled `<=`"),
    _Pattern("E0022", r"(?P<at><>)", "`<>` is no operator here", "unequal is spelled `!=`"),
    _Pattern("E0022", r"(?P<at>===)", "`===` is no operator here", "equality is spelled `==`"),
    _Pattern(
        "E0022",
        r"(?P<at>\b(is not|is)\b)",
        "`{at}` does not compare here",
        "equality is spelled `==`, unequal `!=`",
    ),
    _Pattern(
        "E0022",
        r"(?P<at>\.(?P<x>\*|@|\^|/))",
        "there are no operators on whole arrays: values are those of one neuron or synapse",
        "write `{x}` without the point",
    ),
    # Things of Python and of simulators that are declared here.
    _Pattern(
        "E0021",
        rf"^\s*(?P<x>{_NAME})\s*=\s*(?P<at>(?:\w+\.)*(NeuronGroup|PoissonGroup|SpikeGeneratorGroup|"
        r"Create|Population))\s*\(",
        "cells are declared, not created by a call",
        "write `neuron cell {{ … }}` and `population {x} : cell[100]`",
    ),
    _Pattern(
        "E0021",
        rf"^\s*(?P<x>{_NAME})\s*=\s*(?P<at>(?:\w+\.)*(Synapses|Connect|Projection|Linear|Conv2d|"
        r"RNN|Dense))\s*\(",
        "connections are declared, not created by a call",
        "write `projection {x} : source -> target dense delay 1 step {{ … }}`",
    ),
    _Pattern(
        "E0021",
        r"\bimport\s+(?P<at>(?P<x>numpy|torch|brian2|scipy|math|matplotlib|jax|nest|snntorch|"
        r"random)\b.*?)\s*$",
        "packages of Python cannot be imported",
        "leave it out: functions such as `exp` and `sqrt` are part of the language",
    ),
)
_COMPILED = tuple((row, re.compile(row.pattern)) for row in _PATTERNS)

_WHEN = "write `when condition {{ … }}`; a value by condition is `a if condition else b`"
_LOOP = (
    "leave the loop out: statements hold for every neuron or synapse, and a protocol says"
    " `each batch of data {{ … }}`"
)
_DECLARE = "a state is declared `state {x} = 0`, a constant `param {x} = 1`"
_FIRST_WORDS = {
    "if": _WHEN,
    "elif": "write `else when condition {{ … }}` after the `}}` of a `when`",
    "else": "`else {{ … }}` follows the `}}` of a `when`; a value is `a if condition else b`",
    "elseif": "write `else when condition {{ … }}` after the `}}` of a `when`",
    "switch": _WHEN,
    "unless": _WHEN,
    "for": _LOOP,
    "foreach": _LOOP,
    "while": "a protocol says `repeat {{ … }} until condition`, and `when` takes conditions",
    "def": "a function of your own is `function {x}(a) = a + 1`",
    "return": "leave it out: a function is one expression, `function f(a) = a + 1`",
    "lambda": "a function of your own is `function f(a) = a + 1`",
    "class": "a kind of cell is `neuron {x} {{ … }}`, a learning rule `rule {x} {{ … }}`",
    "from": "names are imported as `import std.neuron {{ lif, alif }}`",
    "print": "what is to be seen is recorded, as `record out.s every 1 step`",
    "pass": "leave it out: a block may be empty",
    "var": _DECLARE,
    "const": _DECLARE,
    "float": _DECLARE,
    "double": _DECLARE,
    "real": _DECLARE,
    "int": _DECLARE,
    "bool": _DECLARE,
    "parameter": "a parameter is declared `param {x} = 1`",
    "parameters": "parameters are declared one by one, as `param tau = 20 ms`",
    "variable": _DECLARE,
    "equations": "equations stand in a cell, as `d v/dt = -v / tau`",
    "threshold": "a cell spikes with `spike s when v > 1 {{ v := 0 }}`",
    "run": "a protocol says `phase run 100 steps`",
    "connect": "populations are connected by `projection W : a -> b dense delay 1 step {{ … }}`",
    "layer": "a layer is a `population`, as `population h : cell[100]`",
    "network": "leave it out: the whole file is the network",
    "model": "leave it out: the whole file is the model",
    "assert": "what must hold of a result is said by `claim` or by `expect a == b within 1e-9`",
    "with": "leave it out: blocks belong to what is declared, as `neuron cell {{ … }}`",
    "try": "leave it out: a specification has no exceptions",
    "global": "a number shared by all is `global state {x} = 0`",
}
_HERE = {"def", "from", "run", "global"}  # words of the language, foreign where they stand


def find_habit(line: str, column: int, first: Token, keywords: Collection[str]) -> Habit | None:
    """The habit that explains an error at a column (from 0) of a line, or None.

    `first` is the first token of the statement, which may begin with one of `keywords`.
    """
    found = None if str(first) in keywords else _first_word(line, column, first)
    return found or _pattern(line, column)


def _pattern(line: str, column: int) -> Habit | None:
    for row, pattern in _COMPILED:
        for match in pattern.finditer(line):
            if match.start() <= column <= match.end():
                words = match.groupdict()
                start, end = match.span("at")
                message, help = row.message.format(**words), row.help.format(**words)
                return Habit(row.code, message, help, start, end)
    return None


def _first_word(line: str, column: int, first: Token) -> Habit | None:
    word = str(first)
    help = _FIRST_WORDS.get(word)
    start = (first.column or 1) - 1
    if help is None or not line.startswith(word, start) or column - start > 40:
        return None
    after = re.match(rf"\s+({_NAME})", line[start + len(word) :])
    close = column <= start + len(word) + (after.end() if after else 0)
    if not close and word not in _HERE:
        return None
    message = f"nothing begins with `{word}` here"
    text = help.format(x=after[1] if after else "x")
    return Habit("E0021", message, text, start, start + len(word))


_UNITS = {
    "second": "s",
    "sec": "s",
    "volt": "V",
    "amp": "A",
    "ampere": "A",
    "siemens": "S",
    "siemen": "S",
    "hertz": "Hz",
    "ohm": "Ohm",
    "farad": "F",
    "metre": "m",
    "meter": "m",
    "molar": "M",
    "joule": "J",
    "watt": "W",
    "minute": "min",
    "hour": "h",
    "hr": "h",
    "timestep": "steps",
    "tick": "steps",
    "coulomb": "C",
}
_PREFIXES = {
    "milli": "m",
    "micro": "u",
    "nano": "n",
    "pico": "p",
    "kilo": "k",
    "mega": "M",
    **{letter: letter for letter in "munpkM"},
}
_SYMBOLS = ("s", "V", "A", "S", "Hz", "Ohm", "F", "C", "m", "M", "mol", "J", "W", "min", "h")


def unit_for(word: str) -> str | None:
    """The unit that a word such as `msec`, `Mohm`, `amp` or `mv` stands for, or None."""
    for prefix in ("", *_PREFIXES):
        rest = word[len(prefix) :]
        if not word.lower().startswith(prefix.lower()) or not rest:
            continue
        if prefix and len(prefix) == 1 and not word.startswith(prefix):
            continue
        base = _UNITS.get(rest.lower()) or _UNITS.get(rest.lower().removesuffix("s"))
        if base is not None:
            return _PREFIXES.get(prefix, "") + base
    lowered = {p + s: p + s for s in _SYMBOLS for p in ("", *"munpkM") if p == "" or len(s) < 3}
    near = [unit for unit in lowered if unit.lower() == word.lower() and unit != word]
    return near[0] if near else None
