"""Forward differentiation of a unit's statements: how its variables move with one of its inputs.

The *tangent* of a variable is its derivative along the unit's own history. One step takes the
tangents of the states linearly into new ones: the coefficients are numbers of the unit, the same
for all of its synapses, and the input itself enters by what a synapse adds to it. What moves with
nothing (a refractory counter: all slopes are 0) has no tangent, and neither has a variable whose
tangent follows from the others' at the end of each step (a spike: from its membrane's).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from netdsl.diagnostics.span import Span
from netdsl.ir.algebra.build import ONE, ZERO, plus, times
from netdsl.ir.algebra.definitions import write_out
from netdsl.ir.algebra.derivative import DerivativeError, derivative
from netdsl.ir.algebra.entries import Entries
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import NOW, PREV, SETTLED, Const, Expr, Local, Ref, refs, span_of, transform
from netdsl.ir.network import Assign, DrawAssign, Kind, Population, Spike, Statement, Variable

Form = dict[str, Expr]  # by state (its tangent at the start of the step) or input: coefficients
_NOWADAYS = (NOW, SETTLED)


class NoTangent(Exception):
    """A path that has no derivative; `span` is what stops it."""

    def __init__(self, message: str, span: Span | None, help: str | None = None) -> None:
        super().__init__(message)
        self.message, self.span, self.help = message, span, help


@dataclass(frozen=True)
class Step:
    """One step of the tangents.

    `states`: the new tangent of each state from the old ones and the inputs. `output`: the
    target's tangent, from the new ones (`new`) or from the old ones and the inputs.
    `touched`: states whose values the derivative goes through.
    """

    states: dict[str, Form]
    output: Form
    new: bool
    touched: frozenset[str]


def tangents(population: Population, inputs: frozenset[str], target: str, entries: Entries) -> Step:
    """The step of the tangents of a population along `inputs`, as far as `target` needs them.

    Coefficients are held in `entries`. The body has no equations left. Raises NoTangent.
    """
    body = _with_constants((*population.body, Assign(f"{target}@", Ref(target))), population)
    variables = population.variables
    start: dict[str, Form | NoTangent] = {}
    while True:  # until no further state moves
        sweep = _Sweep(body, variables, inputs, start, Entries(population.name, variables)).run()
        fresh: dict[str, Form | NoTangent] = {
            path: form if isinstance(form, NoTangent) else {path: ONE}
            for path, form in sweep.forms.items()
            if form and path in variables and variables[path].kind is not Kind.LET
        }
        if {p: type(f) for p, f in fresh.items()} == {p: type(f) for p, f in start.items()}:
            break
        start = fresh
    needed = _needed(sweep, f"{target}@")
    following = [path for path in sweep.forms if path in needed and sweep.follows(path, needed)]
    carried = [path for path in start if path in needed and path not in following]
    own = "+".join((*sorted(inputs), *carried))  # what is promised depends on these
    start = {path: {path: ONE} for path in carried}
    for path in following:
        basis = sweep.follows(path, carried)
        assert basis is not None
        start[path] = {of: entries.reserve(f"{path}/{of}/{own}") for of in basis}
    sweep = _Sweep(body, variables, inputs, start, entries).run()
    for path in following:
        basis = sweep.follows(path, carried)
        for of, slope in (basis or {}).items():
            entries.keep(f"{path}/{of}/{own}", slope, sweep.index[path])
    last = sweep.follows(f"{target}@", carried)
    output = sweep.known(f"{target}@") if last is None else last
    return Step(
        {path: sweep.known(path) for path in carried},
        {of: entries.hold(slope, len(body) - 1) for of, slope in output.items()},
        last is not None,
        sweep.touched(f"{target}@", carried),
    )


def _with_constants(body: tuple[Statement, ...], population: Population) -> tuple[Statement, ...]:
    """The body with the numbers of its constant `let`s in the places where they are read."""
    known: dict[str, Expr] = {}

    def visit(node: Expr) -> Expr | None:
        return known.get(node.path) if isinstance(node, Ref) else None

    found: list[Statement] = []
    for statement in body:
        mapped = _mapped(statement, visit)
        if isinstance(mapped, Assign):
            mapped = replace(mapped, value=simplify(mapped.value))
            variable = population.variables.get(mapped.target)
            let = variable is not None and variable.kind is Kind.LET
            if let and isinstance(mapped.value, Const):
                known[mapped.target] = mapped.value
        found.append(mapped)
    return tuple(found)


def _mapped(statement: Statement, visit: Callable[[Expr], Expr | None]) -> Statement:
    if isinstance(statement, Assign):
        return replace(statement, value=transform(statement.value, visit))
    if isinstance(statement, Spike):
        slope = statement.surrogate
        return replace(
            statement,
            margin=transform(statement.margin, visit),
            surrogate=transform(slope, visit) if slope is not None else None,
        )
    return statement


def _needed(sweep: _Sweep, target: str) -> set[str]:
    """The states whose tangents the target's is made of, in whatever number of steps."""
    found: set[str] = set()
    waiting = [target]
    while waiting:
        for path in sweep.known(waiting.pop()):
            if path not in sweep.inputs and path not in found:
                found.add(path)
                waiting.append(path)
    return found


