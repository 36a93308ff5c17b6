"""Which operation of a step made the first NaN or infinity, found on the NumPy backend.

The step is executed again from the values before it, one operation at a time, and the operation
that is to blame one statement more each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.base import Executor
from netdsl.diagnostics import Span
from netdsl.ir.expr import Apply, Const, Expr, Load, Local, span_of, walk
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Bind,
    Buffer,
    Elementwise,
    Op,
    Program,
    Routine,
    Statement,
    Store,
    SynapseUpdate,
)
from netdsl.ir.roles import expressions, of_kind
from netdsl.ir.space import place_of_space
from netdsl.runtime.backend import executor_class
from netdsl.runtime.session import Session
from netdsl.runtime.whole import Arrays

Array = NDArray[Any]
Cells = Elementwise | SynapseUpdate


@dataclass(frozen=True)
class Origin:
    """A variable, NaN or infinity, the row where values differ between samples, the line."""

    path: str
    kind: str
    row: int | None
    span: Span | None


def fresh(before: Array, after: Array) -> Array:
    """Which elements are NaN or infinite and were not."""
    return np.asarray(~np.isfinite(after) & np.isfinite(before))


def variable_of(session: Session, buffer: str) -> str | None:
    """The path of the variable that a buffer holds; None for what the user has no name for.

    Accumulators of readouts are left out: they follow their variables, and may begin at infinity.
    So are delay lines: what they take in went bad before.
    """
    held = session.program.buffers.get(buffer)
    if held is None or held.role == "accumulator" or held.slots > 1:
        return None
    return held.of if held.of in session.network.table else None


def origin(session: Session, before: Arrays, after: Arrays, ops: tuple[Op, ...]) -> Origin | None:
    """The first variable that became NaN or infinite when `ops` turned `before` into `after`."""
    bad = {
        name
        for name, value in after.items()
        if variable_of(session, name) is not None and fresh(before[name], value).any()
    }
    if not bad:
        return None
    return _Search(session, before).run(ops) or _by_order(session, before, after, ops, bad)


def _by_order(
    session: Session, before: Arrays, after: Arrays, ops: tuple[Op, ...], bad: set[str]
) -> Origin:
    """Where NumPy's numbers stay finite: the first operation that writes a bad variable."""
    for op in ops:
        for name in sorted(op.writes & bad):
            return _origin(session, name, before[name], after[name], _span(op, name))
    name = min(bad)
    return _origin(session, name, before[name], after[name], None)


def _origin(session: Session, name: str, before: Array, after: Array, span: Span | None) -> Origin:
    place = np.argwhere(fresh(before, after))[0]
    kind = _kind(float(after[tuple(place)]))
    held = session.program.buffers.get(name)
    per_row = held is not None and held.place in (Place.ROW, Place.UNIT)
    path = variable_of(session, name) or name
    return Origin(path, kind, int(place[0]) if per_row else None, span)


class _Search:
    """Executes operations one by one on values of its own."""

    def __init__(self, session: Session, before: Arrays) -> None:
        self.session, self.values = session, dict(before)

    def run(self, ops: tuple[Op, ...]) -> Origin | None:
        executor = self._executor(self.session.program, ops)
        for number, op in enumerate(ops):
            before = {name: executor.read(name) for name in self.session.program.buffers}
            executor.call(f"op{number}")
            for name in _in_order(op):
                after = executor.read(name)
                if variable_of(self.session, name) and fresh(before[name], after).any():
                    self.values = before
                    found = _origin(self.session, name, before[name], after, _span(op, name))
                    return self._statement(op) or found
        return None

    def _executor(self, program: Program, ops: tuple[Op, ...]) -> Executor:
        """A NumPy executor with a routine for each operation, holding `values`."""
        session = self.session
        routines = {f"op{k}": Routine(f"op{k}", "update", once=(op,)) for k, op in enumerate(ops)}
        executor = executor_class("numpy")(
            replace(program, routines=routines),
            {},
            rows=max(session.rows, 1),
            dtype=str(session.executor.dtype),
            seed=session.seed,
        )
        executor.set_rows(session.rows, session.keys)
        for name, value in self.values.items():
            executor.write(name, value)
        return executor

    def _statement(self, op: Op) -> Origin | None:
        """The first statement of an operation whose result is bad, and what is bad in it."""
        if not isinstance(op, Cells):
            return None
        ends = [k for k, statement in enumerate(op.statements) if not statement.binds]
        parts = tuple(_with(op, op.statements[: end + 1]) for end in ends)
        executor = self._executor(self.session.program, parts)
        for routine, end in enumerate(ends):
            for name in op.writes:
                executor.write(name, self.values[name])
            executor.call(f"op{routine}")
            statement = op.statements[end]
            name = getattr(statement, "buffer", "")
            after = executor.read(name)
            bad = fresh(self.values[name], after)
            if variable_of(self.session, name) and bad.any():
                span = statement.span or _span(op, name)
                found = _origin(self.session, name, self.values[name], after, span)
                return self._expression(op, end, found, tuple(np.argwhere(bad)[0]))
        return None

    def _expression(self, op: Cells, number: int, found: Origin, place: tuple[int, ...]) -> Origin:
        """Where within a statement the value at `place` went bad: its innermost bad part."""
        parts: list[tuple[int, Expr]] = [
            (at, node)
            for at, statement in (*_binds_behind(op, number), (number, op.statements[number]))
            for expr in expressions(statement)
            for node in walk(expr)
            if isinstance(node, Apply | Local | Load)
        ]
        where, owner = place_of_space(op.space), op.space[-1].owner
        names = [f"nan.{k}" for k in range(len(parts))]
        extra = {name: Buffer(name, where, owner, "scratch") for name in names}
        shown = [Store(name, node) for name, (_, node) in zip(names, parts, strict=True)]
        statements: list[Any] = []
        for at, statement in enumerate(op.statements[: number + 1]):
            statements += [s for s, (ahead, _) in zip(shown, parts, strict=True) if ahead == at]
            statements += [statement] if at < number else []
        program = self.session.program
        program = replace(program, buffers={**program.buffers, **extra})
        executor = self._executor(program, (_with(op, tuple(statements)),))
        executor.call("op0")
        values = [executor.read(name) for name in names]
        target = getattr(op.statements[number], "buffer", "")
        per_neuron = self.session.program.buffers[target].place is Place.NEURON
        numbers = [_at(value, place, per_neuron) for value in values]
        return _Blame(self.session, op, number, parts, numbers).find(found)


