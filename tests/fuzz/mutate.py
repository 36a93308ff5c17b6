"""Mutants of specs, the same for the same seed: words, lines, numbers, names, joined files."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netdsl.diagnostics.catalogue import catalogue

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("specs", "specs/examples", "tests/valid", "tests/invalid", "netdsl/library")
WORD = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*|\d+\.?\d*(?:e-?\d+)?|:=|->|\+=|[^\sA-Za-z_0-9]')
NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*(?:e-?\d+)?(?:[ \t]*(?:ms|s|mV|steps?|Hz))?")
NAME = re.compile(r"[A-Za-z_]\w*")
_NUMBERS = (
    "0 1 -1 0.5 1e-320 1e300 1e999 10^18 10^400 9^9^9 2147483648 4294967296 65536 0/0 1/0 0^-1 "
    "1e-9 true (1-1) 3.7 -0.0 t epoch 0x10 1e 1..2"
)
HARD_NUMBERS = [*_NUMBERS.split(), "3 ms", "1 h", "1e9 steps", "0 steps", "2 1/ms", "-5 mV"]
_NAMES = (
    "t epoch dt sample batch phase std pre post self index pi w g s v x one lambda None import def "
    "class int double float auto register restrict struct void main I NULL INFINITY NAN np net "
    "real row rows k n i __init__ _ a_b prev source value sum max exp true over if "
    "blockIdx threadIdx extern inline if else while"
)
HARD_NAMES = _NAMES.split()
HARD_EXPRESSIONS = (
    "sum(w over pre)", "max(s)", "argmax(s)", "mean(sample.image over batch)", "sample.label",
    "sample.image", "onehot(sample.label)", "softmax(s)", "cross_entropy(s, s)", "grad(s, v)",
    "random_sign()", "topk(s, 1, 2)", "logdet(w)", "transpose(w)", "angle(w, w)", "s@prev",
    "s@run", "pre.s", "post.s", "b.s", "sum(s over batch)", "count(s over run)", "max(s over run)",
    "size(a)", "(1 if s > 0 else 0)", "not s", "s == s", "s // 0.1", "s % 3", "-s^2", "s^-1",
    "int(s)", "index", "pre.index", "self", "batch.rows", "phase.step", "any(s > 0)", "w@prev",
    "pre.sent", "post.received", "pre.type", "[1, 2]", '"text"', "detach(s)", "exp(800)",
    "clip(s, 1, 0)", "log(0 * s)", "min(s, 1 / 0)", "uniform(0, 1)", "dense", "relu",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A text, and how it came to be."""

    text: str
    origin: str


@cache
def corpus() -> tuple[tuple[str, str], ...]:
    """(name, text) of all that is mutated: specs, test inputs, and examples of the catalogue."""
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).glob("*.net"))]
    texts = [(str(f.relative_to(ROOT)), f.read_text(encoding="utf-8")) for f in files]
    for entry in catalogue().values():
        pages = (("bad", entry.bad), ("good", entry.good))
        texts += [(f"{entry.code} {kind}", text) for kind, text in pages if text]
    return tuple((name, text) for name, text in texts if len(text) < 20_000)


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """`count` mutants."""
    for number in range(count):
        yield mutant(seed, number)


def mutant(seed: int, number: int) -> Mutant:
    """One mutant, mostly of a text that has no fault yet."""
    chance = random.Random(f"{seed}:{number}")
    sound = [entry for entry in corpus() if "invalid" not in entry[0] and " bad" not in entry[0]]
    name, text = chance.choice(sound if chance.random() < 0.85 else corpus())
    how = []
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        change = chance.choice(_CHANGES)
        text = change(text, chance)
        how.append(change.__name__.strip("_"))
    return Mutant(text, f"seed {seed}, number {number}: {name}: {', '.join(how)}")


Change = Callable[[str, random.Random], str]


def _word(text: str, chance: random.Random) -> str:
    """A word or sign is dropped, doubled, or replaced by another of some file."""
    words = list(WORD.finditer(text))
    if not words:
        return text
    place = chance.choice(words)
    other = chance.choice(WORD.findall(chance.choice(corpus())[1]) or ["x"])
    new = chance.choice(("", place.group() * 2, f"{place.group()} {place.group()}", other, other))
    return text[: place.start()] + new + text[place.end() :]


def _swap(text: str, chance: random.Random) -> str:
    """Two words of one file change places."""
    words = list(WORD.finditer(text))
    if len(words) < 2:
        return text
    one, two = sorted(chance.sample(words, 2), key=lambda match: match.start())
    middle = text[one.end() : two.start()]
    return text[: one.start()] + two.group() + middle + one.group() + text[two.end() :]


def _lines(text: str, chance: random.Random) -> str:
    """A line is dropped, doubled, moved, or taken from another file."""
    lines = text.split("\n")
    place = chance.randrange(len(lines))
    kind = chance.randrange(4)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(chance.randrange(len(lines)), lines[place])
    elif kind == 2:
        lines.insert(chance.randrange(len(lines)), lines.pop(place))
    else:
        lines.insert(place, chance.choice(chance.choice(corpus())[1].split("\n")))
    return "\n".join(lines)


def _splice(text: str, chance: random.Random) -> str:
    """The head of one file and the tail of another."""
    one, two = text.split("\n"), chance.choice(corpus())[1].split("\n")
    return "\n".join([*one[: chance.randrange(len(one) + 1)], *two[chance.randrange(len(two)) :]])


def _number(text: str, chance: random.Random) -> str:
    """A number becomes an awkward one."""
    found = list(NUMBER.finditer(text))
    if not found:
        return text
    place = chance.choice(found)
    return text[: place.start()] + chance.choice(HARD_NUMBERS) + text[place.end() :]


def _rename(text: str, chance: random.Random) -> str:
    """A name gets another everywhere, often one that means something elsewhere."""
    names = sorted(set(NAME.findall(text)))
    if not names:
        return text
    old = chance.choice(names)
    new = chance.choice(names) if chance.random() < 0.4 else chance.choice(HARD_NAMES)
    return re.sub(rf"\b{old}\b", new, text)


def _expression(text: str, chance: random.Random) -> str:
    """A name or number becomes an expression."""
    found = [*NUMBER.finditer(text), *NAME.finditer(text)]
    if not found:
        return text
    place = chance.choice(found)
    return text[: place.start()] + chance.choice(HARD_EXPRESSIONS) + text[place.end() :]


def _characters(text: str, chance: random.Random) -> str:
    """A few characters are cut out or put in."""
    place = chance.randrange(len(text) + 1)
    if chance.random() < 0.5:
        return text[:place] + text[place + chance.randrange(1, 40) :]
    return (
        text[:place]
        + chance.choice('{}()[]"#\\;,.:@~^*/\t\0\r\u2212\u00e9\U0001f600')
        + text[place:]
    )


_CHANGES: tuple[Change, ...] = (
    _word, _word, _swap, _lines, _lines, _splice, _number, _number, _rename, _rename,
    _expression, _expression, _characters,
)  # fmt: skip
