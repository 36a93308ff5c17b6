"""Steps of a protocol that rewrite state: `reset`, `clamp`, `set` and `:=`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Apply, Reduce, Ref, walk
from netdsl.ir.functions import HOST_FUNCTIONS
from netdsl.ir.network import Kind, Place, Variable
from netdsl.ir.protocol import Clamp, Reset, SetGlobal, SetState, Step
from netdsl.sema.cells.populations import PopulationScope
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Signal
from netdsl.sema.scopes.scope import Bound, Scope
from netdsl.sema.scopes.units import NONE
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.experiment.protocols import Builder


def reset_step(build: Builder, node: ast.Reset) -> Reset | None:
    targets = []
    for ref in node.targets:
        known = (*build.context.populations, *build.context.modulators)
        if ref.name not in known:
            build.context.unknown("population", ref.name, ref.span, known)
        else:
            targets.append(ref.name)
    if node.targets and not targets:
        return None
    return Reset(tuple(targets), node.span)


def _target(build: Builder, ref: ast.Ref) -> tuple[PopulationScope, Variable] | None:
    """The variable of a population that `clamp` or `set` names; None after a report."""
    context, parts = build.context, ref.parts
    scope = context.cells.get(".".join(parts[:-1]))
    if scope is None:
        if not context.bag.is_poisoned("population", parts[0]):
            known = [f"{c.name}.{name}" for c in context.cells.values() for name in c.paths]
            context.unknown("variable", ref.name, ref.span, known, build.kind)
        return None
    path = scope.paths.get(parts[-1])
    if parts[-1] in scope.vectors:
        context.bag.error(
            "E0165",
            f"`{ref}` is a vector of {scope.vectors[parts[-1]]}: clamp and set take one variable",
            ref.span,
            help="read an input of its own in the cell: `input p; g[0] := p`",
        )
        return None
    if path is None:
        known = [f"{scope.name}.{name}" for name in scope.paths]
        context.unknown("variable", ref.name, ref.span, known, build.kind)
        return None
    context.use("population", scope.name)
    context.use("clamped", path)
    return scope, scope.variables[path]


def clamp_step(build: Builder, node: ast.Clamp) -> Clamp | None:
    target = _target(build, node.target)
    scope: Scope = build.scope if target is None else _Inside(build.scope, target[0], build.source)
    value = expressions.translate(node.value, scope)
    if target is None or value.bad:
        return None
    variable = target[1]
    if variable.kind not in (Kind.INPUT, Kind.STATE):
        build.context.bag.error(
            "E0104",
            f"`{node.target}` is a {variable.kind.value}; inputs and states are clamped",
            node.target.span,
        )
        return None
    if not _fits(build, variable, value, node.target) or not _computed(build, value):
        return None
    return Clamp(variable.path, value.expr, build.site(), node.span)


def _computed(build: Builder, value: Value) -> bool:
    """Whether a value can be computed where the unit is; reports a readout that the host makes."""
    for node in walk(value.expr):
        made = isinstance(node, Apply) and node.function in HOST_FUNCTIONS
        if made or (isinstance(node, Reduce) and node.kind in ("argmax", "count")):
            build.context.bag.error(
                "E0209",
                "this is made of whole arrays when a phase has ended, not for each unit",
                value.span,
                help="clamp and set take values of the population, `sample.*` and parameters",
            )
            return False
    return True


def _fits(build: Builder, variable: Variable, value: Value, target: ast.Ref) -> bool:
    if variable.place is Place.ROW and value.place in (Place.UNIT, Place.NEURON):
        build.context.bag.error(
            "E0208",
            f"`{target}` is one number per population, this is one per neuron",
            value.span,
        )
        return False
    dim = build.context.dims[variable.path]
    return expressions.expect(value, dim, f"`{target}` is", build.scope)


def set_step(build: Builder, ref: ast.Ref, node: ast.Expr, step: ast.Node) -> SetState | None:
    weight = _weight(build, ref)
    if weight is not None:
        return _set_weight(build, weight, node, step)
    target = _target(build, ref)
    scope: Scope = build.scope if target is None else _Inside(build.scope, target[0], build.source)
    value = expressions.translate(node, scope)
    if target is None or value.bad:
        return None
    variable = target[1]
    if variable.kind not in (Kind.INPUT, Kind.STATE, Kind.TRACE):
        build.context.bag.error(
            "E0104", f"`{ref}` is a {variable.kind.value}; inputs and states are set", ref.span
        )
        return None
    if not _fits(build, variable, value, ref) or not _computed(build, value):
        return None
    return SetState(variable.path, value.expr, build.site(), step.span)


def _weight(build: Builder, ref: ast.Ref) -> str | None:
    projection = build.context.projections.get(ref.parts[0])
    if projection is None or ref.name not in projection.variables:
        return None
    return ref.name


def _set_weight(build: Builder, path: str, node: ast.Expr, step: ast.Node) -> SetState | None:
    value = build.value(node)
    if value.bad:
        return None
    inner = (
        value.expr.args[0]
        if isinstance(value.expr, Apply) and (value.expr.function == "transpose")
        else value.expr
    )
    if not isinstance(inner, Ref) or value.place is not Place.SYNAPSE:
        build.context.unsupported(
            "computed weights are",
            node.span,
            "copy another weight: `set Wc.w := W.w` or `set Wc.w := transpose(W.w)`",
        )
        return None
    return SetState(path, value.expr, build.site(), step.span)


def assign_step(build: Builder, node: ast.GlobalAssign) -> Step | None:
    if len(node.target.parts) > 1:
        return set_step(build, node.target, node.value, node)
    value = expressions.translate(node.value, _Drawing(build.scope))
    variable = build.context.variables.get(node.target.name)
    if variable is None or variable.kind is not Kind.GLOBAL:
        _no_global(build, node, variable)
        return None
    build.context.use("global", variable.path)
    if value.bad or not _fits(build, variable, value, node.target):
        return None
    if value.place is not Place.GLOBAL:
        build.context.bag.error("E0208", f"`{node.target}` is one number", node.value.span)
        return None
    return SetGlobal(variable.path, value.expr, build.site(), node.span)


def _no_global(build: Builder, node: ast.GlobalAssign, variable: Variable | None) -> None:
    name = node.target.name
    known = build.context.declarations.table("global")
    if variable is None and name not in build.scope.names():
        build.context.unknown("global state", name, node.target.span, known, build.kind)
        return
    control = variable is not None and variable.kind is Kind.CONTROL
    build.context.bag.error(
        "E0115",
        f"`{name}` is not a global state and cannot be assigned",
        node.target.span,
        help=f"a control is set by a phase: `phase run 10 steps {{ {name} = 1 }}`"
        if control
        else f"declare `global state {name} = …`",
    )


class _Drawing(Scope):
    """The value of a global state, which may be drawn."""

    def __init__(self, outer: Bound) -> None:
        super().__init__(outer.context, outer)
        self.kind = outer.kind

    @property
    def draws(self) -> bool:
        return True


class _Inside(Scope):
    """A value written for a variable of a population: its names first, then the protocol's."""

    def __init__(self, outer: Bound, population: PopulationScope, source: str) -> None:
        super().__init__(outer.context, outer)
        self.population, self.source = population.settled(), source
        self.kind = f"what {outer.kind} puts on `{population.name}`"

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        name = parts[0]
        if name == "sample" and len(parts) == 2 and at in (None, "step"):
            found = self._varying(parts[1], at, span)
            if found is not None:
                return found
        bound = self.parent
        if len(parts) == 1 and isinstance(bound, Bound) and name in bound.values:
            return bound.values[name].at(span)
        own = name in self.population.paths or name in self.population.params or name == "index"
        if len(parts) == 1 and own:
            return self.population.find(parts, at, span)
        return super().find(parts, at, span)

    def _varying(self, name: str, at: str | None, span: Span) -> Value | None:
        """What changes from step to step: a signal, or a field with a value for each step."""
        signals = self.context.signals.get(name, {})
        if at is None:
            return self._signal(name, signals, span) if signals else None
        made = {field.name for data in self.context.data.values() for field in data.fields}
        if signals or name in made:
            self.context.bag.error(
                "E0787",
                f"`sample.{name}` is drawn or computed, and is read as it is, without `@step`",
                span,
                help="a signal varies by itself; a field does not vary",
            )
            return bad(span)
        path = self.context.series(name, span).path
        return Value(Ref(path, span=span), NONE, place=Place.UNIT, span=span)

    def _signal(self, name: str, signals: dict[str, Signal], span: Span) -> Value:
        """A signal stands for its expression, that of the task which the loop takes from."""
        signal = signals.get(self.source)
        if signal is None and not self.source and len(signals) == 1:
            (signal,) = signals.values()
        if signal is None:
            tasks = " and ".join(f"`{task}`" for task in signals)
            here = f"this loop is over `{self.source}`" if self.source else "any may be meant here"
            self.context.bag.error(
                "E0781",
                f"`sample.{name}` is a signal of {tasks}, and {here}",
                span,
                *(Label(found.span, "declared here") for found in signals.values()),
                help="name the task in the loop, `each batch of TASK`, or rename the signal",
            )
            return bad(span)
        width = self.population.width()
        if signal.size is not None and signal.size != width:
            self.context.bag.error(
                "E0784",
                f"signal `{name}` has {signal.size} units, `{self.population.name}` has {width}",
                span,
                Label(signal.span, "declared here"),
                help=f"declare `signal {name}[{width}]`, or change the population's size",
            )
            return bad(span)
        return signal.value.at(span)

    def names(self) -> Iterator[str]:
        yield from self.population.paths
        yield from super().names()

    def width(self) -> int | None:
        return self.population.width()

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        axes = [axis.name for axis in node.over.axes] if node.over is not None else []
        if kind in ("argmax", "count") or axes not in ([], ["population"]):
            self.context.bag.error(
                "E0209",
                f"this reduction is not available in {self.kind}",
                node.span,
                help="sum, mean, max, min and any over the population are",
            )
            return bad(node.span)
        return super().reduce(kind, body, node)

    @property
    def host(self) -> bool:
        return False  # a value for each unit, computed where the unit is
