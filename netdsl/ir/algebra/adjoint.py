"""Reverse differentiation of a population's step: how one of its values moves with another.

The adjoint of a value is the derivative of `sum of v * z over the population` by it. It is handed
back from `z` through definitions, the statements of the step and reductions over the population,
to the variable that is asked for. Slopes are numbers of the place where a statement stands: what is
overwritten later is kept there under a name. Values of the step before are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netdsl.ir.algebra.build import ONE, ZERO, plus, times
from netdsl.ir.algebra.derivative import DerivativeError, derivative, handed_back
from netdsl.ir.algebra.history import History, Key, NoAdjoint, reads
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Custom, Expr, Index, Local, Reduce, Ref, children, span_of, transform
from netdsl.ir.network import Place, Spike, Statement, Variable

_SHARED = (Place.ROW, Place.GLOBAL)
_HANDED = ("sum", "mean", "max", "min")


@dataclass(frozen=True)
class Held:
    """A value under a name, computed in front of the statement at `index` of the body."""

    name: str
    index: int
    place: Place
    value: Expr


@dataclass(frozen=True)
class Population:
    """What is known of the population: its axes, variables, and its body up to here.

    `place`: of a variable by its path, also of one of the network.
    """

    axes: tuple[tuple[str, int], ...]
    variables: Mapping[str, Variable]
    body: tuple[Statement, ...]
    place: Callable[[str], Place]
    fresh: Callable[[], str]  # the name of a value that is held

    def count(self, axis: str) -> int:
        """Neurons that are reduced over."""
        size = 1
        for name, length in self.axes:
            size *= length if axis in ("population", name) else 1
        return size


@dataclass(frozen=True)
class _Value:
    """A value on the way, made of others: `slopes` by their keys. `reduced`: over what, and how."""

    place: Place
    slopes: tuple[tuple[Key, Expr], ...]
    where: int
    reduced: Reduce | None = None


@dataclass
class Backward:
    """One way back through the step of a population."""

    population: Population
    held: list[Held] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history = History(self.population.variables, self.population.body)
        self.now = len(self.history.steps)
        self.moving: dict[Key, bool] = {}
        self.values: dict[Key, _Value] = {}  # what a value is made of stands before it
        self.kept: dict[tuple[int, Expr], Ref] = {}

    def adjoint(self, of: Expr, by: str, cotangent: Expr, place: Place) -> Expr:
        """The sum over neurons of `cotangent` times the derivative of `of` by each one's `by`.

        `place`: of the cotangent. What it reads under new names is in `held`. Raises NoAdjoint.
        """
        self.target = self.history.key(by, self.now)
        self.moving.clear()
        root: Key = ("", 0)
        self._put(root, of, self.now, self._place(of))
        totals: dict[Key, Expr] = {root: self._named(cotangent, place)}
        for key, value in reversed(self.values.items()):
            if key in totals and value.slopes:
                self._back(value, self._named(totals[key], value.place), totals)
        return _short(totals.get(self.target, ZERO))

    def follows(self, path: str, by: str) -> bool:
        """Is a value that a variable has by now computed from another's, in this step?"""
        self.target = self.history.key(by, self.now)
        self.moving.clear()
        return self._moves(path, self.now)

    @property
    def through(self) -> tuple[str, ...]:
        """Variables whose statements of this step the adjoint went through."""
        return tuple({str(path): None for path, _ in self.values if path in self.history.assigned})

    # ------------------------------------------------------------ which values there are

    def _moves(self, path: str, at: int) -> bool:
        key = self.history.key(path, at)
        if key not in self.moving:
            self.moving[key] = key == self.target
            made = self.history.made(path, at)
            if made is not None and not self.moving[key]:
                self.moving[key] = self._any(*made)
        return self.moving[key]

    def _any(self, expr: Expr, at: int) -> bool:
        return any(self._moves(ref.path, at) for ref in reads(expr))

    # ------------------------------------------------------------ slopes

    def _visit(self, path: str, at: int) -> None:
        key = self.history.key(path, at)
        made = self.history.made(path, at)
        if key == self.target or key in self.values or made is None:
            return
        self._put(key, made[0], made[1], self.population.place(path), path)

    def _put(self, key: Key, expr: Expr, where: int, place: Place, path: str = "") -> None:
        """Note what a value is made of, behind all that it is made of."""
        slopes = self._slopes(expr, where)
        statement = self.history.steps[where].statement if where < self.now else None
        if slopes and isinstance(statement, Spike) and statement.target == path:
            if statement.surrogate is None:
                raise NoAdjoint(
                    f"the spike `{path.split('.')[-1]}` is in the way and has no derivative",
                    statement.span,
                    "give it one: `spike … { surrogate triangle() }`",
                )
            surrogate = self._at(statement.surrogate, where)
            slopes = [(child, times(surrogate, slope)) for child, slope in slopes]
        self.values[key] = _Value(place, tuple(slopes), where)

    def _slopes(self, expr: Expr, where: int) -> list[tuple[Key, Expr]]:
        """Derivatives by what moves; reductions are values of their own."""
        reductions: dict[str, Reduce] = {}

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Reduce) or not self._any(node, where):
                return None
            name = next((n for n, r in reductions.items() if r == node), f"#{len(reductions)}")
            reductions[name] = node
            return Local(name)

        def back(node: Expr) -> Expr | None:
            return reductions.get(node.name) if isinstance(node, Local) else None

        apart = transform(expr, visit)
        self._one_row(apart, where)
        leaves = dict.fromkeys(ref.path for ref in reads(apart))
        found: list[tuple[Key, Expr]] = []
        for name in (*leaves, *reductions):
            if name in leaves and not self._moves(name, where):
                continue
            try:
                slope = simplify(derivative(apart, name))
            except DerivativeError as problem:
                raise NoAdjoint(problem.message, span_of(problem.term)) from None
            if slope == ZERO:
                continue
            if name in reductions:
                key = self._reduction(reductions[name], where)
            else:
                key = self.history.key(name, where)
                self._visit(name, where)
            found.append((key, self._at(transform(slope, back), where)))
        return found

    def _one_row(self, expr: Expr, where: int) -> None:
        """Refuse reads of another slot of what moves: it may be the slot itself."""
        if isinstance(expr, Custom) and expr.slope == ZERO:
            return
        if isinstance(expr, Ref) and expr.slot and self._moves(expr.path, where):
            raise NoAdjoint(
                f"`{expr.path.split('.')[-1]}` of another slot is in the way",
                expr.span,
                "`detach(…)` makes it a constant",
            )
        for child in children(expr):
            self._one_row(child, where)

    def _reduction(self, node: Reduce, where: int) -> Key:
        seen = tuple(self.history.version(ref.path, where) for ref in reads(node))
        key: Key = node, self.history.known.setdefault((node, seen), len(self.history.known))
        if key in self.values:
            return key
        axes = {"population", *(name for name, _ in self.population.axes if name)}
        if node.kind == "draw":
            raise NoAdjoint(
                "what is drawn has no derivative by what it is drawn from",
                node.span,
                "let the way go through a number, such as the probability",
            )
        if node.axis not in axes:
            over = "slots" if node.over_slots is not None else node.axis
            raise NoAdjoint(
                f"a {node.kind} over {over} is not of this neuron's population alone",
                node.span,
                "`detach(…)` makes it a constant",
            )
        slopes = self._slopes(node.body, where) if node.kind in _HANDED else []
        self.values[key] = _Value(self._place(node), tuple(slopes), where, node)
        return key

    def _at(self, slope: Expr, where: int) -> Expr:
        """A slope that was taken in front of a step, as it can be read now."""
        version = self.history.version
        if all(version(r.path, where) == version(r.path, self.now) for r in reads(slope)):
            return slope
        index = self.history.steps[where].index
        first = next(at for at, step in enumerate(self.history.steps) if step.index == index)
        slope = self._written(slope, where, index)
        for ref in reads(slope):
            if self.history.version(ref.path, where) != self.history.version(ref.path, first):
                raise NoAdjoint("this integrator is in the way", self.population.body[index].span)
        if (index, slope) not in self.kept:
            self.kept[index, slope] = self.hold(slope, self._place(slope), index)
        return self.kept[index, slope]

    def _written(self, expr: Expr, where: int, index: int) -> Expr:
        """With intermediate values of an integrator as what they are made of."""

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Ref) or node.path in self.population.variables:
                return None
            made = self.history.made(node.path, where)
            return self._written(made[0], made[1], index) if made is not None else None

        return transform(expr, visit)

    # ------------------------------------------------------------ adjoints

    def _back(self, value: _Value, adjoint: Expr, totals: dict[Key, Expr]) -> None:
        """Hand the adjoint of a value on to what it is made of."""
        place = value.place
        node = value.reduced
        if node is not None:
            place = Place.UNIT
            if node.axis != "population":
                adjoint = self._named(Reduce("sum", node.axis, adjoint), place)
            body: Expr = ONE
            result: Expr = ONE
            if node.kind in ("max", "min"):
                body, result = self._at(node.body, value.where), self._at(node, value.where)
            count = self.population.count(node.axis)
            back = handed_back(node.kind, adjoint, body, result, count)
            if back is None:
                return
            adjoint = self._named(back, self._place(back))
        for key, slope in value.slopes:
            amount = times(adjoint, slope)
            if place not in _SHARED and self._shared(key):
                amount = self._named(Reduce("sum", "population", amount), Place.ROW)
            totals[key] = plus(totals.get(key, ZERO), amount)

    def _shared(self, key: Key) -> bool:
        """Is a value one number for the whole population?"""
        if key in self.values:
            return self.values[key].place in _SHARED
        return self.population.place(str(key[0])) in _SHARED

    def _named(self, expr: Expr, place: Place) -> Expr:
        """A value that is read several times, under a name."""
        expr = _short(expr)
        if not children(expr):
            return expr
        return self.hold(expr, place)

    def hold(self, expr: Expr, place: Place, index: int | None = None) -> Ref:
        """A value under a name: behind the body, or in front of a statement of it."""
        index = len(self.population.body) if index is None else index
        place = Place.ROW if place in _SHARED else Place.UNIT
        name = self.population.fresh()
        self.held.append(Held(name, index, place, expr))
        return Ref(name)

    def _place(self, expr: Expr) -> Place:
        """One number for the population, or one for each neuron."""
        if isinstance(expr, Reduce) and expr.axis == "population":
            return Place.ROW
        if isinstance(expr, Reduce) and expr.axis not in ("batch", ""):
            return Place.UNIT
        if isinstance(expr, Index):
            return Place.UNIT
        if isinstance(expr, Ref):
            own = next((held for held in self.held if held.name == expr.path), None)
            place = own.place if own is not None else self.population.place(expr.path)
            return Place.ROW if place in _SHARED else Place.UNIT
        places = [self._place(child) for child in children(expr)]
        return Place.UNIT if Place.UNIT in places else Place.ROW


def _short(expr: Expr) -> Expr:
    """A simpler expression, its reductions as they were written: equal ones are computed once."""
    reductions: dict[str, Reduce] = {}

    def apart(node: Expr) -> Expr | None:
        if not isinstance(node, Reduce):
            return None
        reductions[name := f"#{len(reductions)}"] = node
        return Local(name)

    short = simplify(transform(expr, apart))
    return transform(short, lambda n: reductions.get(n.name) if isinstance(n, Local) else None)
