"""Populations: the names of one cell, seen from one of its neurons."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from netdsl.diagnostics import Span
from netdsl.ir.expr import NOW, PREV, SETTLED, Expr, Ref
from netdsl.ir.network import Kind, Place, Type, Variable
from netdsl.sema.scopes import arrays
from netdsl.sema.scopes.calls import reduced
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, neuron_index
from netdsl.sema.scopes.units import NONE, Dim, Unknown
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

_REMEMBERED = frozenset({Kind.STATE, Kind.SPIKE, Kind.TRACE, Kind.DEF, Kind.DRAW})


class PopulationScope(Scope):
    """Variables and parameters of a population; the scope of its cell's statements."""

    def __init__(
        self, context: Context, name: str, cell: str, axes: tuple[tuple[str, int], ...]
    ) -> None:
        super().__init__(context, context.scope)
        self.name, self.cell, self.axes = name, cell, axes
        self.kind = f"cell `{cell}`"
        self.params: dict[str, Value] = {}
        self.variables: dict[str, Variable] = {}
        self.paths: dict[str, str] = {}  # name in the text -> path
        self.ready: set[str] = set()  # lets whose statement has been passed
        self.hidden: set[str] = set()  # lets of the cell, where a modulator stands
        self.definitions: dict[str, ast.Def] = {}
        self.surrogates: dict[str, tuple[Expr, Expr]] = {}  # spike -> margin, surrogate
        self.time = NOW
        self.in_definition = False
        self.building = True
        self.define = _no_definition

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

    def modulator(self, name: str, at: str | None, span: Span) -> Value | None:
        """A modulator of this population, or a global one."""
        instances = self.context.modulators.get(name)
        if instances is None:
            return None
        self.context.use("modulator", name)
        instance = instances.get(self.name) or instances.get(None)
        if not instances:
            return bad(span)
        if instance is None:
            self.context.bag.error(
                "E0104",
                f"modulator `{name}` is not on `{self.name}`",
                span,
                help=f"it is on {', '.join(str(p) for p in instances)}",
            )
            return bad(span)
        table = self.variables if instance.population is not None else self.context.variables
        variable = table[instance.variable]
        time = self.time_of(at)
        return Value(
            Ref(variable.path, "own", time, span),
            self.dim(variable.path),
            variable.type,
            variable.place,
            span=span,
        )

    def foreign(self, path: str, at: str | None, span: Span) -> Value:
        """A read of another population: kept, so that the locality check can say what is wrong."""
        self.context.foreign.append((path, span))
        return Value(Ref(path, "own", self.time_of(at), span), None, place=Place.UNIT, span=span)

    def time_of(self, at: str | None) -> str:
        """The time role of a read."""
        if at is None:
            return self.time
        return PREV if at == "prev" else f"@{at}"

    def dim(self, path: str) -> Dim:
        """Dimension of a variable."""
        return self.context.dims.get(path, NONE)

    # ------------------------------------------------------------ reads

    def read(self, path: str, at: str | None, span: Span) -> Value:
        """A read of one of the population's variables."""
        variable = self.variables[path]
        self.context.use("variable", path)
        problem = self._private(variable, at)
        if problem is not None:
            code, message, help = problem
            self.context.bag.error(code, message, span, help=help)
            return bad(span)
        if variable.kind is Kind.DEF:
            self.define(path)
            variable = self.variables[path]
        if path in self.params:
            return self.params[path].at(span)
        expr = Ref(path, "own", self.time_of(at), span)
        return Value(expr, self.dim(path), variable.type, variable.place, span=span)

    def _private(self, variable: Variable, at: str | None) -> tuple[str, str, str] | None:
        name, kind = variable.name, variable.kind
        if variable.path in self.hidden:
            return (
                "E0107",
                f"`{name}` is a `let`, private to the cell's own statements",
                f"write `def {name} = …` in the cell",
            )
        if kind is Kind.LET:
            if self.in_definition or at is not None or not self.building:
                return (
                    "E0107",
                    f"`{name}` is a `let`: it has a value only below its own line in the cell",
                    f"write `def {name} = …`, which is re-evaluated wherever it is read",
                )
            if variable.path not in self.ready:
                return (
                    "E0107",
                    f"`{name}` is read above its `let`",
                    "move the `let` up, or write `def`",
                )
        if at == "prev" and kind not in _REMEMBERED:
            return (
                "E0106",
                f"`{name}` is not remembered from one step to the next",
                "`@prev` works on states, spikes, traces and definitions; store it in a state",
            )
        return None

    def settled(self) -> PopulationScope:
        """The same names between steps: inputs and definitions settled, `let`s private."""
        other = copy.copy(self)
        other.time, other.building = SETTLED, False
        return other

    def defining(self) -> PopulationScope:
        """The same names inside a definition."""
        other = copy.copy(self)
        other.in_definition = True
        return other

    def initial(self) -> InitialScope:
        """What a start value may read."""
        return InitialScope(self)

    # ------------------------------------------------------------ reductions

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


def _no_definition(path: str) -> None:
    """Replaced by the builder of the cell's definitions."""


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
