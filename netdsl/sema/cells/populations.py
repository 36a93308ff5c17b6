"""Populations: the names of one cell, seen from one of its neurons."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from netdsl.diagnostics import Span
from netdsl.ir.expr import NOW, PREV, SETTLED, Ref
from netdsl.ir.network import Kind, Place, Type, Variable
from netdsl.sema.cells.bodies import BodyScope
from netdsl.sema.scopes import arrays, reach
from netdsl.sema.scopes.calls import reduced
from netdsl.sema.scopes.components import Vector
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, Slot, neuron_index
from netdsl.sema.scopes.units import Unknown
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast


class PopulationScope(BodyScope):
    """Variables and parameters of a population; the scope of its cell's statements."""

    def __init__(
        self, context: Context, name: str, cell: str, axes: tuple[tuple[str, int], ...]
    ) -> None:
        super().__init__(context, context.scope, name, f"cell `{cell}`")
        self.cell, self.axes = cell, axes
        self.vectors: dict[str, int] = {}  # lengths of short vectors
        self.after: frozenset[str] = frozenset()  # populations that are computed before this one
        self.slots: dict[str, Slot] = {}  # the index of a modulator that has a number for each
        self.is_cell = True  # these are a cell's own names, not those that a modulator reads

    # ------------------------------------------------------------ look-up

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        if len(parts) == 2 and parts[0] == self.name:
            parts = parts[1:]
        name = parts[0]
        if len(parts) == 1:
            if name in self.params:
                return self.params[name].at(span)
            if name in self.paths:
                return self.read(self.paths[name], at, span)
            if name == "index" and at is None:
                return neuron_index(None, span)
            if at is None and any(name == axis for axis, _ in self.axes if axis):
                return neuron_index(name, span)
            modulator = self.modulator(name, at, span)
            if modulator is not None:
                return modulator
        elif arrays.named(parts, self.context):
            return self.array(parts, span)
        elif self.context.declarations.find("population", name) is not None:
            return self.foreign(".".join(parts), at, span)
        return super().find(parts, at, span)

    def array(self, parts: tuple[str, ...], span: Span) -> Value:
        """An array of a file: a parameter of each neuron."""
        path = self.declare(parts, span)
        return Value(Ref(path, span=span), self.dim(path), place=Place.NEURON, span=span)

    def declare(self, parts: tuple[str, ...], span: Span) -> str:
        """The path of the parameter that holds an array of a file."""
        path = ".".join((self.name, *parts))
        if path not in self.variables:
            init = arrays.given(parts, span)
            self.variables[path] = Variable(
                path, Kind.PARAM, Place.NEURON, Type.REAL, self.name, init, span=span
            )
            self.context.dims[path] = Unknown()
        return path

    def names(self) -> Iterator[str]:
        yield from self.paths
        yield from self.params
        yield from super().names()

    def vector(self, parts: tuple[str, ...]) -> Vector | None:
        own = parts[1:] if len(parts) == 2 and parts[0] == self.name else parts
        if len(own) == 1 and own[0] in self.vectors:
            return Vector(self.vectors[own[0]], own, self)
        return super().vector(parts)

    def modulator(
        self, name: str, at: str | None, span: Span, *, cell: bool = True
    ) -> Value | None:
        """A modulator of this population, or one that reaches it; `cell`: as its cells read it."""
        instances = self.context.modulators.get(name)
        if instances is None:
            return reach.announced(name, at, span, self, cell=cell and self.is_cell)
        self.context.use("modulator", name)
        if not instances:
            return bad(span)
        instance = reach.chosen(name, instances, self.name)
        if instance is None:
            reach.report(name, instances, self, span)
            return bad(span)
        variable = self.context.cells[instance.home].variables[instance.variable]
        time = self.time_of(at)
        known = instance.memory or instance.home in (self.name, *self.after)
        if time == NOW and not known:
            time = PREV  # of what is computed elsewhere, a population knows the step before
        return Value(
            Ref(variable.path, "own", time, span),
            self.dim(variable.path),
            variable.type,
            Place.ROW if variable.memory or variable.place is Place.PAIR else variable.place,
            span=span,
        )

    def foreign(self, path: str, at: str | None, span: Span) -> Value:
        """A read of another population: kept, so that the locality check can say what is wrong."""
        self.context.foreign.append((path, span))
        return Value(Ref(path, "own", self.time_of(at), span), None, place=Place.UNIT, span=span)

    def settled(self) -> PopulationScope:
        """The same names between steps: inputs and definitions settled, `let`s private."""
        other = copy.copy(self)
        other.time, other.building = SETTLED, False
        return other

    def initial(self) -> InitialScope:
        """What a start value may read."""
        return InitialScope(self)

    # ------------------------------------------------------------ reductions

    def slot(self, name: str) -> Slot | None:
        return self.slots.get(name)

    @property
    def depth(self) -> int | None:
        return None if self.is_cell else 0

    def reduce_slots(self, kind: str, axis: str, body: Value, node: ast.Call) -> Value:
        return reduced(kind, axis, body, body.place, node)

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        over = node.over.axes if node.over is not None else ()
        names = [axis.name for axis in over]
        known = [axis for axis, _ in self.axes if axis]
        if names and names != ["population"]:
            for name in names:
                if name not in known:
                    wanted = [*known, "batch", "population"]
                    self.context.unknown("axis", name, node.span, wanted, self.kind)
                    return bad(node.span)
            if set(names) != {axis for axis, _ in self.axes}:
                return _over_axes(self, kind, names, body, node)
        if kind == "argmax":
            self.context.bag.error(
                "E0209",
                "`argmax` is for readouts and metrics",
                node.span,
                help="in a cell compare with `max(e)`",
            )
            return bad(node.span)
        return reduced(kind, "population", body, Place.ROW, node)

    def index(self, span: Span) -> Value | None:
        return neuron_index(None, span)

    def width(self) -> int | None:
        return size_of(self.axes)


