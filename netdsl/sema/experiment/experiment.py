"""Data, readouts, metrics, losses, recorders, claims and waivers."""

from __future__ import annotations

from netdsl.ir.network import Claim, Loss, Place, Waiver
from netdsl.ir.protocol import Data, Metric, Pairs, Readout, Recorder
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.components import spelled, without_index
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.host import HostScope, LossScope, NetworkScope
from netdsl.sema.scopes.overrides import read_value
from netdsl.sema.scopes.params import plain
from netdsl.sema.scopes.scope import dotted
from netdsl.sema.scopes.templates import callee
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

Split = tuple[str, int | None, int | None]
_PAIRS = ("wrong_label", "mixed_image")
_PLAIN_SETTINGS = ("source", "batch", "eval_batch", "shuffle", "partial")


# ---------------------------------------------------------------- data


def elaborate_data(node: ast.DataDecl, context: Context) -> None:
    """`data digits { source = "digits"; batch = 64; split dev = train[0, 10] }`."""
    settings: dict[str, object] = {}
    splits: dict[str, Split] = {"train": ("train", None, None), "test": ("test", None, None)}
    for statement in node.body:
        if isinstance(statement, ast.Setting):
            settings[statement.name] = _setting(node, statement, context)
        elif isinstance(statement, ast.Split):
            found = _split(statement, context)
            if found is not None:
                splits[statement.name] = found
        else:
            word = type(statement).__name__.lower()
            context.unsupported(
                f"`{word}` in data is", statement.span, "prepare the field in the data file"
            )
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
        {k: v for k, v in settings.items() if k not in _PLAIN_SETTINGS},
        node.span,
    )


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _setting(node: ast.DataDecl, setting: ast.Setting, context: Context) -> object:
    path = f"{node.name}.{setting.name}"
    raw = context.overrides.take(path)
    value = _plain(
        setting.value, context, words=("drop", "keep") if (setting.name == "partial") else ()
    )
    if raw is not None:
        given = read_value(raw, setting.name_span)
        value = plain(given) if given is not None else raw
    problem = _wrong_setting(setting.name, value)
    if problem is not None and value is not None:
        context.bag.error("E0202", f"`{setting.name}` must be {problem}", setting.value.span)
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
    if isinstance(value, ast.Index) and isinstance(value.base, ast.Name) and len(value.args) == 2:
        ends = [
            expressions.whole(arg, context.scope, "the end of a split", least=0)
            for arg in value.args
        ]
        if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]:
            context.bag.error(
                "E0202", f"split `{node.name}` is empty: {ends[0]} to {ends[1]}", node.value.span
            )
            return None
        return value.base.id, ends[0], ends[1]
    context.bag.error(
        "E0104", "a split is a part of the source's own, as in `train[0, 1000]`", node.value.span
    )
    return None


def elaborate_pairs(node: ast.Pairs, context: Context) -> None:
    """`pairs streams = wrong_label(digits)`."""
    found = callee(node.value)
    if found is None or found[0] not in _PAIRS:
        context.unknown("kind of pairs", found[0] if found else "?", node.value.span, _PAIRS)
        context.bag.poison("data", node.name)
        return
    kind, args, _ = found
    data, settings = "", {}
    for arg in args:
        if arg.name is None and isinstance(arg.value, ast.Name):
            data = arg.value.id
            context.use("data", data)
            if data not in context.data:
                context.unknown("data", data, arg.span, context.data)
            elif context.data[data].task is not None:
                context.unsupported("pairs of a task are", arg.span, "draw them in the task")
        elif arg.name is not None:
            value = expressions.constant(arg.value, context.scope, "a setting").constant
            settings[arg.name] = float(value) if value is not None else 0.0
    if not data:
        context.bag.error(
            "E0110", f"`{kind}` needs data", node.value.span, help=f"as in `{kind}(digits)`"
        )
    context.pairs[node.name] = Pairs(node.name, kind, data, settings, node.span)


# ---------------------------------------------------------------- readouts and metrics


def elaborate_readout(node: ast.Readout, context: Context) -> Value:
    """`readout y = …`; its value, for the readouts and metrics that name it."""
    if node.name in context.readout_values:
        return context.readout_values[node.name]
    if not context.bag.poison("readout in progress", node.name):
        context.bag.error("E0109", f"readout `{node.name}` depends on itself", node.name_span)
        return bad(node.span)
    value = expressions.translate(node.value, HostScope(context, f"readout `{node.name}`"))
    context.readout_values[node.name] = value
    context.readouts[node.name] = Readout(node.name, value.expr, node.span)
    return value


