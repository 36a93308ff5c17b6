"""Fields of samples that are drawn or computed: in tasks, and beside what data store."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Const, Expr, Index, Reduce, Ref, apply, children, walk
from netdsl.ir.network import Draw, Kind, Place, Type, Variable
from netdsl.ir.task import PERMUTATION, TaskField
from netdsl.sema.cells.draws import Drawn, build_draw
from netdsl.sema.scopes import components, expressions
from netdsl.sema.scopes.calls import reduced
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, dotted, neuron_index
from netdsl.sema.scopes.templates import callee
from netdsl.sema.scopes.units import NONE
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast


class FieldScope(Scope):
    """Names of a task or of data: parameters, and the fields so far; `index` counts in what has a
    size. `kind` says whose they are, for messages."""

    def __init__(self, context: Context, kind: str) -> None:
        super().__init__(context, context.scope)
        self.kind = kind
        self.values: dict[str, Value] = {}
        self.sizes: dict[str, int] = {}  # of the fields that have one
        self.sized = False

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        if len(parts) == 1 and at is None:
            if parts[0] in self.values:
                return self.values[parts[0]].at(span)
            if parts[0] == "index" and self.sized:
                return neuron_index(None, span)
        return super().find(parts, at, span)

    def names(self) -> Iterator[str]:
        yield from self.values
        yield from super().names()

    def index(self, span: Span) -> Value | None:
        return neuron_index(None, span) if self.sized else None

    def element(self, node: ast.Index) -> Value | None:
        """`c[0]`: one number of a field that has a size."""
        found = dotted(node.base)
        name = found[0][0] if found is not None and len(found[0]) == 1 else ""
        field = self.values.get(name)
        if field is None or field.bad or name not in self.sizes or len(node.args) != 1:
            return None
        place = components.place_of(node.args[0], name, self.sizes[name], self)
        if place is None:
            return bad(node.span)
        chosen = apply("eq", Index(), Const(place))
        one = Reduce("sum", "population", apply("mul", field.expr, chosen), node.span)
        return Value(one, field.dim, field.type, Place.ROW, span=node.span)

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        axes = [axis.name for axis in node.over.axes] if node.over is not None else []
        if axes or body.place is not Place.UNIT or kind in ("argmax", "count"):
            self.context.bag.error(
                "E0209",
                f"this reduction is not available in {self.kind}",
                node.span,
                help="sum, mean, max, min and any of a field that has a size are",
            )
            return bad(node.span)
        return reduced(kind, "population", body, Place.ROW, node)


class FieldBuilder:
    """Elaborates `draw x[n] ~ D` and `field x[n] = e` of the declaration `name` into `fields`."""

    def __init__(self, name: str, context: Context, scope: FieldScope) -> None:
        self.name, self.context, self.bag, self.scope = name, context, context.bag, scope
        self.fields: list[TaskField] = []

    def size_of(self, node: ast.TaskDraw | ast.Field | ast.Signal) -> int | None:
        if node.size is None:
            return None
        return expressions.whole(node.size, self.scope, "the size of a field", least=1)

    def drawn(self, node: ast.TaskDraw | ast.Field) -> None:
        size, stream = self.size_of(node), f"{self.name}.{node.name}"
        self.scope.sized = size is not None
        found = callee(node.value)
        if found is not None and found[0] == PERMUTATION:
            drawn = self._permutation(node, found[1], size, stream)
        else:
            drawn = build_draw(node.value, self.scope, stream)
        self.scope.sized = False
        once = isinstance(node, ast.Field) and node.once
        args = drawn.draw.args if drawn is not None else ()
        if drawn is None or not self._of_sample(args, node.value, size, once=once):
            self.bag.poison("name", node.name)
            self.scope.values[node.name] = bad(node.span)
            return
        self._declare(node, size, drawn.draw, drawn.type, once=once)

    def _permutation(
        self, node: ast.Named, args: tuple[ast.Arg, ...], size: int | None, stream: str
    ) -> Drawn | None:
        if size is not None or len(args) != 1:
            self.bag.error(
                "E0782",
                "a permutation gives one number to each sample of a batch",
                node.span,
                help=f"write `draw {node.name} ~ permutation(128)`",
            )
            return None
        count = expressions.whole(args[0].value, self.scope, "the size of a permutation", least=1)
        if count is None:
            return None
        draw = Draw(PERMUTATION, (Const(count),), stream, span=node.span)
        return Drawn(draw, NONE, Type.COUNT)

    def field(self, node: ast.Field) -> None:
        size = self.size_of(node)
        self.scope.sized = size is not None
        value = expressions.translate(node.value, self.scope)
        self.scope.sized = False
        wide = value.place in (Place.UNIT, Place.NEURON)
        if not value.bad and wide and size is None:
            self.bag.error(
                "E0780",
                f"field `{node.name}` has one number a sample, this is one for each unit",
                node.value.span,
                help=f"give it a size, `field {node.name}[n] = …`, or reduce it: `sum(…)`",
            )
            value = bad(node.span)
        if value.bad or not self._of_sample((value.expr,), node.value, size):
            self.scope.values[node.name] = bad(node.span)
            return
        self._declare(node, size, value.expr, value.type)

    def _of_sample(
        self, values: tuple[Expr, ...], node: ast.Expr, size: int | None, *, once: bool = False
    ) -> bool:
        """Whether a value is known when a sample is drawn, or before all, and has as many numbers
        as the field; reports what is not."""
        own = {f"sample.{field.name}" for field in self.fields if field.once or not once}
        for part in (part for value in values for part in walk(value)):
            if isinstance(part, Ref) and part.path not in own:
                varies = part.path in ("t", "phase.step")
                self.bag.error(
                    "E0780",
                    f"a field is made before its trial begins, when `{part.path}` is not known",
                    part.span or node.span,
                    help="what varies within a trial is a `signal`"
                    if varies
                    else "fields are made of parameters, draws and fields above them",
                )
                return False
        widths = {field.name: field.size for field in self.fields if field.size is not None}
        for part in (part for value in values for part in _side_by_side(value)):
            name = part.path.removeprefix("sample.")
            if widths.get(name, size) != size:
                self.bag.error(
                    "E0784",
                    f"`{name}` has {widths[name]} numbers a sample, this field has {size or 'one'}",
                    part.span or node.span,
                    help=f"give both one size, or take one number: `{name}[0]`, `mean({name})`",
                )
                return False
        return True

    def _declare(
        self,
        node: ast.Named,
        size: int | None,
        value: Expr | Draw,
        kind: Type,
        *,
        once: bool = False,
    ) -> None:
        """The field, and the variable `sample.NAME` that the network reads."""
        path = f"sample.{node.name}"
        place = Place.ROW if size is None else Place.UNIT
        shape = () if size is None else (size,)
        known = self.context.sample(node.name, node.name_span, place)
        before = known if known.shape or known.place is Place.ROW else None
        if node.name in self.context.signals:
            self.twice(node, next(iter(self.context.signals[node.name].values())).span)
            return
        if before is not None and (before.place, before.shape) != (place, shape):
            self.twice(node, before.span)
            return
        kind = kind if known.type is Type.REAL else known.type
        self.context.variables[path] = Variable(
            path, Kind.SAMPLE, place, kind, shape=shape, span=node.name_span
        )
        self.fields.append(TaskField(node.name, size, value, once, node.name_span))
        self.scope.values[node.name] = Value(Ref(path), NONE, kind, place, span=node.name_span)
        if size is not None:
            self.scope.sizes[node.name] = size

    def twice(self, node: ast.Named, before: Span | None) -> None:
        """Report what another declaration has made of a name; this one was told of its own."""
        own = self.name in self.context.signals.get(node.name, {})
        if own or any(field.name == node.name for field in self.fields):
            return
        self.bag.error(
            "E0781",
            f"`sample.{node.name}` has another meaning elsewhere",
            node.name_span,
            *([Label(before, "the other one")] if before is not None else []),
            help="give one of the two another name",
        )


def _side_by_side(expr: Expr) -> Iterator[Ref]:
    """Reads of fields that meet number by number: those in no reduction."""
    left = [expr]
    while left:
        node = left.pop()
        if isinstance(node, Ref):
            yield node
        if not isinstance(node, Reduce):
            left.extend(children(node))
