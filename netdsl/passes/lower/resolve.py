"""Turn expressions over variables into expressions over buffers, for one population.

A reader (`Resolver`) knows which population it stands in and what bare reads mean there: in a step
an input is the held sum; elsewhere it is settled. Population reductions are taken out as
`RowReduce` statements ahead of the statement that reads them; batch reductions of sample fields
become scalars that the host computes when a batch is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import (
    Expr,
    Index,
    Load,
    Local,
    Reduce,
    Ref,
    refs,
    transform,
    walk,
)
from netdsl.ir.network import Kind, Place, Type, Variable
from netdsl.ir.program import PHASE, AxisReduce, Key, Op, RowReduce, Statement
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.constancy import constant_source
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.indices import axis_index, with_flat_indices
from netdsl.passes.lower.past import delayed
from netdsl.passes.lower.slots import Slots
from netdsl.passes.lower.times import retime, steps_ago

STEP_COUNTERS = ("phase.step", "t")  # what the backend counts on from step to step

_ROLE = {
    Kind.PARAM: "parameter",
    Kind.INPUT: "input",
    Kind.STATE: "state",
    Kind.SPIKE: "state",
    Kind.TRACE: "state",
    Kind.DRAW: "state",
    Kind.MODULATOR: "modulator",
    Kind.CONTROL: "control",
    Kind.GLOBAL: "control",
    Kind.COUNTER: "counter",
    Kind.WEIGHT: "weight",
    Kind.OPTIMISER: "optimiser",
    Kind.LET: "scratch",
    Kind.DEF: "scratch",
    Kind.TABLE: "scratch",
}


def variable_buffer(context: Context, variable: Variable) -> str:
    """The buffer that holds a variable's present value."""
    binary = variable.kind is Kind.SPIKE or variable.type is Type.BOOL
    place = variable.place
    init = with_flat_indices(context, variable)
    per_sample = place in (Place.UNIT, Place.ROW, Place.ROW_SYNAPSE, Place.PAIR)
    return context.need(
        variable.path,
        place,
        variable.owner,
        _ROLE[variable.kind],
        context.placed.get(variable.path, variable.kind.value),
        type=Type.BOOL if binary else Type.REAL,
        init=None if per_sample else init,
        span=variable.span,
        tag="",
        memory=variable.memory,
    )


