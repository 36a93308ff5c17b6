"""Numbers of a unit that are computed between the statements of its body, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import NOW, PREV, Const, Expr, Ref, refs, transform
from netdsl.ir.network import Assign, Kind, Place, Statement, Variable


@dataclass(frozen=True)
class Entry:
    """`name`, computed in front of the statement at `index` of the body."""

    name: str
    index: int
    order: int
    value: Expr


@dataclass
class Entries:
    """The entries of one population, called `POPULATION.slope.1` and on.

    What is held before it is known (`reserve`) is a number of the step before.
    """

    population: str
    variables: Mapping[str, Variable]
    held: dict[tuple[int, Expr], Entry] = field(default_factory=dict)
    named: dict[str, Entry] = field(default_factory=dict)
    promised: dict[str, Expr] = field(default_factory=dict)

    def hold(self, value: Expr, index: int) -> Expr:
        """A read of `value` as it is in front of statement `index`; what is constant stays."""
        value = simplify(value)
        if self._fixed(value):
            return value
        entry = self.held.get((index, value))
        if entry is None:
            number = len(self.named) + 1
            entry = Entry(f"{self.population}.slope.{number}", index, number, value)
            self.held[(index, value)] = self.named[entry.name] = entry
        return Ref(entry.name)

    def _fixed(self, value: Expr) -> bool:
        if isinstance(value, Const):
            return True
        if not isinstance(value, Ref):
            return False
        variable = self.variables.get(value.path)
        return value.path in self.named or (variable is not None and variable.kind is Kind.PARAM)

    def reserve(self, name: str) -> Expr:
        """A read, in the next step, of what `keep` will be given for `name`."""
        return Ref(f"{self.population}.{name}", time=PREV)

    def keep(self, name: str, value: Expr, index: int) -> None:
        """What is reserved is `value`, as it is in front of statement `index`."""
        self.promised[f"{self.population}.{name}"] = self.hold(value, index)

    def settled(self, expr: Expr, entry: Entry | None = None) -> Expr:
        """`expr`, read in `entry` or behind the body, with what was promised in its place."""

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Ref) or node.path not in self.promised:
                return None
            kept = self.promised[node.path]
            of = self.named.get(kept.path) if isinstance(kept, Ref) else None
            if of is None:
                return kept
            above = entry is not None and (entry.index, entry.order) < (of.index, of.order)
            return Ref(of.name, time=NOW if above else PREV)

        return transform(expr, visit)

    def body(self, body: Iterable[Statement], wanted: Iterable[str]) -> tuple[Statement, ...]:
        """The body with the entries that `wanted` ones are made of, where they belong."""
        needed = self._needed(wanted)
        found: list[Statement] = []
        for index, statement in enumerate((*body, None)):
            found += [
                Assign(entry.name, self.settled(entry.value, entry))
                for entry in sorted(self.named.values(), key=lambda entry: entry.order)
                if entry.index == index and entry.name in needed
            ]
            found += [statement] if statement is not None else []
        return tuple(found)

    def declared(self, wanted: Iterable[str]) -> dict[str, Variable]:
        """The variables of these entries: states where a rule or the next step reads them."""
        wanted = dict.fromkeys(wanted)  # in order: what is generated is the same at every run
        needed = self._needed(wanted)
        earlier = {
            ref.path
            for name in needed
            for ref in refs(self.settled(self.named[name].value, self.named[name]))
            if self._above(ref, self.named[name])
        }
        return {
            name: Variable(
                name,
                Kind.STATE if name in wanted or name in earlier else Kind.LET,
                Place.UNIT,
                owner=self.population,
                init=Const(0.0) if name in wanted or name in earlier else None,
                slope=True,
            )
            for name in needed
        }

    def _above(self, ref: Ref, reader: Entry) -> bool:
        of = self.named.get(ref.path)
        return of is not None and (
            ref.time == PREV or (reader.index, reader.order) < (of.index, of.order)
        )

    def _needed(self, wanted: Iterable[str]) -> dict[str, None]:
        found: dict[str, None] = {}
        waiting = list(wanted)
        while waiting:
            name = waiting.pop()
            if name in self.named and name not in found:
                found[name] = None
                waiting += [ref.path for ref in refs(self.settled(self.named[name].value))]
        return found


def at_synapse(expr: Expr) -> Expr:
    """The same read from a synapse of the unit, at the end of the step."""

    def visit(node: Expr) -> Expr | None:
        return replace(node, side="post") if isinstance(node, Ref) else None

    return transform(expr, visit)
