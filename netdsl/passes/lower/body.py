"""A population's body as segments: runs of statements that need no further delivery.

A body is cut before the first statement that reads an input which other cells feed in the same
step. Lets become bound names; integrators become assignments; draws may be fed from outside.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.dataflow.order import numbers_of_slots
from netdsl.dataflow.slots import lacking
from netdsl.dataflow.walk import statement_parts
from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Custom, Expr, Load, Local, refs
from netdsl.ir.network import (
    Assign,
    DrawAssign,
    Integrate,
    Kind,
    Place,
    Population,
    Spike,
    Variable,
)
from netdsl.ir.network import Statement as CellStatement
from netdsl.ir.program import Bind, DrawStore, Each, Key, Op, Store
from netdsl.ir.space import slot
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.resolve import Resolver, variable_buffer
from netdsl.passes.lower.segments import Segment, promote
from netdsl.passes.lower.slots import OWN


@dataclass
class Body:
    """All segments of one population, with what they read from elsewhere in time."""

    segments: list[Segment]
    phases: set[tuple[str, str]]
    notes: list[str]


def inputs_read(context: Context, expr: Expr) -> set[str]:
    """Inputs that an expression reads, through definitions too."""
    found: set[str] = set()
    for ref in refs(expr):
        if ref.time.startswith("@") or ref.path not in context.network.table:
            continue  # kept from a phase, or a stage of an integrator
        variable = context.variable(ref.path)
        if variable.kind is Kind.INPUT:
            found.add(ref.path)
        elif variable.kind is Kind.DEF and variable.definition is not None:
            found |= inputs_read(context, variable.definition)
    return found


def body_inputs(context: Context, population: Population) -> set[str]:
    """All inputs that a population's step reads, observed variables included."""
    found: set[str] = set()
    for statement in population.body:
        for _, _, expr, _ in statement_parts(statement):
            found |= inputs_read(context, expr)
    for variable in observed(context, population):
        if variable.kind is Kind.INPUT:
            found.add(variable.path)
        elif variable.definition is not None:
            found |= inputs_read(context, variable.definition)
    return found


def observed(context: Context, population: Population) -> list[Variable]:
    """Variables of a population that the caller wants stored at every step."""
    return [v for path, v in population.variables.items() if Key(path) in context.observed]


