"""One synapse: what its deliveries and rules can name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import ARRIVAL, NOW, PREV, SETTLED, Const, Expr, Index, Reduce, Ref, apply
from netdsl.ir.network import Kind, Place, Type
from netdsl.sema.cells.populations import PopulationScope
from netdsl.sema.scopes.components import Vector
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, Thunk
from netdsl.sema.scopes.templates import Argument, Arguments
from netdsl.sema.scopes.units import NONE
from netdsl.sema.scopes.values import Value, bad, number
from netdsl.syntax import ast

# What a bare read means: in a delivery, in a rule that runs by step or at update, and in
# `after update`, which sees one synapse only.
DELIVER, STEP_RULE, UPDATE_RULE, AFTER = "deliver", "step", "update", "after"


@dataclass
class Ends:
    """The two populations of a projection, with their slices, and its weight."""

    projection: str
    pre: PopulationScope
    post: PopulationScope
    pre_slice: tuple[int, int] | None = None
    post_slice: tuple[int, int] | None = None
    weight: str | None = None  # path
    weight_name: str | None = None
    sign: Expr | None = None  # of a signed projection: `weight` is then the magnitude
    sent: tuple[str, ...] = ()
    received: tuple[str, ...] = ()

    @property
    def stored_names(self) -> list[str]:
        """What the tail of an update may call the number that is stored."""
        name = self.weight_name or "w"
        return [name] if self.sign is None else [name, "mag"]


class SynapseScope(Scope):
    """`pre.x`, `post.x`, `w`, `self`, the modulators of the post population, and shared values."""

    def __init__(self, context: Context, ends: Ends, clock: str, kind: str) -> None:
        super().__init__(context, context.scope)
        self.ends, self.clock, self.kind = ends, clock, kind

    def at_clock(self, clock: str) -> SynapseScope:
        """The same synapse at another moment."""
        return SynapseScope(self.context, self.ends, clock, self.kind)

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        name = parts[0]
        if name in ("pre", "post") and len(parts) == 2:
            return self._end(name, parts[1], at, span)
        if len(parts) == 1:
            if name == self.ends.weight_name:
                return self._weight(at, span)
            if name == "mag" and self.ends.sign is not None:
                self.context.hides(name, span, "`mag` is the stored size of a signed weight")
                return self._stored(at, span)
            if name == "self" and at is None:
                return self._self(span)
            modulator = self._modulator(name, at, span)
            if modulator is not None:
                return modulator
        elif self.context.declarations.find("population", name) is not None:
            return self.ends.post.foreign(".".join(parts), at, span)
        found = super().find(parts, at, span)
        return self._bare(name, span) if found is None and len(parts) == 1 else found

    def vector(self, parts: tuple[str, ...]) -> Vector | None:
        if len(parts) == 2 and parts[0] in ("pre", "post"):
            end = self.ends.pre if parts[0] == "pre" else self.ends.post
            size = end.vectors.get(parts[1])
            return Vector(size, parts, self) if size is not None else None
        return super().vector(parts)

    def units(self, side: str, of: str = "index") -> int | None:
        whole, part = (
            (self.ends.pre, self.ends.pre_slice)
            if side == "pre"
            else (self.ends.post, self.ends.post_slice)
        )
        if of == "type":
            population = self.context.populations.get(whole.name)
            return len(population.types) if population is not None else None
        return whole.width() if part is None else part[1] - part[0]

    def _bare(self, name: str, span: Span) -> Value | None:
        """A variable of an end, named without saying which end."""
        ends = (("pre", self.ends.pre), ("post", self.ends.post))
        sides = [f"`{side}.{name}`" for side, end in ends if name in end.paths]
        if not sides:
            return None
        if self.context.bag.poison(self.kind, name):
            help = f"write {' or '.join(sides)}"
            self.context.bag.error(
                "E0101", f"unknown name `{name}` in {self.kind}", span, help=help
            )
        return bad(span)

    def names(self) -> Iterator[str]:
        if self.ends.weight_name is not None:
            yield self.ends.weight_name
        for side, end in (("pre", self.ends.pre), ("post", self.ends.post)):
            yield from (f"{side}.{name}" for name in (*end.paths, *end.params))
        yield from ("self", "pre.sent", "post.received", "pre.index", "post.index")
        yield from self.context.declarations.table("modulator")
        yield from super().names()

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        """A synapse sees no others: kept, so that the locality check can say what is wrong."""
        over = node.over.axes if node.over is not None else ()
        names = [axis.name for axis in over] or ["population"]
        if names not in (["population"], ["pre"]):
            return super().reduce(kind, body, node)
        expr = Reduce(kind, names[0], body.expr, node.span)
        return Value(expr, body.dim, place=body.place, span=node.span)

    # ------------------------------------------------------------ ends

    def _end(self, side: str, name: str, at: str | None, span: Span) -> Value:
        end = self.ends.pre if side == "pre" else self.ends.post
        if self.clock == AFTER:
            self.context.bag.error(
                "E0117",
                f"`{side}.{name}` cannot be read after the update: it sees one synapse",
                span,
                help="put the term into `dw` or `subtract`",
            )
            return bad(span)
        if name == "index" and at is None:
            return self._index(side, span)
        if name == "type" and at is None:
            return self._type(side, end, span)
        if (side, name) in (("pre", "sent"), ("post", "received")):
            return self._channel(side, end, at, span)
        if name in end.params:
            return self._param(end.params[name], side, span)
        if name not in end.paths:
            known = [f"{side}.{found}" for found in (*end.paths, *end.params)]
            what = f"`{end.name}` ({end.kind})"
            self.context.unknown("variable", f"{side}.{name}", span, known, what)
            return bad(span)
        return self._read(end.paths[name], end, side, at, span)

    def _read(
        self, path: str, end: PopulationScope, side: str, at: str | None, span: Span
    ) -> Value:
        variable = end.variables[path]
        self.context.use("variable", path)
        if variable.kind is Kind.LET:
            self.context.bag.error(
                "E0107",
                f"`{variable.name}` is a `let`, private to its cell",
                span,
                help=f"write `def {variable.name} = …` in {end.kind}",
            )
            return bad(span)
        expr = Ref(path, side, self._time(side, at), span)
        return Value(expr, end.dim(path), variable.type, variable.place, span=span)

    def _time(self, side: str, at: str | None) -> str:
        if at is not None:
            return PREV if at == "prev" else f"@{at}"
        if self.clock == UPDATE_RULE:
            return SETTLED
        return ARRIVAL if side == "pre" else NOW

    def _param(self, value: Value, side: str, span: Span) -> Value:
        if isinstance(value.expr, Ref):
            return replace(value, expr=Ref(value.expr.path, side, NOW, span), span=span)
        return value.at(span)

    def _channel(self, side: str, end: PopulationScope, at: str | None, span: Span) -> Value:
        paths = self.ends.sent if side == "pre" else self.ends.received
        word = "sent" if side == "pre" else "received"
        if len(paths) != 1:
            how = "sends nothing" if not paths else "has several signals"
            self.context.bag.error(
                "E0106",
                f"`{side}.{word}` is not one variable: `{self.ends.projection}` {how}",
                span,
                help="name the variable itself",
            )
            return bad(span)
        return self._read(paths[0], end, side, at, span)

    def _index(self, side: str, span: Span) -> Value:
        return Value(Index(None, side, span), NONE, Type.COUNT, Place.SYNAPSE, span=span)

    def _type(self, side: str, end: PopulationScope, span: Span) -> Value:
        value = end.params.get("type")
        if value is None or not value.choices:
            self.context.bag.error(
                "E0645",
                f"`{end.name}` has no cell types",
                span,
                help=f"write `population {end.name} : … types {{ E: 80; I: 20 }}`",
            )
            return bad(span)
        part = self.ends.pre_slice if side == "pre" else self.ends.post_slice
        if part is not None:  # all neurons of a part are of one type
            types = self.context.populations[end.name].types
            code = [(first, last) for _, first, last in types].index(part)
            return replace(value, expr=Const(code, span), place=Place.GLOBAL, span=span)
        return self._param(value, side, span)

    def _weight(self, at: str | None, span: Span) -> Value:
        stored = self._stored(at, span)
        sign = self.ends.sign
        if sign is None or self.clock == AFTER or stored.bad:  # the tail acts on what is stored
            return stored
        strength = apply("max", stored.expr, Const(0.0), span=span)
        expr = apply("mul", sign, strength, span=span)
        return Value(expr, stored.dim, place=Place.SYNAPSE, span=span)

    def _stored(self, at: str | None, span: Span) -> Value:
        path = self.ends.weight
        assert path is not None
        if at is not None and not (at == "prev" and self.clock == AFTER):
            self.context.bag.error(
                "E0106", "an earlier weight can be read in `after update` only, as `w@prev`", span
            )
            return bad(span)
        expr = Ref(path, "synapse", NOW if at is None else PREV, span)
        return Value(expr, self.context.dims.get(path), place=Place.SYNAPSE, span=span)

    def _self(self, span: Span) -> Value:
        ends = self.ends
        if ends.pre.name != ends.post.name:
            return number(False, span)
        pre, post = _absolute("pre", ends.pre_slice), _absolute("post", ends.post_slice)
        expr = apply("eq", pre, post, span=span)
        return Value(expr, NONE, Type.BOOL, Place.SYNAPSE, span=span)

    def _modulator(self, name: str, at: str | None, span: Span) -> Value | None:
        value = self.ends.post.modulator(name, at, span, cell=False)
        if value is None or value.bad or not isinstance(value.expr, Ref):
            return value
        time = PREV if self.clock == DELIVER and at is None else self._time("post", at)
        expr = Ref(value.expr.path, "post", time, span)
        return Value(expr, value.dim, value.type, value.place, span=span)


def _absolute(side: str, part: tuple[int, int] | None) -> Expr:
    index = Index(None, side)
    return index if part is None or part[0] == 0 else apply("add", index, Const(part[0]))


class SynapseArguments(Arguments):
    """Arguments of a synapse template or a rule; they are read with the reader's clock."""

    def __init__(
        self,
        context: Context,
        parent: Scope,
        arguments: dict[str, Argument],
        kind: str | None = None,
        clock: str = DELIVER,
    ) -> None:
        super().__init__(context, parent, arguments, kind)
        self.clock = clock

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        own = self.arguments.get(parts[0]) if at == PREV and len(parts) == 1 else None
        if isinstance(own, Value) and own.place is Place.ROW_SYNAPSE and isinstance(own.expr, Ref):
            if self.clock == UPDATE_RULE:
                self.context.bag.error(
                    "E0106",
                    f"`{parts[0]}@prev` has no meaning at `update`: it belongs to a step",
                    span,
                    help="keep what is needed in a state of the rule",
                )
                return bad(span)
            return replace(own, expr=replace(own.expr, time=PREV, span=span), span=span)
        return super().find(parts, at, span)

    def reader(self, scope: Scope) -> Scope:
        return rescope(scope, self.clock)

    def at_clock(self, clock: str) -> SynapseArguments:
        """The same arguments at another moment."""
        parent = rescope(self.parent, clock) if self.parent is not None else self
        moved = SynapseArguments(self.context, parent, {}, self.kind, clock)
        moved.vectors = self.vectors
        for name, argument in self.arguments.items():
            same = isinstance(argument, Thunk) and argument.scope is self
            moved.arguments[name] = (
                Thunk(argument.node, moved) if same and isinstance(argument, Thunk) else argument
            )
        return moved


def rescope(scope: Scope, clock: str) -> Scope:
    """A scope as seen at another moment of a synapse's life."""
    return scope.at_clock(clock) if isinstance(scope, SynapseScope | SynapseArguments) else scope


def formal_arguments(
    formals: tuple[ast.Param, ...], bound: dict[str, Thunk], home: SynapseArguments
) -> None:
    """Put arguments and defaults of a template's formal parameters into its scope."""
    for formal in formals:
        if formal.name in bound:
            home.arguments[formal.name] = bound[formal.name]
        elif formal.default is not None:
            home.arguments[formal.name] = Thunk(formal.default, home)
