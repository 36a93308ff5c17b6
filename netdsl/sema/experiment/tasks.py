"""Tasks: samples that are generated, field by field, and signals that vary within a trial."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Const, Expr, Index, Reduce, Ref, walk
from netdsl.ir.network import Draw, Kind, Place, Type, Variable
from netdsl.ir.protocol import Data
from netdsl.ir.task import PERMUTATION, Task, TaskField
from netdsl.sema.cells.draws import Drawn, build_draw
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.calls import reduced
from netdsl.sema.scopes.context import Context, Signal
from netdsl.sema.scopes.params import param_value, plain
from netdsl.sema.scopes.scope import Scope, neuron_index
from netdsl.sema.scopes.templates import callee
from netdsl.sema.scopes.units import NONE
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

_COUNTS = ("batch", "eval_batch", "size")


def elaborate_task(node: ast.TaskDecl, context: Context) -> None:
    """`task cues(batch = 64) { draw a ~ …; field b = …; signal c[40] = … }`."""
    _Builder(node, context).build()


class TaskScope(Scope):
    """Names of a task: its parameters, and the fields so far; `index` counts in what has a size."""

    def __init__(self, context: Context, name: str) -> None:
        super().__init__(context, context.scope)
        self.kind = f"task `{name}`"
        self.values: dict[str, Value] = {}
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


class _Builder:
    def __init__(self, node: ast.TaskDecl, context: Context) -> None:
        self.node, self.context, self.bag = node, context, context.bag
        self.scope = TaskScope(context, node.name)
        self.counts: dict[str, int] = {}
        self.fields: list[TaskField] = []

    def build(self) -> None:
        for param in self.node.params:
            self._parameter(param)
        for setting in (s for s in self.node.body if isinstance(s, ast.Setting)):
            if setting.name not in _COUNTS:
                self.context.unknown("setting", setting.name, setting.name_span, _COUNTS)
                continue
            self._count(setting.name, setting.value, setting.span)
        for statement in self.node.body:
            self._statement(statement)
        batch = self.counts.get("batch", 1)
        self._check_permutations(batch)
        self.context.data[self.node.name] = Data(
            self.node.name,
            "",
            batch,
            self.counts.get("eval_batch", batch),
            splits={"": ("", None, None)},
            span=self.node.span,
            task=Task(tuple(self.fields), self.counts.get("size", batch)),
        )

    # ------------------------------------------------------------ parameters

    def _parameter(self, param: ast.Param) -> None:
        if param.name in _COUNTS and param.default is not None:
            self._count(param.name, param.default, param.span)
            return
        path = f"{self.node.name}.{param.name}"
        value = param_value(param, (path,), self.scope)
        if not value.bad and value.text is None and value.constant is None:
            self.bag.error("E0106", f"parameter `{param.name}` is one known number", param.span)
            value = bad(param.span)
        self.context.params[path] = plain(value)
        self._bind(param.name, value)

    def _bind(self, name: str, value: Value) -> None:
        """A name of the task; what is known of it may be read elsewhere, as `cues.steps`."""
        self.scope.values[name] = value
        if value.constant is not None:
            self.context.known[f"{self.node.name}.{name}"] = value

    def _count(self, name: str, node: ast.Expr, span: Span) -> None:
        path = f"{self.node.name}.{name}"
        kind = ast.TypeRef("name", "count")
        param = ast.Param(name, type=kind, default=node, span=span, name_span=span)
        value = param_value(param, (path,), self.scope)
        known = value.constant
        if value.bad or known is None:
            return
        if known < 1:
            self.bag.error("E0202", f"`{name}` must be a whole number of at least 1", node.span)
            return
        self.context.params[path] = plain(value)
        self.counts[name] = int(known)
        self._bind(name, value)

    # ------------------------------------------------------------ statements

    def _statement(self, node: ast.DataStatement) -> None:
        if isinstance(node, ast.Param):
            self._parameter(node)
        elif isinstance(node, ast.Let):
            self._bind(node.name, expressions.translate(node.value, self.scope))
        elif isinstance(node, ast.TaskDraw):
            self._drawn(node)
        elif isinstance(node, ast.Field):
            self._drawn(node) if node.drawn else self._field(node)
        elif isinstance(node, ast.Signal):
            self._signal(node)
        elif not isinstance(node, ast.Setting):
            word = type(node).__name__.lower()
            self.context.unsupported(
                f"`{word}` in a task is", node.span, "a task is its own split: leave it out"
            )

    def _size(self, node: ast.TaskDraw | ast.Field | ast.Signal) -> int | None:
        if node.size is None:
            return None
        return expressions.whole(node.size, self.scope, "the size of a field", least=1)

    def _drawn(self, node: ast.TaskDraw | ast.Field) -> None:
        size, stream = self._size(node), f"{self.node.name}.{node.name}"
        self.scope.sized = size is not None
        found = callee(node.value)
        if found is not None and found[0] == PERMUTATION:
            drawn = self._permutation(node, found[1], size, stream)
        else:
            drawn = build_draw(node.value, self.scope, stream)
        self.scope.sized = False
        once = isinstance(node, ast.Field) and node.once
        args = drawn.draw.args if drawn is not None else ()
        if drawn is None or not self._of_sample(args, node.value, once=once):
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

    def _field(self, node: ast.Field) -> None:
        size = self._size(node)
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
        if value.bad or not self._of_sample((value.expr,), node.value):
            self.scope.values[node.name] = bad(node.span)
            return
        self._declare(node, size, value.expr, value.type)

    def _of_sample(self, values: tuple[Expr, ...], node: ast.Expr, *, once: bool = False) -> bool:
        """Whether a value is known when a sample is drawn, or before all; reports what is not."""
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
            self._twice(node, next(iter(self.context.signals[node.name].values())).span)
            return
        if before is not None and (before.place, before.shape) != (place, shape):
            self._twice(node, before.span)
            return
        kind = kind if known.type is Type.REAL else known.type
        self.context.variables[path] = Variable(
            path, Kind.SAMPLE, place, kind, shape=shape, span=node.name_span
        )
        self.fields.append(TaskField(node.name, size, value, once, node.name_span))
        self.scope.values[node.name] = Value(Ref(path), NONE, kind, place, span=node.name_span)

    def _twice(self, node: ast.Named, before: Span | None) -> None:
        self.bag.error(
            "E0781",
            f"`sample.{node.name}` has another meaning in another task",
            node.name_span,
            *([Label(before, "the other one")] if before is not None else []),
            help="give one of the two another name",
        )

    def _signal(self, node: ast.Signal) -> None:
        size = self._size(node)
        self.scope.sized = size is not None
        value = expressions.translate(node.value, self.scope)
        self.scope.sized = False
        wide = any(isinstance(part, Index) for part in walk(value.expr))
        field = self.context.variables.get(f"sample.{node.name}")
        if field is not None:
            self._twice(node, field.span)
        elif not value.bad and (wide or value.place is Place.UNIT) and size is None:
            self.bag.error(
                "E0780",
                f"signal `{node.name}` has one value, this is one for each unit",
                node.value.span,
                help=f"give it a size: `signal {node.name}[n] = …`",
            )
        elif not value.bad and not _plain_signal(value.expr):
            self.context.unsupported(
                "reductions in a signal are", node.value.span, "make them a `field`"
            )
        else:
            signals = self.context.signals.setdefault(node.name, {})
            signals[self.node.name] = Signal(value, size, node.name_span)

    # ------------------------------------------------------------ checks

    def _check_permutations(self, batch: int) -> None:
        batch = max(batch, self.counts.get("eval_batch", batch))
        for field in self.fields:
            draw = field.value
            if isinstance(draw, Draw) and draw.distribution == PERMUTATION:
                count = draw.args[0]
                if isinstance(count, Const) and batch > count.value:
                    self.bag.error(
                        "E0782",
                        f"a batch of {batch} samples has no {batch} different numbers below "
                        f"{count.value}",
                        draw.span or self.node.span,
                        help=f"draw from a larger permutation, or take `batch = {count.value}`",
                    )


def _plain_signal(expr: Expr) -> bool:
    return not any(isinstance(part, Reduce) for part in walk(expr))