def _at(value: Array, place: tuple[int, ...], per_neuron: bool) -> float:
    """A value of (rows, n) or (pre, post) where a variable of as many axes or fewer is bad: the
    first bad one, if any."""
    held = np.ravel(value[:, place[0]] if per_neuron else value[place])
    bad = held[~np.isfinite(held)]
    return float((*bad, *held[:1])[0])


class _Blame:
    """Goes from a bad statement down to the part whose operands are all finite."""

    def __init__(
        self,
        session: Session,
        op: Cells,
        number: int,
        parts: list[tuple[int, Expr]],
        values: list[float],
    ) -> None:
        self.session, self.op, self.number = session, op, number
        self.values = {id(node): v for (_, node), v in zip(parts, values, strict=True)}
        self.binds = {s.name: s for s in of_kind(Bind, op.statements[:number])}

    def find(self, found: Origin) -> Origin:
        """`found`, or the `let`, definition or gradient that it got its value from."""
        for expr in expressions(self.op.statements[self.number]):
            found = self._down(expr, found)
        return self._definition(found)

    def _down(self, node: Expr, found: Origin) -> Origin:
        if isinstance(node, Local):
            return self._local(node.name, found)
        if not isinstance(node, Apply):
            return found
        found = replace(found, span=node.span or found.span)
        args = node.args
        if node.function == "select":  # both sides were computed
            args = args[1:2] if self._value(args[0]) else args[2:]
        for child in args:
            if not np.isfinite(self._value(child)):
                return self._down(child, found)
        return found

    def _value(self, node: Expr) -> float:
        known = float(node.value) if isinstance(node, Const) else 0.0
        return self.values.get(id(node), known)

    def _local(self, name: str, found: Origin) -> Origin:
        bind = self.binds.get(name)
        if bind is not None:
            if name in self.session.network.table:
                found = Origin(
                    name, _kind(self._value(bind.value)), found.row, bind.span or found.span
                )
            return self._down(bind.value, found)
        if any(total.name == name for total in getattr(self.op, "sums", ())):
            projection = self.session.network.projections[getattr(self.op, "projection", "")]
            rule = projection.rule
            if rule is not None and rule.dw is not None and projection.weight is not None:
                return replace(found, path=projection.weight, span=span_of(rule.dw) or rule.span)
        return found

    def _definition(self, found: Origin) -> Origin:
        """A `def` is computed where it is read: the line is its own, so the name is too."""
        for path, variable in self.session.network.table.items():
            if variable.definition is None or variable.owner != getattr(self.op, "population", ""):
                continue
            if any(span_of(node) == found.span for node in walk(variable.definition)):
                return replace(found, path=path)
        return found


def _kind(value: float) -> str:
    return "NaN" if np.isnan(value) else "infinity"


def _with(op: Cells, statements: Any) -> Op:
    """The operation with other statements."""
    return replace(op, statements=statements)


def _binds_behind(op: Cells, number: int) -> Iterator[tuple[int, Bind]]:
    """The named values that a statement needs, in the order in which they are computed."""
    wanted: set[str] = set()
    found: list[tuple[int, Bind]] = []
    for place in range(number, -1, -1):
        statement = op.statements[place]
        if place != number and statement.binds not in wanted:
            continue
        for expr in expressions(statement):
            wanted |= {node.name for node in walk(expr) if isinstance(node, Local)}
        if isinstance(statement, Bind):
            found.append((place, statement))
    yield from reversed(found)


def _in_order(op: Op) -> list[str]:
    """Buffers that an operation writes, in the order of its statements."""
    listed = [s.stores for s in _statements(op) if s.stores]
    return list(dict.fromkeys([*listed, *sorted(op.writes)]))


def _span(op: Op, name: str) -> Span | None:
    """Where the line stands that wrote a buffer."""
    for statement in _statements(op):
        if statement.stores == name and statement.span:
            return statement.span
    found = getattr(op, "span", None)
    return found if isinstance(found, Span) else None


def _statements(op: Op) -> Iterator[Statement]:
    """Statements of an operation, scalars and counts first."""
    for name in ("before", "scalars", "statements"):
        yield from getattr(op, name, ())
