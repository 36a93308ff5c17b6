"""Every state in which the parser can stop has a message, written for that place."""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import Any

import pytest
from lark import Token

from netdsl.syntax.expected import Expected, expected, read_messages
from netdsl.syntax.grammar import load_grammar
from netdsl.syntax.parser import parse
from netdsl.syntax.recovery import Driver
from netdsl.syntax.reports import Mistake

INSIDE = re.compile(r"__|\b(?:LPAR|RPAR|LSQB|RSQB|NAME|NUMBER|_SEP|[A-Z]{3,}_[A-Z]+)\b|Token|Tree")
TEXTS = {"NUMBER": "1", "STRING": '"a"', "UNIT": "ms", "D_DT": "d v/dt", "COMPARE": "<"}
TEXTS |= {"SIGN": "+", "PRODUCT": "*", "COUNTED": "steps", "LEVEL": "population", "NAME": "a"}


@lru_cache(maxsize=1)
def machine() -> Expected:
    return expected(load_grammar())


@lru_cache(maxsize=1)
def ways() -> dict[int, tuple[str, ...]]:
    """To each state the symbols of a shortest way, terminals and rules alike."""
    start = machine().table.start_states["start"]
    found: dict[int, tuple[str, ...]] = {start: ()}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        for symbol, (_, target) in machine().table.states[state].items():
            if isinstance(target, int) and target in machine().places and target not in found:
                found[target] = (*found[state], symbol)
                waiting.append(target)
    return found


@lru_cache(maxsize=1)
def shortest() -> dict[str, tuple[str, ...]]:
    """For each rule the terminals of a short text of it."""
    found: dict[str, tuple[str, ...]] = {}
    rules = [rule for group in machine().rules.values() for rule in group]
    for _ in range(40):
        for rule in rules:
            parts = [(s.name,) if s.is_term else found.get(s.name) for s in rule.expansion]
            if any(part is None or "ERROR" in part for part in parts):
                continue
            text = tuple(name for part in parts for name in part or ())
            if len(text) < len(found.get(rule.origin.name, (0,) * 99)):
                found[rule.origin.name] = text
    return found


def stack_of(state: int) -> list[int]:
    """The states of the parser on the way to a state."""
    stack = [machine().table.start_states["start"]]
    for symbol in ways()[state]:
        stack.append(machine().table.states[stack[-1]][symbol][1])
    return stack


def mistake_at(state: int) -> Mistake:
    """Something that fits nowhere, read in a state."""
    names = [t for s in ways()[state] for t in shortest().get(s, (s,))]
    words = [TEXTS.get(n, machine().spelling.get(n, "\n" if n == "_SEP" else n)) for n in names]
    tokens, column = [], 1
    for name, word in zip(names, words, strict=True):
        tokens.append(Token(name, word, 0, 1, column, 1, column + len(word), 0))
        column += len(word) + 1
    wrong = Token("WRONG", "§", 0, 1, column, 1, column + 1, 0)
    driver = Driver(load_grammar(), [*tokens, wrong], " ".join([*words, "§"]), "f", set())
    driver.stack = stack_of(state)
    return Mistake(driver, len(tokens), wrong)


def test_all_states_are_reached() -> None:
    table: Any = machine().table
    assert set(machine().places) == set(table.states) - set(table.end_states.values())
    assert set(ways()) == set(machine().places)
    assert len(ways()) > 800


GROUPS = 8  # states have other numbers, and may have other names, in another process


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_state_has_its_message(group: int) -> None:
    for state in sorted(ways())[group::GROUPS]:
        state_has_its_message(state)


def state_has_its_message(state: int) -> None:
    places = machine().places[state]
    unwritten = [p for p in places if not p.complete and machine().words(p) is None]
    assert not unwritten, "write what comes next here in grammars/messages/"
    assert machine().after(stack_of(state)), "nothing is said of what may come next"
    found = mistake_at(state)._unexpected()
    assert " comes " in found.message or "expected" in found.message
    said = found.message.split(": after", 1)[0] + found.message.rpartition("` comes ")[2]
    assert not INSIDE.search(said), said
    assert len(found.message) < 330


def test_no_message_is_left_over() -> None:
    """A message for a place that the grammar no longer has is deleted with the place."""
    used: set[int] = set()
    messages = machine().messages
    for places in machine().places.values():
        for place in places:
            if not place.complete:
                used.add(id(machine().words(place)))
    rules = {str(r.alias or r.origin.name) for group in machine().rules.values() for r in group}
    assert set(messages) <= rules | {"any", "lists"}
    written = [(r, place, t) for r, s in messages.items() for place, t in s.texts.items()]
    assert [(r, place) for r, place, text in written if text and id(text) not in used] == []


@pytest.mark.parametrize("rule", [r for r, s in read_messages().items() if s.example])
def test_examples_can_be_read(rule: str) -> None:
    example = read_messages()[rule].example
    inside = ("{}", "neuron a {{ {} }}", "data a {{ {} }}", "protocol a {{ {} }}")
    frames = (*inside, "rule a {{ {} }}", "synapse a {{ {} }}", "modulator a on b {{ {} }}")
    frames = (*frames, "rewire a over b {{ {} }}", "optimiser a {{ {} }}", "task a {{ {} }}")
    assert any(parse(frame.format(example) + "\n").ok for frame in frames)


def test_nothing_is_loaded_for_a_text_without_a_mistake() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from netdsl.frontend import check; check('specs/csdp.net');"
        "print([m for m in sys.modules if m.endswith(('.expected', '.reports', '.habits'))])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