def _over_axes(
    scope: PopulationScope, kind: str, names: list[str], body: Value, node: ast.Call
) -> Value:
    """One number for each place along the other axes, which all neurons of the place read."""
    if kind not in ("sum", "mean", "max", "min", "any"):
        scope.context.unsupported(
            f"`{kind}` over one axis is", node.span, "reduce by sum, mean, max, min or any"
        )
        return bad(node.span)
    for name in dict.fromkeys(names):
        body = reduced(kind, name, body, Place.UNIT, node)
    return body


class InitialScope(Scope):
    """Names that a start value may read: parameters of the cell and of the specification."""

    def __init__(self, population: PopulationScope) -> None:
        super().__init__(population.context, population.context.scope)
        self.population = population
        self.kind = f"a start value of {population.kind}"

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        name = parts[0]
        population = self.population
        if len(parts) == 1 and at is None:
            if name in population.params:
                return population.params[name].at(span)
            if name in population.paths:
                self.context.bag.error(
                    "E0106",
                    f"`{name}` has no value yet when start values are set",
                    span,
                    help="start values may read parameters",
                )
                return bad(span)
            if name == "index" or any(name == axis for axis, _ in population.axes if axis):
                return neuron_index(None if name == "index" else name, span)
        if at is None and arrays.named(parts, self.context):
            return population.array(parts, span)
        return super().find(parts, at, span)

    def names(self) -> Iterator[str]:
        yield from self.population.params
        yield from super().names()

    def index(self, span: Span) -> Value | None:
        return neuron_index(None, span)

    def width(self) -> int | None:
        return self.population.width()


def size_of(axes: tuple[tuple[str, int], ...]) -> int:
    """Number of neurons."""
    size = 1
    for _, length in axes:
        size *= length
    return size


def variable_type(node: ast.TypeRef | None) -> Type:
    """The type that a declaration names; units are real numbers."""
    if node is not None and node.kind == "name" and node.text in ("count", "bool"):
        return Type(node.text)
    return Type.REAL
