"""Pairs, readouts, metrics, losses, recorders, claims and waivers."""

from __future__ import annotations

from netdsl.ir.network import Claim, Kind, Loss, Place, Variable, Waiver
from netdsl.ir.protocol import Metric, Pairs, Readout, Recorder
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.components import spelled, without_index
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.counted import counted
from netdsl.sema.scopes.host import HostScope, LossScope, NetworkScope
from netdsl.sema.scopes.scope import dotted
from netdsl.sema.scopes.templates import callee
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

_PAIRS = ("wrong_label", "mixed_image")


# ---------------------------------------------------------------- pairs


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
        counted(node.every, ("batch",), context)
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
    variable = None
    if found is not None and found[1] is None:
        variable = scope._variable(found[0]) or _of_rule(found[0], context)
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
        counted(node.limit, ("sample",), context)
    on = _label(node.on) if node.on is not None else None
    named = [expressions.whole(e, context.scope, "a unit", least=0) for e in node.of]
    units = tuple(unit for unit in named if unit is not None)
    return Recorder(variable.path, every, on, limit, node.span, units, node.during, node.within)


def _of_rule(parts: tuple[str, ...], context: Context) -> Variable | None:
    """A state of a projection's rule, `W.hebb.e` or `W.e`."""
    projection = context.projections.get(parts[0])
    rule = projection.rule if projection is not None else None
    if rule is None or parts[1:-1] not in ((), (rule.name,)):
        return None
    found = rule.variables.get(f"{parts[0]}.{rule.name}.{parts[-1]}")
    return found if found is not None and found.kind is not Kind.LET else None


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
