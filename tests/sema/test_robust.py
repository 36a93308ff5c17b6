"""Whatever is written, the analysis answers with findings and never with an exception."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from netdsl.sema import analyse
from netdsl.syntax.parser import parse

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "specs").glob("*.net")), *sorted((ROOT / "tests/valid").glob("*.net"))]
WORD = re.compile(r"[A-Za-z_]\w*|[0-9.]+|[^\sA-Za-z_0-9]")


def mutated(text: str, chance: random.Random) -> str:
    """The text with one word dropped or replaced by another of its words."""
    words = list(WORD.finditer(text))
    place = chance.choice(words)
    new = "" if chance.random() < 0.2 else chance.choice(words).group()
    return text[: place.start()] + new + text[place.end() :]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_specifications(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(12):
        file = chance.choice(FILES)
        parsed = parse(mutated(file.read_text(encoding="utf-8"), chance), str(file))
        if parsed.ok:
            analyse(parsed.spec, "", str(file))
