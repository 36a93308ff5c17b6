"""The outermost scope: parameters, `let`s, controls, global states, counters and sample fields."""

from __future__ import annotations

import re
from collections.abc import Iterator

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Const, Ref
from netdsl.ir.network import Kind, Place, Type, Variable
from netdsl.sema.scopes import arrays, expressions
from netdsl.sema.scopes.components import Vector
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.params import param_value, plain
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.units import NONE, STEP, TIME, describe, resolve
from netdsl.sema.scopes.values import Value, bad, number
from netdsl.syntax import ast

COUNTERS = ("epoch", "t", "batch.index", "batch.rows", "phase.step")
ITERATION = "iteration"  # a counter that only those specifications have that read it
_MOST_STEPS = 2**53  # a step has a number of its own
_LEAST_DT = 1e-30  # s; so that any time is a number of steps
_TIMES = re.compile(r"\d[ \t]*[munp]?s\b")
_CONSTANTS = {"pi": 3.141592653589793}


class SpecificationScope(Scope):
    """Values that every part of a specification may read."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._values: dict[str, Value] = {}
        self._open: list[str] = []
        for path in COUNTERS:
            context.variables[path] = _counter(path)

    def vector(self, parts: tuple[str, ...]) -> Vector | None:
        """A vector of a population, as `rec.g`, or what a vector modulator emits."""
        if len(parts) == 1 and parts[0] in self.context.vectors:
            return Vector(self.context.vectors[parts[0]], parts, self)
        owner = self.context.cells.get(".".join(parts[:-1]))
        size = owner.vectors.get(parts[-1]) if owner is not None else None
        return Vector(size, parts, self) if size is not None else None

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        path = ".".join(parts)
        if parts[0] == "sample" and len(parts) == 2:
            return self._sample(parts[1], at, span)
        if arrays.named(parts, self.context):
            arrays.misplaced(path, span, self.context)
            return bad(span)
        found = self._plain(path, span)
        if found is not None and at is not None and not found.bad:
            self.context.bag.error(
                "E0106",
                f"`{path}` has no value of its own at `@{at}`",
                span,
                help="phases and steps are remembered for variables of cells",
            )
            return bad(span)
        return found

    def _plain(self, path: str, span: Span) -> Value | None:
        for kind in ("param", "let"):
            node = self.context.declarations.find(kind, path)
            if node is not None:
                self.context.use(kind, path)
                return self._declared(path, node).at(span)
        if path == "dt":
            return self.dt(span)
        if path in self.context.known:
            self.context.use("data", path.partition(".")[0])
            return self.context.known[path].at(span)
        if path == ITERATION:
            self.context.variables.setdefault(path, _counter(path))
        variable = self.context.variables.get(path)
        if variable is not None:
            self.context.use(variable.kind.value, path)
            dim = self.context.dims.get(path, NONE)
            return Value(Ref(path, span=span), dim, variable.type, span=span)
        if path in _CONSTANTS:
            return number(_CONSTANTS[path], span)
        return None

    def _sample(self, name: str, at: str | None, span: Span) -> Value:
        if at == "step":
            self.context.bag.error(
                "E0787",
                f"`sample.{name}@step` is read where nothing is clamped",
                span,
                help="clamp an input or a state on it, and read that",
            )
            return bad(span)
        if at is not None:
            self.context.bag.error("E0106", "sample fields do not change within a sample", span)
            return bad(span)
        if name in self.context.signals:
            self.context.bag.error(
                "E0783",
                f"`sample.{name}` is a signal, and is computed where it is clamped",
                span,
                *(
                    Label(found.span, "declared here")
                    for found in self.context.signals[name].values()
                ),
                help="read the input or state that it is clamped on",
            )
            return bad(span)
        variable = self.context.sample(name, span)
        path = Ref(variable.path, span=span)
        return Value(path, NONE, variable.type, variable.place, span=span)

    def _declared(self, name: str, node: ast.Param | ast.Let) -> Value:
        if name in self._values:
            return self._values[name]
        if name in self._open:
            cycle = " -> ".join([*self._open[self._open.index(name) :], name])
            self.context.bag.error("E0109", f"`{name}` depends on itself: {cycle}", node.name_span)
            return bad(node.span)
        self._open.append(name)
        if isinstance(node, ast.Let):
            value = expressions.translate(node.value, self)
        else:
            value = self._param(node)
        self._open.pop()
        self._values[name] = value
        return value

    def _param(self, node: ast.Param) -> Value:
        if node.per is not None or node.drawn:
            self.context.bag.error(
                "E0104",
                "a parameter of the specification is one known number",
                node.span,
                help="drawn and per-neuron parameters belong in a `neuron`",
            )
            return bad(node.span)
        value = param_value(node, (node.name,), self)
        if not value.bad and value.text is None and value.constant is None:
            self.context.bag.error(
                "E0106",
                f"parameter `{node.name}` is fixed, but its value changes while running",
                node.span,
                help="use `let`: it is re-evaluated where it is read",
            )
            return bad(node.span)
        if not value.bad:
            self.context.params[node.name] = plain(value)
        return value

    def evaluate_all(self) -> None:
        """Evaluate every parameter and `let`, used or not."""
        for kind in ("param", "let"):
            for name, node in self.context.declarations.table(kind).items():
                self._declared(name, node)

    def dt(self, span: Span) -> Value:
        """The time step; an error where none is declared."""
        node = self.context.declarations.dt
        if node is None:
            if self.context.bag.poison("dt"):
                self.context.bag.error(
                    "E0413",
                    "time is used, but no `dt` is declared",
                    span,
                    help="add `dt = 1 ms` at the top",
                )
            return bad(span)
        if self.context.dt is None:
            with self.context.expansion.of("time step", "dt", node.value) as fits:
                if not fits:
                    return bad(span)
                value = expressions.constant(node.value, self, "`dt`")
            known = value.constant
            if not value.bad and (known is None or isinstance(known, bool) or known < _LEAST_DT):
                self.context.bag.error("E0202", "`dt` must be a positive number", node.value.span)
                value = bad(span)
            dim = resolve(value.dim)
            if not value.bad and dim not in (TIME, NONE):
                self.context.bag.error(
                    "E0201", f"`dt` is a time, this is {describe(dim)}", node.value.span
                )
                value = bad(span)
            elif not value.bad and dim == NONE and self._has_times(node.span.source):
                self.context.bag.error(
                    "E0201",
                    "`dt` has no unit, but times in this specification have one",
                    node.value.span,
                    help=f"write `dt = {known:g} ms`",
                )
                value = bad(span)
            known = value.constant is not None and not value.bad
            self.context.dt = float(value.constant or 1.0) if known else 1.0
            self.context.dt_dim = value.dim
        return number(self.context.dt, span, self.context.dt_dim)

    def _has_times(self, source: str) -> bool:
        """Whether a number with a unit of time stands in the text."""
        text = self.context.texts.get(source, "")
        return any(_TIMES.search(line.partition("#")[0]) for line in text.split("\n"))

    def steps(self, value: Value, what: str) -> int | None:
        """A duration as a whole number of steps; None after a report."""
        if value.bad or value.constant is None:
            return None
        dim, amount = resolve(value.dim), float(value.constant)
        if dim is None:
            return None
        if dim == TIME or (dim == NONE and self.context.dt_dim == NONE and amount != int(amount)):
            dt = self.dt(value.span)
            if dt.bad or dt.constant is None:
                return None
            amount = amount / float(dt.constant)
            if amount <= _MOST_STEPS and abs(amount - round(amount)) > 1e-6:
                self.context.bag.error(
                    "E0412",
                    f"{what} is {amount:g} steps: it must be a multiple of `dt`",
                    value.span,
                )
                return None
        elif dim not in (STEP, NONE):
            self.context.bag.error(
                "E0201",
                f"{what} is a time or a number of steps, this is {describe(dim)}",
                value.span,
            )
            return None
        if amount < 0 or amount > _MOST_STEPS or abs(amount - round(amount)) > 1e-6:
            limit = "0 or more" if amount <= _MOST_STEPS else f"at most {_MOST_STEPS}"
            self.context.bag.error(
                "E0412", f"{what} must be a whole number of steps, {limit}", value.span
            )
            return None
        return round(amount)

    def population_size(self, name: str) -> int | None:
        """Neurons of a declared population, also before it is elaborated."""
        node = self.context.declarations.find("population", name)
        if node is None:
            return None
        size = 1
        for dim in node.dims:
            length = expressions.whole(dim.size, self, "a population's size", least=1)
            size *= length if length is not None else 1
        return size

    def names(self) -> Iterator[str]:
        declarations = self.context.declarations
        for kind in ("param", "let", "control", "global"):
            yield from declarations.names(kind)
        yield from self.context.variables
        yield from ("dt", ITERATION, *_CONSTANTS)
        yield from ("sample.image", "sample.label", "sample.positive", "sample.shown_label")


def _counter(path: str) -> Variable:
    return Variable(path, Kind.COUNTER, Place.GLOBAL, Type.COUNT, init=Const(0))
