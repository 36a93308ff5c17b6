"""What may come next at each place of a text, in the words of `grammars/messages/`.

A state of the parser stands for places in rules of the grammar. They are worked out here from the
rules and the parser's tables, when there is an error to report and not before.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from lark import Lark

from netdsl.paths import data_path

END = "the end of the file"
_LISTS, _ANY, _SKIP = "lists", "any", ".."
_HEADER = re.compile(r"\[(\w+)\] *(.*)")
_EXPRESSIONS = frozenset(
    """conditional binary unary atom attribute at_phase index call list number name args arg over
    over_index over_per over_by quantity""".split()  # noqa: SIM905 (a list of words)
)
_WIDTH = 34  # columns of a place


class Place(NamedTuple):
    """A rule of the grammar, read up to its first `dot` symbols."""

    rule: Any
    dot: int

    @property
    def complete(self) -> bool:
        """Whether the whole rule is read."""
        return self.dot == len(self.rule.expansion)


@dataclass
class Section:
    """What the messages say of one rule: by place, and an example of the whole."""

    example: str = ""
    texts: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def find(self, position: tuple[str, ...]) -> tuple[str, ...] | None:
        """The text of a place: exactly, or by the longest end of it."""
        if position in self.texts:
            return self.texts[position]
        for skipped in range(len(position)):
            found = self.texts.get((_SKIP, *position[skipped:]))
            if found is not None:
                return found
        return None


def read_messages() -> dict[str, Section]:
    """All sections of the files of messages, by rule."""
    sections: dict[str, Section] = {}
    for file in sorted((data_path("grammars") / "messages").glob("*.txt")):
        section = Section()
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if header := _HEADER.match(line):
                section = sections.setdefault(header[1], Section(header[2]))
            else:
                place, text = line[:_WIDTH].split(), line[_WIDTH:]
                section.texts[tuple(place)] = () if text == "-" else tuple(text.split(" / "))
    return sections


class Expected:
    """The places of each state, and what the messages say of them."""

    def __init__(self, grammar: Lark) -> None:
        parser: Any = grammar.parser
        self.table = parser.parser.parser.parse_table
        self.messages = read_messages()
        self.spelling = {
            terminal.name: terminal.pattern.value
            for terminal in grammar.terminals
            if terminal.pattern.type == "str"
        }
        self.rules: dict[str, list[Any]] = defaultdict(list)
        for rule in grammar.rules:
            self.rules[rule.origin.name].append(rule)
        self.places = self._places()

    # ------------------------------------------------------------ states and places

    def _places(self) -> dict[int, frozenset[Place]]:
        """The places that each state of the parser stands for (its LR kernel)."""
        start = self.table.start_states["start"]
        found = {start: frozenset(Place(rule, 0) for rule in self.rules["start"])}
        waiting = [start]
        while waiting:
            state = waiting.pop()
            after = defaultdict(set)
            for rule, dot in self._closure(found[state]):
                if dot < len(rule.expansion):
                    after[rule.expansion[dot].name].add(Place(rule, dot + 1))
            for symbol, (_, target) in self.table.states[state].items():
                if symbol in after and isinstance(target, int) and target not in found:
                    found[target] = frozenset(after[symbol])
                    waiting.append(target)
        return found

    def _closure(self, places: frozenset[Place]) -> list[Place]:
        out, seen = list(places), set()
        for rule, dot in out:  # grows as it is walked
            name = rule.expansion[dot].name if dot < len(rule.expansion) else None
            if name in self.rules and name not in seen:
                seen.add(name)
                out.extend(Place(other, 0) for other in self.rules[name])
        return out

    # ------------------------------------------------------------ words

    def words(self, place: Place) -> tuple[str, ...] | None:
        """What may come next at a place; None where nothing is written."""
        symbols = place.rule.expansion
        if place.rule.origin.name.startswith("__"):
            section = _LISTS
            position: tuple[str, ...] = (self._shown(symbols[place.dot]),)
        else:
            section = _name(place.rule)
            position = tuple(self._shown(symbol) for symbol in symbols[: place.dot])
        for name in (section, _ANY):
            found = self.messages.get(name, Section()).find(position)
            if found is not None:
                return found
        return None

    def _shown(self, symbol: Any) -> str:
        if symbol.name == "_SEP":
            return ";"
        return (
            "*"
            if symbol.name.startswith("__") and not symbol.is_term
            else str(self.spelling.get(symbol.name, symbol.name))
        )

    def after(self, stack: list[int]) -> list[str]:
        """What may come next in a state of the parser, most specific first."""
        out: dict[str, None] = {}
        waiting, seen = [tuple(stack)], set()
        for states in waiting:  # grows as it is walked
            if states in seen:
                continue
            seen.add(states)
            for place in sorted(self.places.get(states[-1], ()), key=_order):
                if not place.complete:
                    out.update(dict.fromkeys(self.words(place) or ()))
                    continue
                below = states[: len(states) - place.dot]
                action = self.table.states[below[-1]].get(place.rule.origin.name)
                if action is not None:
                    waiting.append((*below, action[1]))
                if place.rule.origin.name == "start":
                    out[END] = None
        return list(out)

    def example(self, stack: list[int]) -> str | None:
        """How the innermost statement that is being read is written, if only one comes to mind."""
        for state in reversed(stack):
            rules = {_name(place.rule) for place in self.places.get(state, ()) if place.dot}
            sections = [self.messages[rule] for rule in sorted(rules) if rule in self.messages]
            examples = [section.example for section in sections if section.example]
            if examples:
                return examples[0] if len(examples) == 1 else None
        return None

    def in_expression(self, state: int) -> bool:
        """Whether a state stands for places in expressions only."""
        return all(_name(place.rule) in _EXPRESSIONS for place in self.places.get(state, ()))

    def accepts(self, stack: list[int]) -> set[str]:
        """The terminals that the parser has room for."""
        return {name for name in self.table.states[stack[-1]] if self._accepts(stack, name)}

    def _accepts(self, stack: list[int], name: str) -> bool:
        states = list(stack)
        while True:
            action, target = self.table.states[states[-1]].get(name, (None, None))
            if action is None or isinstance(target, int):
                return action is not None and name not in self.rules
            if target.expansion:
                del states[-len(target.expansion) :]
            states.append(self.table.states[states[-1]][target.origin.name][1])


def _name(rule: Any) -> str:
    return str(rule.alias or rule.origin.name)


def _order(place: Place) -> tuple[Any, ...]:
    return (-place.dot, _name(place.rule), str(place.rule.expansion))


@lru_cache(maxsize=1)
def expected(grammar: Lark) -> Expected:
    """What is expected where, for a grammar."""
    return Expected(grammar)
