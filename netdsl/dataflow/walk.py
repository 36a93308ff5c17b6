"""One walk over a network: every expression of it, with where it stands and what it enters.

Checks, locality and passes that ask for "every expression" filter this walk. A new kind of
statement, or a new place for an expression, is told here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, singledispatch

from netdsl.diagnostics.span import Span
from netdsl.ir import protocol as proto
from netdsl.ir.expr import Expr, Ref, refs, span_of
from netdsl.ir.network import (
    Assign,
    Deliver,
    Draw,
    DrawAssign,
    Eligibility,
    Expect,
    Integrate,
    Loss,
    Modulator,
    Network,
    Population,
    Projection,
    Rule,
    Spike,
    Statement,
    Variable,
)
from netdsl.ir.task import TaskField

Declared = (
    Variable
    | Statement
    | Deliver
    | Projection
    | Rule
    | Eligibility
    | Expect
    | Modulator
    | proto.Step
    | proto.Protocol
    | proto.Readout
    | proto.Metric
    | proto.Recorder
    | Loss
    | TaskField
)

# What is computed in a cell, from its own variables to its own variables.
CELL = frozenset({"initial", "statement", "def", "slope"})
# What the value of a variable comes from.
VALUES = CELL - {"slope"} | {"deliver", "modulator", "clamp", "set"}
# What the host computes to decide how a protocol goes on.
DECISIONS = frozenset({"decide", "control"})


@dataclass(frozen=True)
class Flow:
    """The values `sources` enter `target`; `expr` is what is read.

    `kind`: initial | statement | def | slope (of a spike: its margin and surrogate) | deliver |
    structure (which synapses are read backwards) | sign | rule | modulator | readout | metric |
    loss | clamp | set | rewire | control | decide | record | task (a field of its samples).
    `target`: the path of a variable; "" where the values enter none, or change what a rule learns.
    `owner`: name of the population, projection, modulator, readout or protocol that it is written
    in. `node`: the declaration or statement. `section`: the part of a rule.
    """

    target: str
    expr: Expr
    kind: str
    owner: str
    node: Declared
    span: Span | None = None
    section: str = ""

    @cached_property
    def sources(self) -> tuple[Ref, ...]:
        """The reads of the expression."""
        return refs(self.expr)

    @property
    def channel(self) -> str | None:
        """The projection that carries the values."""
        return self.owner if self.kind == "deliver" else None

    @property
    def draw(self) -> Draw | None:
        """The draw that the expression is an argument of."""
        if isinstance(self.node, DrawAssign):
            return self.node.draw
        init = self.node.init if isinstance(self.node, Variable) else None
        return init if self.kind == "initial" and isinstance(init, Draw) else None


# What a statement holds: the target and the kind of each expression, and where it was written.
Part = tuple[str, str, Expr, Span | None]


def walk_network(network: Network) -> tuple[Flow, ...]:
    """Every expression of a network. A network does not change, and so is walked once."""
    known = vars(network)
    if "flows" not in known:
        known["flows"] = tuple(_everything(network))
    found: tuple[Flow, ...] = known["flows"]
    return found


def _everything(network: Network) -> Iterator[Flow]:
    yield from _starts("", network.variables.values())
    yield from _definitions("", network.variables.values())
    for population in network.populations.values():
        yield from walk_population(population)
    for projection in network.projections.values():
        yield from walk_projection(projection)
    for modulator in network.modulators:
        name, span = modulator.name, modulator.span
        yield Flow(modulator.variable, modulator.emit, "modulator", name, modulator, span)
    yield from walk_host(network)


def walk_population(population: Population) -> Iterator[Flow]:
    """Starts, body, `on phase` actions and definitions of one population."""
    variables = population.variables.values()
    yield from _starts(population.name, variables)
    yield from _body(population.name, (*population.body, *population.on_phase))
    yield from _definitions(population.name, variables)


def walk_projection(projection: Projection) -> Iterator[Flow]:
    """Starts, deliveries, definitions, signs and the rule of one projection."""
    name, variables = projection.name, projection.variables.values()
    yield from _starts(name, variables)
    for deliver in projection.delivers:
        span = deliver.span or projection.span
        yield Flow(deliver.input, deliver.value, "deliver", name, deliver, span)
    yield from _definitions(name, variables)
    if projection.present is not None:
        for deliver in projection.delivers:
            present, span = projection.present, projection.span
            yield Flow(deliver.input, present, "structure", name, projection, span)
    if projection.sign is not None:
        yield Flow(projection.weight or name, projection.sign, "sign", name, projection)
    if projection.rule is not None:
        optimiser = projection.rule.optimiser
        yield from _starts(name, projection.rule.variables.values())
        yield from _starts(name, optimiser.variables.values() if optimiser is not None else ())
        yield from walk_rule(projection.rule)


def walk_rule(rule: Rule) -> Iterator[Flow]:
    """What one application of a rule computes, section by section."""
    for section, target, expr, node in _sections(rule):
        yield Flow(target, expr, "rule", rule.projection, node, span_of(expr), section)


def _sections(rule: Rule) -> Iterator[tuple[str, str, Expr, Declared]]:
    for eligibility in rule.eligibilities:
        for expr in derived_from(eligibility):
            yield "statement", eligibility.variable, expr, eligibility
    for statement in rule.statements:
        for _, target, value, _ in statement_parts(statement):
            yield "statement", target, value, statement
    for variable in rule.variables.values():
        if variable.definition is not None:
            yield "statement", variable.path, variable.definition, variable
    for expect in rule.expects:
        for expr in (expect.left, expect.right):
            yield "expect", "", expr, expect
    if rule.dw is not None:
        yield "dw", "", rule.dw, rule
    for expr in rule.subtract:
        yield "subtract", "", expr, rule
    for assign in rule.after:
        yield "after update", assign.target, assign.value, assign
    for limit in rule.bound or ():
        yield "bound", "", limit, rule
    if rule.optimiser is not None:
        for variable in rule.optimiser.variables.values():
            if variable.definition is not None:
                yield "optimiser", variable.path, variable.definition, variable
        for assign in rule.optimiser.statements:
            yield "optimiser", assign.target, assign.value, assign
        yield "optimiser", "", rule.optimiser.change, rule


def derived_from(eligibility: Eligibility) -> tuple[Expr, ...]:
    """What an eligibility is made of: its target, with all that enters it, and what is sent."""
    target = Ref(eligibility.target, "post", span=eligibility.span)
    return (target, *(slope for _, slope in eligibility.factors))


def walk_host(network: Network) -> Iterator[Flow]:
    """What the host computes or asks for: readouts, metrics, losses, protocols, records."""
    for readout in network.readouts.values():
        yield Flow("", readout.value, "readout", readout.name, readout, readout.span)
    for metric in network.metrics.values():
        yield Flow("", metric.value, "metric", metric.name, metric, metric.span)
    for loss in network.losses.values():
        yield Flow("", loss.value, "loss", loss.name, loss, loss.span)
    for protocol in network.protocols.values():
        yield from walk_protocol(protocol)
    for data in network.data.values():
        for field in data.fields:
            held = field.value.args if isinstance(field.value, Draw) else (field.value,)
            for expr in held:  # which fields of the samples a field is computed from
                yield Flow("", expr, "task", data.name, field, field.span)
    for recorder in network.recorders:
        read = Ref(recorder.variable, span=recorder.span)
        yield Flow("", read, "record", "", recorder, recorder.span)


def walk_protocol(protocol: proto.Protocol) -> Iterator[Flow]:
    """Defaults and statements of one protocol, in order of the text."""
    for _, default in protocol.parameters:
        if default is not None:
            yield Flow("", default, "decide", protocol.name, protocol, protocol.span)
    for step in proto.steps_of(protocol.body):
        for kind, target, expr, span in step_parts(step):
            yield Flow(target, expr, kind, protocol.name, step, span)


@singledispatch
def statement_parts(statement: Statement) -> Iterable[Part]:
    """What a statement of a cell or a rule assigns, and slopes of spikes."""
    raise TypeError(f"the walk does not know what a {type(statement).__name__} holds")


@statement_parts.register
def _(statement: Assign) -> Iterable[Part]:
    yield "statement", statement.target, statement.value, statement.span


@statement_parts.register
def _(statement: Spike) -> Iterable[Part]:
    yield "statement", statement.target, statement.condition, statement.span
    yield "slope", statement.target, statement.margin, statement.span
    if statement.surrogate is not None:
        yield "slope", statement.target, statement.surrogate, statement.span


@statement_parts.register
def _(statement: DrawAssign) -> Iterable[Part]:
    for argument in statement.draw.args:
        yield "statement", statement.target, argument, statement.span


@statement_parts.register
def _(statement: Integrate) -> Iterable[Part]:
    for target, rate in statement.equations:
        yield "statement", target, rate, span_of(rate) or statement.span


def step_parts(step: proto.Step) -> Iterator[Part]:
    """What a statement of a protocol computes itself, blocks in it left out."""
    span = step.span
    if isinstance(step, proto.Clamp):
        yield "clamp", step.target, step.value, span
    elif isinstance(step, proto.SetState | proto.SetGlobal):
        yield "set", step.target, step.value, span
    elif isinstance(step, proto.RunPhase):
        yield "decide", "", step.steps, span
        for path, value in step.controls:
            yield "control", path, value, span
    elif isinstance(step, proto.Rewire):
        for part in step.over:
            for expr in (part.present, part.prune, part.share, part.start):
                if expr is not None:
                    yield "rewire", part.weight, expr, span
        for expr in (step.count, step.budget):
            if expr is not None:
                yield "rewire", "", expr, span
    elif isinstance(step, proto.Choose):
        yield "decide", "", step.condition, span
    elif isinstance(step, proto.Repeat):
        yield "decide", "", step.until, span
        yield "decide", "", step.limit, span
    elif isinstance(step, proto.Each | proto.Evaluate) and step.limit is not None:
        yield "decide", "", step.limit, span
    elif isinstance(step, proto.RunProtocol) and step.rounds is not None:
        yield "decide", "", step.rounds, span


def _body(owner: str, statements: Iterable[Statement]) -> Iterator[Flow]:
    for statement in statements:
        for kind, target, expr, span in statement_parts(statement):
            yield Flow(target, expr, kind, owner, statement, span)


def _starts(owner: str, variables: Iterable[Variable]) -> Iterator[Flow]:
    """`state thr = thr0`: parameters of a neuron enter its states; a draw by its arguments."""
    for variable in variables:
        values = variable.init.expressions if isinstance(variable.init, Draw) else (variable.init,)
        for value in values:
            if value is not None:
                yield Flow(variable.path, value, "initial", owner, variable, variable.span)


def _definitions(owner: str, variables: Iterable[Variable]) -> Iterator[Flow]:
    for variable in variables:
        if variable.definition is not None:
            yield Flow(variable.path, variable.definition, "def", owner, variable, variable.span)