@dataclass
class _Sweep:
    """Goes through the body once; `forms` are the tangents behind the statements so far."""

    body: tuple[Statement, ...]
    variables: Mapping[str, Variable]
    inputs: frozenset[str]
    start: Mapping[str, Form | NoTangent]
    entries: Entries
    forms: dict[str, Form | NoTangent] = field(default_factory=dict)
    slopes: dict[str, list[tuple[Ref, int, Expr]]] = field(default_factory=dict)
    version: dict[str, int] = field(default_factory=dict)
    index: dict[str, int] = field(default_factory=dict)  # where the last version's slopes are held
    through: dict[str, set[str]] = field(default_factory=dict)

    def run(self) -> _Sweep:
        self.forms = dict(self.start)
        self.forms.update({path: {path: ONE} for path in self.inputs})
        for index, statement in enumerate(self.body):
            self._statement(index, statement)
        return self

    # ------------------------------------------------------------ statements

    def _statement(self, index: int, statement: Statement) -> None:
        assert isinstance(statement, Assign | DrawAssign | Spike)
        target = statement.target
        try:
            if isinstance(statement, DrawAssign):
                slopes = self._drawn(statement)
            elif isinstance(statement, Spike):
                slopes = self._spike(statement, index)
            else:
                slopes = self._derivatives(statement.value)
            slopes = [(ref, self.entries.hold(slope, index)) for ref, slope in slopes]
            form: Form | NoTangent = self._composed(slopes, index)
        except NoTangent as problem:
            slopes = []
            form = NoTangent(problem.message, problem.span or statement.span, problem.help)
        self.slopes[target] = [(r, self._version(r), slope) for r, slope in slopes]
        self.through.setdefault(target, set()).update(ref.path for ref, _ in slopes)
        self.forms[target], self.index[target] = form, index
        self.version[target] = self.version.get(target, 0) + 1

    def _version(self, ref: Ref) -> int:
        return self.version.get(ref.path, 0) if ref.time in _NOWADAYS else -1

    def _composed(self, slopes: list[tuple[Ref, Expr]], index: int) -> Form:
        total: Form = {}
        for ref, slope in slopes:
            form = self._form(ref)
            if isinstance(form, NoTangent):
                raise form
            for of, inner in form.items():
                total[of] = simplify(plus(total.get(of, ZERO), times(slope, inner)))
        held = {of: self.entries.hold(value, index) for of, value in total.items()}
        return {of: value for of, value in held.items() if value != ZERO}

    def _form(self, ref: Ref) -> Form | NoTangent:
        """The tangent of a read."""
        if ref.time in _NOWADAYS:
            return self.forms.get(ref.path, {})
        if ref.path in self.inputs or ref.phase is not None:
            if ref.phase is not None and not self.forms.get(ref.path):
                return {}
            return NoTangent(
                f"`{ref.path}{'@' if ref.phase is None else ''}{ref.time}` is of an earlier step, "
                "and an eligibility goes back by one step of states",
                ref.span,
                "keep what is needed in a state of the cell",
            )
        return self.start.get(ref.path, {})

    def _drawn(self, statement: DrawAssign) -> list[tuple[Ref, Expr]]:
        for argument in statement.draw.args:
            for _ in self._derivatives(argument):
                raise NoTangent(
                    "a draw in an eligibility's path: what is drawn has no derivative by what it "
                    "is drawn from",
                    statement.draw.span or statement.span,
                    "let the path go through a number, such as the probability",
                )
        return []

    def _spike(self, statement: Spike, index: int) -> list[tuple[Ref, Expr]]:
        slopes = self._derivatives(statement.margin)
        if not slopes:
            return []
        if statement.surrogate is None:
            raise NoTangent(
                f"the spike `{statement.target}` is in an eligibility's path and has no derivative",
                statement.span,
                "give it one: `spike … { surrogate triangle() }`",
            )
        surrogate = self.entries.hold(statement.surrogate, index)
        return [(ref, times(surrogate, slope)) for ref, slope in slopes]

    def _derivatives(self, expr: Expr) -> list[tuple[Ref, Expr]]:
        """The slopes of an expression along what it reads and what moves, but for zeros."""
        written = write_out(expr, self.variables, earlier=True)
        moving = {_label(ref): ref for ref in refs(written) if self._form(ref)}
        marked = transform(written, lambda node: _marked(node, moving))
        return list(_slopes(marked, moving, span_of(expr)))

    # ------------------------------------------------------------ what is known in the end

    def known(self, path: str) -> Form:
        """The tangent of a variable at the end of the step, or NoTangent raised."""
        form = self.forms.get(path, {})
        if isinstance(form, NoTangent):
            raise form
        return form

    def follows(self, path: str, basis: Container[str]) -> Form | None:
        """The tangent of a variable from those of others in `basis` at the end of the step.

        None where it does not follow from these.
        """
        total: Form = {}
        for ref, version, slope in self.slopes.get(path, ()):
            if ref.path in self.inputs or version != self.version.get(ref.path, 0):
                return None
            if version == -1 or ref.time == PREV or ref.path == path:
                return None
            inner = self._inner(ref.path, basis)
            if inner is None:
                return None
            for of, factor in inner.items():
                total[of] = simplify(plus(total.get(of, ZERO), times(slope, factor)))
        return total or None

    def _inner(self, path: str, basis: Container[str]) -> Form | None:
        deeper = self.follows(path, basis)
        if deeper is not None:
            return deeper
        return {path: ONE} if path in basis else None

    def touched(self, target: str, carried: list[str]) -> frozenset[str]:
        """Variables that stand between the inputs and the target, in whatever number of steps."""
        found: set[str] = set()
        waiting = [target, *carried]
        while waiting:
            path = waiting.pop()
            if path not in found:
                found.add(path)
                waiting += self.through.get(path, ())
        return frozenset(found)


def _label(ref: Ref) -> str:
    return f"{ref.path}|{ref.time}"


def _marked(node: Expr, moving: Mapping[str, Ref]) -> Expr | None:
    return Local(_label(node)) if isinstance(node, Ref) and _label(node) in moving else None


def _unmarked(expr: Expr, moving: Mapping[str, Ref]) -> Expr:
    return transform(expr, lambda node: moving[node.name] if isinstance(node, Local) else None)


def _slopes(
    marked: Expr, moving: Mapping[str, Ref], span: Span | None
) -> Iterator[tuple[Ref, Expr]]:
    for label, ref in moving.items():
        try:
            slope = simplify(derivative(marked, label))
        except DerivativeError as problem:
            raise NoTangent(
                f"an eligibility's path goes through what reduces: {problem.message}",
                span_of(problem.term) or span,
                "an eligibility follows one unit alone; `detach(…)` what is not to be followed",
            ) from None
        if slope != ZERO:
            yield replace(ref, side="own"), _unmarked(slope, moving)
