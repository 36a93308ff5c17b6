"""The label of one read of a learning rule."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.dataflow.flow import FlowGraph
from netdsl.diagnostics.span import Span
from netdsl.ir.expr import ARRIVAL, NOW, PREV, SETTLED, Ref, refs
from netdsl.ir.network import Kind, Modulator, Network, Place, Projection, Rule, Variable
from netdsl.locality.gathering import gathered
from netdsl.locality.labels import SAMPLE, SPACE, Label, Level
from netdsl.locality.provenance import (
    AGGREGATED,
    COUNT,
    CROSS_SAMPLE,
    REDUCTION,
    TRANSPORT,
    WINDOW,
    Arrival,
    Provenance,
)
from netdsl.locality.received import Received, modulator_of, received


@dataclass(frozen=True)
class Violation:
    """A level that a rule may not have, with the read it came from.

    `names` are what a waiver may give after `on`; without `waivable` nothing excuses it.
    `path` tells how it arrived, origin first.
    """

    level: str
    code: str
    message: str
    span: Span | None
    names: tuple[str, ...]
    waivable: bool = True
    path: tuple[str, ...] = ()
    help: str | None = None
    note: str = "reads from here"  # beside the carets


@dataclass(frozen=True)
class Read:
    """A read as spelled, where it stands, its label and what is wrong with it."""

    name: str
    ref: Ref
    section: str  # dw | statement | subtract | after update | bound | optimiser
    label: Label
    scope: str = "none"
    violations: tuple[Violation, ...] = ()
    path: tuple[str, ...] = ()
    reductions: tuple[str, ...] = ()  # over populations, on the way to what is read


def line_of(span: Span | None) -> str:
    """`line 12`, or `built in` for what no file contains."""
    return f"line {span.line}" if span is not None and span.line > 0 else "built in"


def spelled(network: Network, ref: Ref) -> str:
    """A read as a rule writes it: `pre.s`, `post.r@free`, `w`, `good`, `batch.rows`."""
    modulator = modulator_of(network, ref.path)
    name = ref.path
    variable = network.table.get(ref.path)
    if modulator is not None:
        name = modulator.name
    elif variable is not None and variable.kind is Kind.TABLE:
        name = ref.path.partition("[")[0]
    elif ref.side in ("pre", "post"):
        name = f"{ref.side}.{ref.path.rsplit('.', 1)[-1]}"
    elif ref.side == "synapse" and variable is not None:
        name = variable.name
    if ref.time in (NOW, ARRIVAL, SETTLED):
        return name
    return name + (ref.time if ref.time.startswith("@") else f"@{ref.time}")


class Reader:
    """Labels the reads of the rule of one projection."""

    def __init__(
        self, graph: FlowGraph, provenance: Provenance, projection: Projection, rule: Rule
    ) -> None:
        self.graph = graph
        self.network = graph.network
        self.provenance = provenance
        self.projection = projection
        self.rule = rule
        self.sent = {r.path for d in projection.delivers for r in refs(d.value) if r.side == "pre"}
        self.internal = {
            *rule.variables,
            *(rule.optimiser.variables if rule.optimiser is not None else ()),
            *((rule.optimiser.gradient,) if rule.optimiser is not None else ()),
        }

    def read(self, ref: Ref, section: str) -> Read:
        """Classify one read."""
        name = spelled(self.network, ref)
        space, scope, violations, path = self._space(ref, name)
        label = Label(Level(space), self._time(ref, section), self._sample(ref))
        arrivals = self._arrivals(ref)
        for arrival in arrivals:
            if arrival.taint.kind == REDUCTION:
                continue
            label = label.join(_tainted(arrival))
            if arrival.taint.kind not in (COUNT, WINDOW):
                violations += (self._violation(arrival, ref, name),)
        return Read(name, ref, section, label, scope, violations, path, _reductions(arrivals, name))

    def _arrivals(self, ref: Ref) -> tuple[Arrival, ...]:
        return () if ref.path in self.internal else self.provenance.at(ref.path)

    def _space(
        self, ref: Ref, name: str
    ) -> tuple[str, str, tuple[Violation, ...], tuple[str, ...]]:
        variable = self.graph.variable(ref.path)
        modulator = modulator_of(self.network, ref.path)
        if modulator is not None:
            return self._modulator(modulator, ref, name)
        if ref.path in self.internal or variable is None or self.graph.is_shared(ref.path):
            known = variable is None or self.graph.is_shared(ref.path)
            return self._sample_or("constant" if known else "synapse", ref)
        if self.graph.is_sample_field(ref.path):
            return self._sample_or("constant", ref, variable)
        if self.graph.is_table(ref.path):
            return "constant", "none", (), ()  # what it is made of arrives with it
        if variable.owner in self.network.projections:
            return self._synaptic(ref, name, variable)
        return self._unit(ref, name, variable)

    def _sample_or(
        self, otherwise: str, ref: Ref, variable: Variable | None = None
    ) -> tuple[str, str, tuple[Violation, ...], tuple[str, ...]]:
        if not self.graph.is_sample_field(ref.path):
            return otherwise, "none", (), ()
        if variable is not None and variable.place is Place.UNIT:
            return (
                "non-local",
                "none",
                (self._foreign(ref, ref.path, "has one value per unit"),),
                (),
            )
        note = f"{line_of(ref.span)}: `{ref.path}` reaches every synapse as one number per sample"
        return "modulator", "global", (), (note,)

    def _modulator(
        self, modulator: Modulator, ref: Ref, name: str
    ) -> tuple[str, str, tuple[Violation, ...], tuple[str, ...]]:
        if not modulator.reaches(self.projection.post):
            why = f"is the modulator of `{modulator.population}`"
            return "non-local", modulator.scope, (self._foreign(ref, name, why),), ()
        on = f" on `{modulator.population}`" if modulator.population else ""
        path = (
            f"{line_of(modulator.span)}: modulator `{modulator.name}`{on}, scope {modulator.scope}",
        )
        return "modulator", modulator.scope, (), path

    def _synaptic(
        self, ref: Ref, name: str, variable: Variable
    ) -> tuple[str, str, tuple[Violation, ...], tuple[str, ...]]:
        own = (self.projection.name, self.graph.owner(self.projection.weight or ""))
        if variable.owner in own:
            return "synapse", "none", (), ()
        violation = Violation(
            TRANSPORT,
            "E0313",
            f"rule `{self.rule.name}` reads `{ref.path}`, a weight of other synapses",
            ref.span,
            (variable.owner, self.rule.name, self.projection.name),
            path=(f"{line_of(ref.span)}: rule `{self.rule.name}` reads `{ref.path}`",),
        )
        return TRANSPORT, "none", (violation,), ()

    def _unit(
        self, ref: Ref, name: str, variable: Variable
    ) -> tuple[str, str, tuple[Violation, ...], tuple[str, ...]]:
        ends = {"pre": self.projection.pre, "post": self.projection.post}
        if ends.get(ref.side) != variable.owner:
            return "non-local", "none", (self._foreign(ref, name, "is another population's"),), ()
        if ref.side == "pre":
            if self._arrives(variable):
                return "pre", "none", (), ()
            why = f"{line_of(ref.span)}: `{self.projection.name}` does not send `{name}`"
            return "pre-internal", "none", (), (why,)
        found = received(self.graph, variable.path)
        if found is None and variable.place is Place.ROW:
            why = f"`{variable.path}` is one number of `{variable.owner}`"
            found = Received("population", why, variable.span)
        if found is not None:
            return "modulator", found.scope, (), (f"{line_of(found.span)}: {found.why}",)
        return "post", "none", (), ()

    def _arrives(self, variable: Variable) -> bool:
        # Delivered, exposed, or a declared trace of one of these.
        if variable.path in self.sent or variable.exposed:
            return True
        if variable.kind is Kind.PARAM and variable.name == "type":
            return True  # of which type a sender is does not have to be told
        if variable.kind is Kind.TRACE and variable.of is not None:
            traced = self.graph.variable(variable.of)
            return traced is not None and self._arrives(traced)
        return False

    def _foreign(self, ref: Ref, name: str, why: str) -> Violation:
        shown = ref.path if name.startswith(("pre.", "post.")) else name
        return Violation(
            "non-local",
            "E0301",
            f"rule `{self.rule.name}` reads `{shown}`, which is neither pre, post, synapse nor "
            "a declared modulator",
            ref.span,
            (self.rule.name, self.projection.name),
            waivable=False,
            path=(f"{line_of(ref.span)}: `{shown}` {why}",),
            help=f"send it through a projection (`{shown.split('.')[0]} -> "
            f"{self.projection.post}`) or declare a modulator that reads it",
            note="value of another population",
        )

    def _time(self, ref: Ref, section: str) -> Level:
        if self.rule.clock == "update" and section != "statement":  # these run at every step
            return Level("trial-end")
        if ref.path in self.internal or self.graph.is_synaptic(ref.path):
            return Level("instant")
        travelled = self.projection.delay if ref.side == "pre" else 0
        if ref.time == PREV:  # what arrived in the step before
            return Level("delayed", travelled + 1)
        if ref.time == ARRIVAL and travelled > 0:
            return Level("delayed", travelled)
        return Level("instant")

    def _sample(self, ref: Ref) -> Level:
        if ref.path == "batch.rows":
            return Level("batch-size-dependent")
        variable = self.graph.variable(ref.path)
        cell = variable is not None and variable.owner in self.network.populations
        kept = variable is not None and variable.keep and (cell or ref.path in self.rule.variables)
        return Level("history") if kept or (cell and self._follows(ref.path)) else SAMPLE.best

    def _follows(self, path: str) -> bool:
        """Whether a definition is one of states that no reset touches."""
        sources = (ref.path for expr in self.graph.own_expressions(path) for ref in refs(expr))
        found = map(self.graph.variable, sources)
        variable = self.graph.variable(path)
        defined = variable is not None and variable.kind in (Kind.DEF, Kind.LET, Kind.MODULATOR)
        return defined and any(held is not None and held.keep for held in found)

    def _violation(self, arrival: Arrival, ref: Ref, name: str) -> Violation:
        taint = arrival.taint
        into = ", ".join(gathered(f"`{seed}`" for seed in taint.seeds))
        path = [f"{line_of(taint.span)}: {taint.why}; its values are in {into}"]
        path += [
            f"{line_of(f.span)}: enters `{f.target}`{_through(f.channel)}" for f in arrival.path
        ]
        reader = f"rule `{self.rule.name}` on `{self.projection.name}`"
        path.append(f"{line_of(ref.span)}: {reader} reads `{name}`")
        code = {TRANSPORT: "E0313", AGGREGATED: "E0311", CROSS_SAMPLE: "E0310"}[taint.kind]
        names = (taint.origin, taint.origin.split(".")[0], self.rule.name, self.projection.name)
        return Violation(taint.kind, code, taint.why, taint.span, names, path=tuple(path))


def _through(channel: str | None) -> str:
    return f" through projection `{channel}`" if channel is not None else ""


def _reductions(arrivals: tuple[Arrival, ...], name: str) -> tuple[str, ...]:
    return tuple(
        f"{arrival.taint.why} ({line_of(arrival.taint.span)})"
        for arrival in arrivals
        if arrival.taint.kind == REDUCTION and name.startswith(("pre.", "post."))
    )


def _tainted(arrival: Arrival) -> Label:
    kind = arrival.taint.kind
    if kind in (TRANSPORT, AGGREGATED):
        return Label(space=Level(kind))
    return Label(sample=Level(kind, arrival.taint.number))


__all__ = ["SPACE", "Read", "Reader", "Violation", "line_of", "modulator_of", "spelled"]
