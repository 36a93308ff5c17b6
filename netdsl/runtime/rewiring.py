"""`rewire NAME`: closing synapses and opening others, on the host, between two steps.

Matrices are (pre, post). The number of synapses to be opened is split over projections by draws
with the probabilities of their shares; in each, so many of the candidates are taken, every choice
being as likely as every other. A call's draws come from streams of its own, so that neither the
backend nor where a run was stopped changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError
from netdsl.ir.expr import Expr
from netdsl.ir.program import Key
from netdsl.ir.protocol import Rewire, Rewired
from netdsl.runtime.host import Matrix
from netdsl.runtime.steps import all_steps
from netdsl.streams.connectivity import synapses_of
from netdsl.streams.draws import PhiloxStream

if TYPE_CHECKING:
    from netdsl.runtime.session import Session

Mask = NDArray[np.bool_]
# Given the name of a rewiring and the candidates of each projection, (pre, post): which to open.
Choice = Callable[[str, Mapping[str, Mask]], Mapping[str, Mask]]


def rewire(session: Session, step: Rewire, choice: Choice | None = None) -> None:
    """Carry out a rewiring, of each member of an ensemble. Raises DiagnosticError E0663 beyond its
    budget."""
    draws = dict(session.draws)
    for _ in session.each_member():
        session.draws = dict(draws)
        work = _Rewiring(session, step)
        work.prune()
        work.regrow(choice)
        work.write()


def check_budgets(session: Session) -> None:
    """Raises DiagnosticError E0663 where a network starts with more synapses than a budget."""
    for step in all_steps(session.network):
        if isinstance(step, Rewire):
            for _ in session.each_member():
                work = _Rewiring(session, step)
                work.prune()
                work.room()


class _Rewiring:
    def __init__(self, session: Session, step: Rewire) -> None:
        self.session, self.step = session, step
        self.read = session.reader()
        self.stored = {part.weight: np.array(self.read(Key(part.weight))) for part in step.over}
        self.changed: set[str] = set()
        self.exists = {part.projection: self._existing(part) for part in step.over}

    def _existing(self, part: Rewired) -> Mask:
        found = synapses_of(self.session.program, part.projection, self.session.seed)
        if found is None:
            return np.ones(self.stored[part.weight].shape, bool)
        return found.matrix(np.ones(found.count, bool))

    def value(self, expr: Expr) -> Matrix:
        """A value over what is stored by now."""

        def read(key: Key) -> Matrix:
            return self.stored[key.of] if key.of in self.stored else self.read(key)

        with np.errstate(all="ignore"):
            return self.session.compile(expr)(read)

    def number(self, expr: Expr) -> float:
        """One number."""
        return float(self.value(expr).reshape(()))

    def prune(self) -> None:
        """Close synapses: their stored number becomes 0."""
        for part in self.step.over:
            if part.prune is not None:
                closed = (self.value(part.prune) != 0) & self.exists[part.projection]
                self._set(part, np.broadcast_to(closed, self.exists[part.projection].shape), 0.0)

    def alive(self, part: Rewired) -> Mask:
        """The synapses that have an effect."""
        return np.asarray((self.value(part.present) != 0) & self.exists[part.projection])

    def room(self) -> float:
        """How many more synapses the budget allows."""
        if self.step.budget is None:
            return np.inf
        alive = sum(int(self.alive(part).sum()) for part in self.step.over)
        budget = int(self.number(self.step.budget))
        if alive > budget:
            message = f"rewiring `{self.step.name}` has a budget of {budget} synapses, and {alive}"
            raise DiagnosticError(
                Diagnostic(
                    "E0663",
                    f"{message} are alive",
                    self.step.span or NO_SPAN,
                    help=f"give it {alive} or more, or start with fewer synapses",
                )
            )
        return budget - alive

    def regrow(self, choice: Choice | None) -> None:
        """Open synapses, at random or those that `choice` names."""
        room = self.room()
        wanted = self.number(self.step.count)
        count = int(min(max(0.0, wanted), room)) if wanted == wanted else 0
        open_ = {p.projection: self.exists[p.projection] & ~self.alive(p) for p in self.step.over}
        call = self.session.draws.get(self.step.name, 0)
        self.session.draws[self.step.name] = call + 1
        if choice is not None:
            chosen = {
                name: np.asarray(m, bool) for name, m in choice(self.step.name, open_).items()
            }
        elif count:
            chosen = self._drawn(open_, count, call)
        else:
            return
        for part in self.step.over:
            if part.projection in chosen:
                at = chosen[part.projection] & open_[part.projection]
                self._set(part, at, self.number(part.start))

    def _drawn(self, open_: Mapping[str, Mask], count: int, call: int) -> dict[str, Mask]:
        shares = np.array([max(0.0, self.number(part.share)) for part in self.step.over])
        ends = np.cumsum(shares)
        if not ends[-1] > 0:
            return {}
        split = self._fractions("", call, count) * ends[-1]
        numbers = np.bincount(np.searchsorted(ends, split, side="right"), minlength=len(ends))
        chosen = {}
        for (name, candidates), number in zip(open_.items(), numbers, strict=False):
            at = np.flatnonzero(candidates)
            order = np.argsort(self._fractions(name, call, len(at)), kind="stable")
            mask = np.zeros(candidates.size, bool)
            mask[at[order[:number]]] = True
            chosen[name] = mask.reshape(candidates.shape)
        return chosen

    def _fractions(self, part: str, call: int, count: int) -> NDArray[np.float64]:
        path = f"{self.step.name}.{part}.rewire:{call}"
        return PhiloxStream(self.session.seed, path).fractions(0, count)

    def _set(self, part: Rewired, where: Mask, value: float) -> None:
        stored = self.stored[part.weight]
        if (stored[where] != value).any():
            stored[where] = value
            self.changed.add(part.weight)

    def write(self) -> None:
        """Put back what changed."""
        for path in sorted(self.changed):
            self.session.write(path, self.stored[path])
