"""Nearly valid specs: a random valid one with one mistake of meaning in it.

`mistaken(seed)` is wrong for certain, `swapped(seed)` only probably: one name stands where another
stood.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.differential.chance import Chance
from tests.differential.generator import Case, make
from tests.differential.known import KNOWN

Change = Callable[[str], str]
_WORD = re.compile(r"[A-Za-z_]\w*")
_FIRST = 5_000_000  # mistakes are drawn from another stream than specs


@dataclass(frozen=True)
class Mistake:
    """A spec, what was done to it, and the line (1-based) that was changed, 0 if one was added."""

    case: Case
    kind: str
    text: str
    line: int


def _sub(pattern: str, new: str) -> Change:
    return lambda line: re.sub(pattern, new, line, count=1)


# kind -> (lines it may be made in, how): what the line says afterwards is always wrong.
MISTAKES: dict[str, tuple[str, Change]] = {
    "unknown name": (r"(:=|let \w+ =|/dt =) ", _sub(r"= (.*)$", r"= \1 + nowhere")),
    "unknown in a rule": (r"\bdw = ", _sub(r"dw = rate", "dw = nowhere")),
    "unknown of pre": (r"deliver \w+ \+=", _sub(r"pre\.\w+", "pre.nowhere")),
    "unknown of post": (r"dw = .*post\.\w", _sub(r"post\.\w+", "post.nowhere")),
    "unknown population": (r"^projection .* -> P", _sub(r"-> P\d", "-> Q9")),
    "unknown sender": (r"^projection \w+ : P", _sub(r": P\d", ": Q9")),
    "unknown neuron": (r"^population ", _sub(r": \w+\[", ": nothing[")),
    "unknown connectivity": (r"^projection .* dense", _sub("dense", "crowded")),
    "unknown method": (r"integrate .* with", _sub(r"with \w+", "with magic")),
    "unknown optimiser": (r"^  optimise ", _sub(r"optimise \w+", "optimise magic")),
    "unknown rule": (r"^  learn ", _sub(r"learn \w+", "learn magic")),
    "unknown argument": (r"^  learn ", _sub(r"\(rate", "(speed")),
    "unknown function": (r":= .*tanh", _sub("tanh", "tahn")),
    "unknown phase": (r"^readout .*(@| over )\w+", _sub(r"(@| over )\w+", r"\1nowhere")),
    "unknown readout": (r"^metric right", _sub("guess", "gess")),
    "unknown target": (r"deliver \w+ \+=", _sub(r"deliver \w+", "deliver nowhere")),
    "unknown data": (r"each batch of d", _sub(r"of d\w*", "of e")),
    "unknown pairs": (r"^pairs ", _sub("wrong_label", "wrong_lable")),
    "unknown protocol": (r"^    evaluate", _sub("test", "tset")),
    "unknown clamp": (r"^ +clamp ", _sub(r"(P\d)\.\w+", r"\1.nowhere")),
    "unknown update": (r"^ +update ", _sub(r"update \w+", "update W99")),
    "unknown control": (r"\{ nudge = ", _sub("nudge", "nugde")),
    "unknown record": (r"^record ", _sub(r"(P\d)\.\w+", r"\1.nowhere")),
    "unknown start": (r"weight w ~ \w", _sub(r"~ \w+", "~ magic")),
    "unknown surrogate": (r"surrogate ", _sub(r"surrogate \w+", "surrogate magic")),
    "unit of a time": (r"param tau = ", _sub("ms", "mV")),
    "unit in a sum": (r"^  (?!  ).*:= (?!\d)", _sub(r":= (.*?)( \}|$)", r":= \1 + 3 ms\2")),
    "unit of an equation": (r"/dt = .* / tau$", _sub(r"/ tau$", "/ tau^2")),
    "unit of a delay": (r"^projection .* delay \d \w+", _sub(r"delay (\d) \w+", r"delay \1 mV")),
    "unit of a phase": (r"^ +phase \w+ \d", _sub(r"(phase \w+ \d+) \w+", r"\1 mV")),
    "unit of dt": (r"^dt = ", _sub("ms", "mV")),
    "no size": (r"^population ", _sub(r"(\d+)\]", "0]")),
    "negative size": (r"^population ", _sub(r"(\d+)\]", "-3]")),
    "half a size": (r"^population ", _sub(r"(\d+)\]", "2.5]")),
    "too many synapses": (r"fixed_(in|out)\(", _sub(r"\(\d+\)", "(999)")),
    "large kernel": (r"conv\(kernel", _sub(r"\(kernel = \d.*?\)", "(kernel = 9)")),
    "not a chance": (r"sparse\(p", _sub(r"p = [\d.]+", "p = 1.7")),
    "turned bound": (r"^  bound w", _sub(r"\[.*\]", "[1, -1]")),
    "out of range": (r"^param theta", _sub(r"= 0\.3", "= 3")),
    "no delay": (r"^projection ", _sub(r" delay \d( \w+)?", "")),
    "negative delay": (r"^projection ", _sub(r"delay \d", "delay -1")),
    "assigned input": (r"^  def score", _sub(r"^.*$", "  j := 0.3")),
    "assigned parameter": (r"^  def score", _sub(r"^", "  gain := 0.5\n")),
    "declared twice": (r"^population ", _sub(r"^(.*)$", r"\1\n\1")),
    "defined twice": (r"^  def score", _sub(r"^(.*)$", r"\1\n\1")),
    "other population in a rule": (r"\bdw = ", _sub(r"dw = rate", "dw = P0.__first")),
    "other population in a cell": (r"^  def score", _sub(r"gain \*", "P0.__first *")),
    "input fed and clamped": (r"^ +reset$", _sub(r"^( +)reset$", r"\1reset\n\1clamp P1.j = 0.5")),
    "reset of nothing": (r"^ +reset$", _sub("reset", "reset nowhere")),
    "too many arguments": (r":= .*tanh\(", _sub(r"tanh\(", "tanh(1, ")),
    "too few arguments": (r"^  def score", _sub(r"gain", "clip(gain)")),
    "transposed nothing": (r"transpose of", _sub(r"of \w+", "of W99")),
    "update while looking": (r"^    phase ", _sub(r"^( +)", r"\1update W1\n\1")),
    "negative steps": (r"^ +phase ", _sub(r"(phase \w+) \d", r"\1 -2")),
    "negative batch": (r"^data d", _sub(r"batch = \d", "batch = -2")),
    "draw of nothing": (r" xi ~ ", _sub(r"~ \w+", "~ magic")),
    "turned draw": (r"= 0 ~|state \w+ ~ uniform", _sub(r"uniform\(.*?\)", "uniform(2, 1)")),
    "text for a number": (r"^  def score", _sub("gain", '"gain"')),
}  # fmt: skip

if KNOWN.own_counters:
    MISTAKES["counter of the user's"] = (r"^param theta", _sub("theta", "epoch"))
    MISTAKES["cell like the data"] = (r"^population ", _sub(r"P\d", "sample"))


def mistaken(seed: int) -> Mistake:
    """The mistake of a seed, in the first of the following specs that has room for it."""
    chance = Chance(_FIRST + seed)
    kind = sorted(MISTAKES)[seed % len(MISTAKES)]
    where, change = MISTAKES[kind]
    while True:  # each kind has room in one spec of twenty at least
        case = make(chance.randrange(10**6))
        lines = case.text.splitlines()
        places = [k for k, line in enumerate(lines) if re.search(where, line)]
        if places:
            place = chance.pick(places)
            first = "s" if "encoder" in case.text.split("population P0")[1][:14] else "r"
            new = change(lines[place]).replace("__first", first)
            assert new != lines[place], (kind, lines[place])
            text = "\n".join([*lines[:place], new, *lines[place + 1 :], ""])
            return Mistake(case, kind, text, place + 1)


def swapped(seed: int) -> Mistake:
    """A spec in which one name has become another one of the same text."""
    chance = Chance(_FIRST + seed)
    case = make(chance.randrange(10**6))
    words = [w for w in _WORD.finditer(case.text) if case.text[: w.start()].count("\n") > 7]
    place, other = chance.pick(words), chance.pick(words).group()
    before = case.text[: place.start()]
    text = before + other + case.text[place.end() :]
    return Mistake(case, f"{place.group()} -> {other}", text, before.count("\n") + 1)
