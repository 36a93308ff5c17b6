"""Scopes of what is computed outside cells and rules: readouts, metrics, losses, protocols."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import Span
from netdsl.ir.expr import NOW, Apply, Reduce, Ref, span_of, walk
from netdsl.ir.functions import HOST_FUNCTIONS
from netdsl.ir.network import Kind, Place, Variable
from netdsl.sema.scopes import expressions, structure
from netdsl.sema.scopes.calls import reduced
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, neuron_index
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast


class NetworkScope(Scope):
    """Names of the whole network, `population.variable`, for a loss that is differentiated."""

    def __init__(self, context: Context, kind: str) -> None:
        super().__init__(context, context.scope)
        self.kind = kind

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        if len(parts) == 1:
            return self._bare(parts[0], at, span) or super().find(parts, at, span)
        found = self._variable(parts)
        if found is None and len(parts) == 2 and parts[1] in structure.COUNTS and at is None:
            projection = self.context.projections.get(parts[0])
            if projection is not None:
                self.context.use("projection", projection.name)
                return structure.counted(parts[1], (projection,), self.context, span)
        if found is None:
            return super().find(parts, at, span)
        return self._read(found, at, span)

    def _bare(self, name: str, at: str | None, span: Span) -> Value | None:
        return None

    def _variable(self, parts: tuple[str, ...]) -> Variable | None:
        path = ".".join(parts)
        owner = self.context.cells.get(".".join(parts[:-1]))
        if owner is not None:
            found = owner.variables.get(owner.paths.get(parts[-1], path))
            if found is not None:
                return found
        if parts[0] in self.context.modulators and len(parts) == 2:
            scope = self.context.cells.get(parts[1])
            return scope.variables.get(path) if scope is not None else None
        return self._synaptic(parts[0], path)

    def _synaptic(self, name: str, path: str) -> Variable | None:
        projection = self.context.projections.get(name)
        if projection is None:
            return None
        if path in projection.variables:
            return projection.variables[path]
        rule = projection.rule
        if rule is not None and rule.optimiser is not None:
            return rule.optimiser.variables.get(path)
        return None

    def _read(self, variable: Variable, at: str | None, span: Span) -> Value:
        self.context.use("variable", variable.path)
        self.context.use("population", variable.owner)
        if variable.kind is Kind.LET:
            self.context.bag.error(
                "E0107",
                f"`{variable.path}` is a `let`, private to its cell",
                span,
                help=f"write `def {variable.name} = …` in the cell",
            )
            return bad(span)
        synaptic = variable.place is Place.SYNAPSE
        if at == "prev" or (at is not None and synaptic):
            self.context.bag.error(
                "E0106",
                f"`{variable.path}@{at}` is not known here",
                span,
                help="values of cells can be read at the end of a phase",
            )
            return bad(span)
        expr = Ref(variable.path, "own", NOW if at is None else f"@{at}", span)
        dim = self.context.dims.get(variable.path)
        place = Place.ROW if variable.place is Place.PAIR else variable.place  # which is refused
        return Value(expr, dim, variable.type, place, span=span)

    def names(self) -> Iterator[str]:
        for scope in self.context.cells.values():
            yield from (f"{scope.name}.{name}" for name in scope.paths)
        for projection in self.context.projections.values():
            yield from projection.variables
        yield from super().names()

    def index(self, span: Span) -> Value | None:
        return neuron_index(None, span)

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        if node.over is not None and [axis.name for axis in node.over.axes] != ["population"]:
            return self.over(kind, body, node)
        if body.place in (Place.UNIT, Place.NEURON):
            place = Place.ROW if body.place is Place.UNIT else Place.GLOBAL
            return reduced(kind, "population", body, place, node)
        if body.place is Place.SYNAPSE:
            return reduced(kind, "population", body, Place.GLOBAL, node)
        return reduced(kind, "batch", body, Place.GLOBAL, node)

    def over(self, kind: str, body: Value, node: ast.Call) -> Value:
        """A reduction over a named axis."""
        assert node.over is not None
        axis = node.over.axes[0]
        self.context.unknown("axis", axis.name, axis.span, ("population", "batch"), self.kind)
        return bad(node.span)


class HostScope(NetworkScope):
    """Readouts, metrics and protocol expressions: whole arrays, other readouts, phases as axes."""

    @property
    def host(self) -> bool:
        return True

    def _bare(self, name: str, at: str | None, span: Span) -> Value | None:
        node = self.context.declarations.find("readout", name)
        if node is None or at is not None:
            return None
        self.context.use("readout", name)
        value = self.context.readout_values.get(name)
        if value is None:
            value = self._readout(node)
        return value.at(span)

    def _readout(self, node: ast.Readout) -> Value:
        from netdsl.sema.experiment.experiment import elaborate_readout

        return elaborate_readout(node, self.context)

    def names(self) -> Iterator[str]:
        yield from self.context.declarations.names("readout")
        yield from super().names()

    def over(self, kind: str, body: Value, node: ast.Call) -> Value:
        assert node.over is not None
        axis = node.over.axes[0]
        if axis.name in self.context.phases:
            return over_phase(self.context, kind, body, node)
        if axis.name == "pre" and body.place is Place.SYNAPSE:
            return reduced(kind, "pre", body, Place.NEURON, node)
        known = (*self.context.phases, "population", "batch", "pre")
        self.context.unknown("axis", axis.name, axis.span, known, self.kind)
        return bad(node.span)


class LossScope(NetworkScope):
    """Losses: the network's variables, and what phases add up of them."""

    def over(self, kind: str, body: Value, node: ast.Call) -> Value:
        assert node.over is not None
        axis = node.over.axes[0]
        if axis.name in self.context.phases:
            return over_phase(self.context, kind, body, node, loss=True)
        known = ("population", "batch", *self.context.phases)
        self.context.unknown("axis", axis.name, axis.span, known, self.kind)
        return bad(node.span)


