"""`data`: sources, their splits, what is drawn beside them and done to their images."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.ir.protocol import Data
from netdsl.sema.experiment.augment import augmentations
from netdsl.sema.experiment.fields import FieldBuilder, FieldScope
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.overrides import read_value
from netdsl.sema.scopes.params import plain
from netdsl.sema.scopes.scope import Scope
from netdsl.syntax import ast

Split = tuple[str, int | None, int | None]
_PREPARING = ("mean", "std", "scale")
_SETTINGS = ("source", "batch", "eval_batch", "shuffle", "partial", *_PREPARING)


def elaborate_data(node: ast.DataDecl, context: Context) -> None:
    """`data digits { source = "digits"; batch = 64; split dev = train[0, 10] }`."""
    settings: dict[str, object] = {}
    splits: dict[str, Split] = {"train": ("train", None, None), "test": ("test", None, None)}
    made = FieldBuilder(node.name, context, FieldScope(context, f"data `{node.name}`"))
    for statement in node.body:
        if isinstance(statement, ast.Setting):
            if statement.name in _SETTINGS:
                settings[statement.name] = setting(node.name, statement, context)
            else:
                context.unknown("setting", statement.name, statement.name_span, _SETTINGS)
        elif isinstance(statement, ast.Split):
            found = _split(statement, context)
            if found is not None:
                splits[statement.name] = found
        elif isinstance(statement, ast.TaskDraw | ast.Field):
            _field(statement, made)
        elif not isinstance(statement, ast.Augment):
            word = type(statement).__name__.lower()
            help = "declare it outside" if word in ("let", "param") else "make it a `task`"
            context.unsupported(f"`{word}` in data is", statement.span, help)
    source = settings.get("source")
    if not isinstance(source, str):
        context.bag.error(
            "E0116",
            f"data `{node.name}` names no source",
            node.name_span,
            help='add `source = "digits"`',
        )
        source = ""
    batch = _count(settings.get("batch"), 1)
    context.data[node.name] = Data(
        node.name,
        source,
        batch,
        _count(settings.get("eval_batch"), batch),
        settings.get("shuffle") is True,
        str(settings.get("partial", "keep")),
        splits,
        {k: v for k, v in settings.items() if k in _PREPARING},
        node.span,
        fields=tuple(made.fields),
        augment=augmentations(node, splits, context),
    )


def _field(node: ast.TaskDraw | ast.Field, made: FieldBuilder) -> None:
    """What each stored sample is given besides; it keeps it."""
    if isinstance(node, ast.Field) and node.once:
        made.bag.error(
            "E0104",
            "`once` gives all samples one value, and stored samples keep what each has drawn",
            node.span,
            help=f"write `draw {node.name} ~ …` for a draw of each sample",
        )
    elif isinstance(node, ast.TaskDraw) or node.drawn:
        made.drawn(node)
    else:
        made.field(node)


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def setting(owner: str, node: ast.Setting, context: Context) -> object:
    """The plain value of one setting of data or of a task, `--set` included."""
    path = f"{owner}.{node.name}"
    raw = context.overrides.take(path)
    words = ("drop", "keep") if node.name == "partial" else ()
    value = _plain(node.value, context, words)
    if raw is not None:
        given = read_value(raw, node.name_span)
        value = plain(given) if given is not None else raw
    problem = _wrong_setting(node.name, value)
    if problem is not None and value is not None:
        context.bag.error("E0202", f"`{node.name}` must be {problem}", node.value.span)
        return None
    context.params[path] = value
    return value


def _wrong_setting(name: str, value: object) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if name in ("batch", "eval_batch") and not whole:
        return "a whole number of at least 1"
    if name == "shuffle" and not isinstance(value, bool):
        return "true or false"
    if name == "partial" and value not in ("keep", "drop"):
        return "`keep` or `drop`"
    if name == "source" and not isinstance(value, str):
        return "a text in quotes"
    if name in _PREPARING:
        numbers = value if isinstance(value, list) else [value]
        if not numbers or not all(
            isinstance(n, int | float) and not isinstance(n, bool) for n in numbers
        ):
            return "a number, or a list of one for each channel"
        if name != "mean" and not all(numbers):
            return "different from 0: images are divided by it"
    return None


def _plain(node: ast.Expr, context: Context, words: tuple[str, ...] = ()) -> object:
    """A setting as a plain value: text, number, word or list of numbers."""
    if isinstance(node, ast.String):
        return node.value
    if isinstance(node, ast.Name) and node.id in words:
        return node.id
    if isinstance(node, ast.ListExpr):
        return [_plain(item, context) for item in node.items]
    value = expressions.constant(node, context.scope, "a setting")
    return None if value.bad else plain(value)


def _split(node: ast.Split, context: Context) -> Split | None:
    value = node.value
    if isinstance(value, ast.Name):
        return value.id, None, None
    if isinstance(value, ast.Index) and isinstance(value.base, ast.Name):
        ends = bounds(node.name, value.args, value.span, context)
        return None if ends is None else (value.base.id, *ends)
    context.bag.error(
        "E0104", "a split is a part of the source's own, as in `train[0, 1000]`", node.value.span
    )
    return None


def bounds(
    name: str, args: tuple[ast.Expr, ...], span: Span, context: Context, scope: Scope | None = None
) -> tuple[int, int] | None:
    """First sample of a split and the one past its last; None after a report."""
    if len(args) != 2:
        context.bag.error("E0104", f"split `{name}` is from one sample to another", span)
        return None
    first, last = (
        expressions.whole(arg, scope or context.scope, "the end of a split", least=0)
        for arg in args
    )
    if first is None or last is None:
        return None
    if first >= last:
        context.bag.error("E0202", f"split `{name}` is empty: {first} to {last}", span)
        return None
    return first, last