@dataclass
class Resolver:
    """Resolves reads of one population's code; `emit` collects reductions taken out.

    `lets`: names bound so far. `settled`: how to obtain an input's settled buffer, when bare input
    reads are settled here. `phases` collects (path, phase) reads.
    """

    context: Context
    population: str
    emit: list[Statement] = field(default_factory=list)
    lets: set[str] = field(default_factory=set)
    phases: set[tuple[str, str]] = field(default_factory=set)
    settled: Callable[[str], str] | None = None
    sent: bool = False
    apart: Callable[[Op], None] | None = None  # takes what is read of other rows out of the loop
    _slots: Slots | None = None

    def resolve(self, expr: Expr) -> Expr:
        """The same value over buffers."""
        return simplify(transform(expr, self._visit))

    def _visit(self, node: Expr) -> Expr | None:
        if isinstance(node, Ref):
            return self._ref(node)
        if isinstance(node, Reduce):
            return self._reduce(node)
        if isinstance(node, Index) and node.axis is not None:
            return axis_index(self.context, self.population, node)
        return None

    @property
    def slots(self) -> Slots:
        """Reads of other rows, which stand in the bodies of populations."""
        if self._slots is None:
            apart = self.apart
            if apart is None:
                raise LoweringError(
                    "E0831",
                    "slots of a memory are read where no body of a population runs",
                    None,
                    "let a modulator reduce over them",
                )
            context, emit = self.context, lambda statement: self.emit.append(statement)
            pair = lambda path: variable_buffer(context, context.variable(path))  # noqa: E731
            self._slots = Slots(context, self.population, self.resolve, emit, apart, pair)
        return self._slots

    def forget(self) -> None:
        """A variable changes, which some value of other rows may have been made of."""
        if self._slots is not None:
            self._slots.forget()

    def _ref(self, ref: Ref) -> Expr:
        if ref.slot:
            return self.slots.read(ref)
        if ref.path in self.lets:
            return Local(ref.path, ref.span)
        variable = self.context.variable(ref.path)
        if variable.kind is Kind.SAMPLE:
            return self._sample(variable, ref)
        if ref.time.startswith("@"):
            return self._phase_read(variable, ref)
        if variable.kind is Kind.DEF:
            return self._definition(variable, ref)
        late = self.sent and ref.path in STEP_COUNTERS
        if (late or steps_ago(ref.time)) and variable.kind is not Kind.PARAM:
            return self._previous(variable, ref)
        if variable.kind is Kind.INPUT and self.settled is not None:
            return Load(self.settled(ref.path), ref.span)
        if variable.kind is Kind.LET:
            return self._stored_let(variable, ref)
        return Load(variable_buffer(self.context, variable), ref.span)

    def _sample(self, variable: Variable, ref: Ref) -> Expr:
        held = self.context.sample(ref.path, self.population)
        if not variable.series:
            return Load(held, ref.span)
        step = Load(variable_buffer(self.context, self.context.variable("t")), ref.span)
        return Load(held, ref.span, ago=step)

    def _stored_let(self, variable: Variable, ref: Ref) -> Expr:
        """A `let` read outside its body (a modulator's): only where it is observed. One of a rule
        may have a buffer."""
        named = self.context.named
        held = named.get(Key(variable.path)) or named.get(Key(variable.path, "kept"))
        if held is not None:
            return Load(held, ref.span)
        raise LoweringError(
            "E0105",
            f"`{variable.path}` is a `let`: it is private to the body that computes it",
            ref.span,
            "make it a `def` or a `state` to read it from elsewhere",
        )

    def _definition(self, variable: Variable, ref: Ref) -> Expr:
        assert variable.definition is not None
        return self.resolve(retime(variable.definition, steps_ago(ref.time)))

    def _previous(self, variable: Variable, ref: Ref) -> Expr:
        steps = steps_ago(ref.time) or 1
        lines = self.context.lines
        lines[variable.path] = max(steps, lines.get(variable.path, 0))
        return Load(delayed(self.context, variable, steps), ref.span)

    def _phase_read(self, variable: Variable, ref: Ref) -> Expr:
        phase = ref.time[1:]
        if constant_source(self.context, variable):
            return Load(variable_buffer(self.context, variable), ref.span)
        self.phases.add((variable.path, phase))
        return Load(phase_buffer(self.context, variable, phase), ref.span)

    def _reduce(self, node: Reduce) -> Expr:
        context = self.context
        if node.over_slots is not None:
            return self.slots.reduce(node)
        if node.axis == "batch":
            return self._batch_reduce(node)
        if node.axis != "population":
            return self._axis_reduce(node)
        body = self.resolve(node.body)
        buffer = context.scratch(
            f"{self.population}.{node.kind}", Place.ROW, self.population, "population reduction"
        )
        self.emit.append(RowReduce(buffer, node.kind, body, node.span))
        return Load(buffer, node.span)

    def _axis_reduce(self, node: Reduce) -> Expr:
        """A reduction over one axis: every neuron of a group gets the group's number."""
        context = self.context
        group = group_of(context, self.population, node.axis)
        if group is None:
            raise LoweringError(
                "E0831",
                f"a reduction over `{node.axis}` is not offered inside a cell",
                node.span,
                "reduce over the population or one of its axes, or read it out with a `readout`",
            )
        body = self.resolve(node.body)
        hint, why = f"{self.population}.{node.kind}", f"reduction over {node.axis}"
        buffer = context.scratch(hint, Place.UNIT, self.population, why)
        self.emit.append(AxisReduce(buffer, node.kind, body, *group, node.span))
        return Load(buffer, node.span)

    def _batch_reduce(self, node: Reduce) -> Expr:
        for ref in refs(node.body):
            if self.context.kind(ref.path) is not Kind.SAMPLE:
                raise LoweringError(
                    "E0310",
                    f"`{ref.path}` differs between samples: a batch reduction in a cell or rule "
                    "may read `sample.*` only",
                    ref.span,
                    "reduce it over the population, or let the rule's own `reduce` sum it",
                )
        self._one_number(node)
        expr = Reduce(node.kind, node.axis, self.resolve(node.body))
        for name, known in self.context.host_scalars.items():
            if known == expr:
                return Load(name, node.span)
        name = f"batch.{node.kind}{len(self.context.host_scalars)}"
        self.context.need(name, Place.GLOBAL, "", "control", "batch reduction of sample fields")
        self.context.host_scalars[name] = expr
        return Load(name, node.span)

    def _one_number(self, node: Reduce) -> None:
        """What the host computes for a batch is one number."""
        fields = [self.context.variable(ref.path) for ref in refs(node.body)]
        wide = next((field for field in fields if field.place is Place.UNIT), None)
        if wide is not None or any(isinstance(part, Reduce | Index) for part in walk(node.body)):
            what = f"`{wide.path}`, one for each unit," if wide is not None else "this"
            raise LoweringError(
                "E0831",
                f"a batch reduction of {what} is not offered in a cell or rule",
                node.span,
                "prepare the number as a field of the data",
            )


def group_of(context: Context, population: str, axis: str) -> tuple[int, int] | None:
    """Length of a named axis and the distance of its places; None if there is no such axis."""
    inner = 1
    for name, length in reversed(context.network.populations[population].axes):
        if name == axis:
            return length, inner
        inner *= length
    return None


def phase_buffer(context: Context, variable: Variable, phase: str | None) -> str:
    """The buffer of `x@phase`; without a phase that of the settled value."""
    binary = variable.kind is Kind.SPIKE or variable.type is Type.BOOL
    place = Place.UNIT if variable.kind in (Kind.DEF, Kind.INPUT) else variable.place
    return context.need(
        variable.path,
        place,
        variable.owner,
        "snapshot",
        "settled value" if phase is None else f"value at the end of phase `{phase}`",
        type=Type.BOOL if binary else Type.REAL,
        span=variable.span,
        tag="settled" if phase is None else PHASE + phase,
    )