def over_phase(
    context: Context, kind: str, body: Value, node: ast.Call, *, loss: bool = False
) -> Value:
    """A reduction of a value of a population over the steps of a phase, or over its last ones."""
    assert node.over is not None
    if kind not in ("sum", "mean", "max", "min", "count"):
        context.unsupported(
            f"`{kind}` over a phase is", node.span, "use sum, mean, max, min or count"
        )
        return bad(node.span)
    plain = isinstance(body.expr, Ref) and body.expr.time == NOW
    if loss and (not plain or node.over.last is not None or kind == "min"):
        context.unsupported(
            "a loss over a part of a phase, or of an expression over its steps, is",
            node.span,
            "name the value in the cell (`def x = …`), and take sum, mean or max of that",
        )
        return bad(node.span)
    if not plain and not _in_steps(context, body, node):
        return bad(node.span)
    axis = f"phase:{node.over.axes[0].name}"
    if node.over.last is not None:
        value = expressions.constant(node.over.last, context.scope, "a number of steps")
        last = None if value.bad else context.scope.steps(value, "a part of a phase")
        if last is None:
            return bad(node.span)
        if last < 1:
            context.bag.error("E0204", "the last 0 steps of a phase hold nothing", value.span)
            return bad(node.span)
        axis = f"{axis}:{last}"
    return reduced(kind, axis, body, body.place, node)


def _in_steps(context: Context, body: Value, node: ast.Call) -> bool:
    """Can an expression be computed at every step: of one population, by what a cell can compute?
    Reports where not."""
    help = "name the value in the cell (`def x = …`) and reduce that"
    owners: dict[str, str] = {}
    for part in walk(body.expr):
        if isinstance(part, Apply) and part.function in HOST_FUNCTIONS:
            what = f"`{part.function}` at the steps of a phase is"
        elif isinstance(part, Reduce) and part.axis != "population":
            what = "a reduction within one over a phase is"
        elif isinstance(part, Ref) and part.time != NOW:
            what = f"`{part.path}{part.time}` at the steps of a phase is"
        else:
            if isinstance(part, Ref):
                cells = (c.name for c in context.cells.values() if part.path in c.variables)
                owners.update((name, part.path) for name in cells)
            continue
        context.unsupported(what, span_of(part) or node.span, help)
        return False
    if body.place in (Place.ROW, Place.UNIT) and len(owners) == 1:
        return True
    read = " and ".join(f"`{path}`" for path in owners.values()) or "no population"
    context.bag.error(
        "E0505",
        f"a reduction over a phase is of one population; this reads {read}",
        node.span,
        help="send the value to the population through a projection, or reduce each by itself",
    )
    return False