def elaborate_metric(node: ast.Metric, context: Context) -> None:
    """`metric accuracy = mean(y == sample.label) per batch every 500 batches after update`."""
    value = expressions.translate(node.value, HostScope(context, f"metric `{node.name}`"))
    every = None
    if node.every is not None:
        every = expressions.whole(node.every, context.scope, "a number of batches", least=1)
    if node.per not in (None, "batch"):
        context.unknown("average", node.per or "", node.span, ("batch",))
    if node.after not in (None, "update"):
        context.unknown("moment", node.after or "", node.span, ("update",))
    if not value.bad and value.place is not Place.GLOBAL:
        context.bag.error(
            "E0208",
            f"metric `{node.name}` is not one number",
            node.value.span,
            help="average it over the samples, as in `mean(…)`",
        )
    on = _label(node.on) if node.on is not None else None
    context.metrics[node.name] = Metric(
        node.name, value.expr, every, on, node.per == "batch", node.span
    )


def _label(ref: ast.Ref) -> str:
    """`dev`, also written `digits.dev`."""
    return ref.parts[-1]


def elaborate_loss(node: ast.Loss, context: Context) -> None:
    """`loss E = mean(cross_entropy(out.p@trial, sample.label))`."""
    value = expressions.translate(node.value, LossScope(context, f"loss `{node.name}`"))
    if not value.bad and value.place is not Place.GLOBAL:
        context.bag.error(
            "E0208",
            f"loss `{node.name}` is not one number",
            node.value.span,
            help="average it over the samples, as in `mean(…)`",
        )
    context.losses[node.name] = Loss(node.name, value.expr, node.span)


def recorder(node: ast.Record, context: Context) -> Recorder | None:
    """`record h1.s every 1 step on test limit 64 samples`."""
    scope = NetworkScope(context, "`record`")
    found = spelled(node.value, scope)
    variable = scope._variable(found[0]) if found is not None and found[1] is None else None
    vector = scope.vector(found[0]) if found is not None else None
    if found is not None and vector is not None:
        without_index(".".join(found[0]), vector, node.value.span, scope)
        return None
    if variable is None:
        name = ".".join(found[0]) if found is not None else "?"
        if not context.bag.is_poisoned("population", name.split(".")[0]):
            context.unknown("variable", name, node.value.span, scope.names(), "`record`")
        return None
    context.use("variable", variable.path)
    every, limit = 1, None
    if node.every is not None:
        value = expressions.constant(node.every, context.scope, "an interval")
        every = max(context.scope.steps(value, "the interval") or 1, 1)
    if node.limit is not None:
        limit = expressions.whole(node.limit, context.scope, "a number of samples", least=1)
    on = _label(node.on) if node.on is not None else None
    return Recorder(variable.path, every, on, limit, node.span)


# ---------------------------------------------------------------- promises


def claim(node: ast.Claim, context: Context) -> Claim | None:
    """`claim csdp : three-factor(population), causal`."""
    declared = context.declarations.find("rule", node.rule.name)
    if declared is None and node.rule.name != "bptt":
        known = context.declarations.names("rule")
        context.unknown("rule", node.rule.name, node.rule.span, known)
        return None
    return Claim(node.rule.name, tuple(_property(label) for label in node.labels), node.span)


def _property(label: ast.Label) -> str:
    words = []
    for arg in label.args:
        found = dotted(arg)
        words.append(".".join(found[0]) if found else str(getattr(arg, "value", "?")))
    return f"{label.name}({', '.join(words)})" if words else label.name


def waivers(node: ast.Allow, context: Context) -> list[Waiver]:
    """`allow weight_transport on Wt because "…"`."""
    found = []
    for ref in node.on:
        kinds = ("projection", "rule", "modulator", "population", "table", "memory")
        reference = ref.name == "bptt" and (
            context.flip  # the branch that says `learn bptt` may be the one that is left out here
            or any(p.rule and p.rule.loss is not None for p in context.projections.values())
        )
        if not reference and not any(
            ref.name in context.declarations.table(kind) for kind in kinds
        ):
            known = [name for kind in kinds for name in context.declarations.table(kind)]
            context.unknown("name", ref.name, ref.span, known, "`allow`")
            continue
        found.append(Waiver(node.label.replace("_", "-"), ref.name, node.reason, node.span))
    return found


def own_waivers(kind: str, name: str, body: ast.Body) -> list[Waiver]:
    """`allow LEVEL because "…"` inside a rule, modulator or projection."""
    return [
        Waiver(node.label.replace("_", "-"), name, node.reason, node.span)
        for node in body
        if isinstance(node, ast.Waive)
    ]
