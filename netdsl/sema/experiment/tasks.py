"""Tasks: samples that are generated, field by field, and signals that vary within a trial."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const, Expr, Index, Reduce, walk
from netdsl.ir.network import Draw, Place
from netdsl.ir.protocol import Data
from netdsl.ir.task import PERMUTATION, Task
from netdsl.sema.experiment.data import bounds, setting
from netdsl.sema.experiment.fields import FieldBuilder, FieldScope
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context, Signal
from netdsl.sema.scopes.params import param_value, plain
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

_COUNTS = ("batch", "eval_batch", "size")
_ORDER = ("shuffle", "partial")


def elaborate_task(node: ast.TaskDecl, context: Context) -> None:
    """`task cues(batch = 64) { draw a ~ …; field b = …; signal c[40] = … }`."""
    _Builder(node, context).build()


class _Builder(FieldBuilder):
    def __init__(self, node: ast.TaskDecl, context: Context) -> None:
        super().__init__(node.name, context, FieldScope(context, f"task `{node.name}`"))
        self.node = node
        self.counts: dict[str, int] = {}
        self.finite = any(isinstance(part, ast.Split) for part in node.body)
        self.order: dict[str, object] = {}  # `shuffle` and `partial`
        self.splits: dict[str, tuple[str, int | None, int | None]] = {}

    def build(self) -> None:
        for param in self.node.params:
            self._parameter(param)
        for part in (s for s in self.node.body if isinstance(s, ast.Setting)):
            self._setting(part)
        for statement in self.node.body:
            self._statement(statement)
        batch = self.counts.get("batch", 1)
        size = self.counts.get("size", batch)
        if self.finite:
            self._require_size(size)
        self._check_permutations(size if self.finite else batch)
        self.context.data[self.node.name] = Data(
            self.node.name,
            "",
            batch,
            self.counts.get("eval_batch", batch),
            shuffle=self.order.get("shuffle") is True,
            partial=str(self.order.get("partial", "keep")),
            splits=self.splits if self.finite else {"": ("", None, None)},
            span=self.node.span,
            task=Task(size, self.finite),
            fields=tuple(self.fields),
        )

    def _setting(self, node: ast.Setting) -> None:
        if node.name in _COUNTS:
            self._count(node.name, node.value, node.span)
        elif node.name not in _ORDER:
            known = (*_COUNTS, *_ORDER)
            self.context.unknown("setting", node.name, node.name_span, known)
        elif not self.finite:
            self.bag.error(
                "E0114",
                f"`{node.name}` is of a finite set, and this task draws every sample anew",
                node.span,
                help="give the task splits, `split train = [0, 900]`, or leave this out",
            )
        else:
            self.order[node.name] = setting(self.node.name, node, self.context)

    def _require_size(self, size: int) -> None:
        """A finite set says how large it is, and its splits lie in it."""
        given = [*self.node.params, *self.node.body]
        if not any(isinstance(p, ast.Param | ast.Setting) and p.name == "size" for p in given):
            self.bag.error(
                "E0116",
                f"task `{self.node.name}` has splits, and does not say of how many samples",
                self.node.name_span,
                help=f"write `task {self.node.name}(size = 1000)`",
            )
        if "size" not in self.counts:
            return
        for part in self.node.body:
            found = self.splits.get(part.name) if isinstance(part, ast.Split) else None
            if found is not None and (found[2] or 0) > size:
                self.bag.error(
                    "E0202",
                    f"split `{part.name}` ends at {found[2]}, the task has {size} samples",
                    part.span,
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
            self.drawn(node)
        elif isinstance(node, ast.Field):
            self.drawn(node) if node.drawn else self.field(node)
        elif isinstance(node, ast.Signal):
            self._signal(node)
        elif isinstance(node, ast.Split):
            self._split(node)
        elif not isinstance(node, ast.Setting):
            word = type(node).__name__.lower()
            self.context.unsupported(f"`{word}` in a task is", node.span, "draw it as a `field`")

    def _split(self, node: ast.Split) -> None:
        if not isinstance(node.value, ast.ListExpr):
            self.bag.error(
                "E0104",
                "a split of a task is a part of its samples, as in `[0, 900]`",
                node.value.span,
            )
            return
        ends = bounds(node.name, node.value.items, node.value.span, self.context, self.scope)
        if ends is not None:
            self.splits[node.name] = ("", *ends)

    def _signal(self, node: ast.Signal) -> None:
        size = self.size_of(node)
        self.scope.sized = size is not None
        value = expressions.translate(node.value, self.scope)
        self.scope.sized = False
        wide = any(isinstance(part, Index) for part in walk(value.expr))
        field = self.context.variables.get(f"sample.{node.name}")
        if field is not None:
            self.twice(node, field.span)
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