@dataclass
class BodyBuilder:
    """Builds the segments of one population for one phase.

    `clamped`: states that a clamp holds (their assignments are dropped). `late`: inputs fed
    without delay by other cells, where the body is cut. `rows`: the replay whose slots the rows
    are; of another one, modulators make nothing.
    """

    context: Context
    population: Population
    clamped: frozenset[str]
    late: frozenset[str]
    rows: str = ""

    def build(self) -> Body:
        """The segments, with empty ones dropped."""
        self.resolver = Resolver(self.context, self.population.name, apart=self._apart)
        self.segments = [Segment(self.population.name)]
        self.opened: set[str] = set()
        for statement in self.population.body:
            self._statement(statement)
        self._observe()
        promote(self.context, self.segments)
        segments = [s for s in self.segments if s.statements or s.before]
        return Body(segments, self.resolver.phases, list(self.population.notes))

    def _statement(self, statement: CellStatement) -> None:
        assert not isinstance(statement, Integrate)  # equations are integrated by now
        if lacking(self.context.network, statement.target, self.rows):
            return
        if isinstance(statement, DrawAssign):
            self._draw(statement)
        elif isinstance(statement, Spike):
            self._store(statement.target, _fired(statement), statement.span)
        else:
            self._assign(statement)

    def _assign(self, statement: Assign) -> None:
        if self.context.variable(statement.target).memory:
            self._slots(statement.target, statement.value, statement.span)
        elif self.context.kind(statement.target) is Kind.LET:
            self._bind(statement.target, statement.value, statement.span)
        else:
            self._store(statement.target, statement.value, statement.span)

    def _reads(self, *exprs: Expr) -> Segment:
        """The segment for a statement with these operands; cut where a late input comes in."""
        inputs: set[str] = set()
        for expr in exprs:
            inputs |= inputs_read(self.context, expr)
        slotted = numbers_of_slots(self.context.network, self.population.name, exprs)
        fresh = (inputs & self.late | slotted) - self.opened
        if fresh and self.segments[-1].statements:
            self.segments.append(Segment(self.population.name))
        self.opened |= fresh
        segment = self.segments[-1]
        segment.inputs |= inputs
        segment.reads |= slotted
        return segment

    def _resolved(self, expr: Expr) -> Expr:
        """An expression over buffers, and behind it what it is made of."""
        self.resolver.emit = []
        value = self.resolver.resolve(expr)
        self.segments[-1].statements += self.resolver.emit
        return value

    def _apart(self, op: Op) -> None:
        """An operation behind all statements so far."""
        self.segments[-1].statements += self.resolver.emit
        self.resolver.emit = []
        if self.segments[-1].statements:
            self.segments.append(Segment(self.population.name))
        self.segments[-1].before.append(op)

    def _bind(self, name: str, value: Expr, span: Span | None) -> None:
        self._reads(value)
        bound = Bind(name, self._resolved(value), span)
        self.segments[-1].statements.append(bound)
        self.resolver.lets.add(name)

    def _store(self, target: str, value: Expr, span: Span | None) -> None:
        if target in self.clamped:
            return
        self._reads(value)
        buffer = variable_buffer(self.context, self.context.variable(target))
        if self.context.buffers[buffer].place is Place.PAIR:
            self.resolver.slots.store(buffer, value, span)
            self.segments[-1].assigns.add(target)
            return
        resolved = self._resolved(value)
        segment = self.segments[-1]
        if resolved != Load(buffer):  # `x := x` does nothing
            segment.statements.append(Store(buffer, resolved, span))
        segment.assigns.add(target)
        self.resolver.forget()

    def _slots(self, target: str, value: Expr, span: Span | None) -> None:
        """A number for each slot of a window."""
        self._reads(value)
        variable = self.context.variable(target)
        held = self.resolver.slots.stored(value, f"{variable.memory}:{OWN}")
        store = Store(variable_buffer(self.context, variable), held, span)
        self._apart(Each((slot(variable.memory),), (store,), label=target))
        self.segments[-1].assigns.add(target)
        self.resolver.forget()

    def _draw(self, statement: DrawAssign) -> None:
        if statement.target in self.clamped:
            return
        self._reads(*statement.draw.args)
        self.resolver.forget()
        variable = self.context.variable(statement.target)
        buffer = variable_buffer(self.context, variable)
        if statement.target in self.context.feed:
            fed = self.context.need(
                statement.target,
                Place.UNIT,
                variable.owner,
                "sample",
                "fed from outside",
                tag="feed",
            )
            self.segments[-1].statements.append(Store(buffer, Load(fed), statement.span))
            self.segments[-1].assigns.add(statement.target)
            return
        args = tuple(self._resolved(arg) for arg in statement.draw.args)
        draw = statement.draw
        self.segments[-1].assigns.add(statement.target)
        self.segments[-1].statements.append(
            DrawStore(buffer, draw.distribution, args, draw.stream, statement.span)
        )

    def _observe(self) -> None:
        for variable in observed(self.context, self.population):
            if variable.kind is Kind.LET and variable.path in self.resolver.lets:
                value: Expr = Local(variable.path)
            elif variable.kind is Kind.DEF and variable.definition is not None:
                self._reads(variable.definition)
                value = self._resolved(variable.definition)
            else:
                continue
            buffer = self.context.need(
                variable.path,
                variable.place,
                variable.owner,
                "observed",
                "asked for by the caller",
                tag="",
            )
            self.segments[-1].statements.append(Store(buffer, value, variable.span))


def _fired(spike: Spike) -> Expr:
    """The condition, with the slope that its surrogate gives it along the margin."""
    if spike.surrogate is None:
        return spike.condition
    return Custom(spike.condition, spike.margin, spike.surrogate, spike.span)
