"""Protocols: the schedule of presentations, phases, updates and evaluations."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import Span
from netdsl.ir.expr import Apply, Const, Expr, Ref
from netdsl.ir.network import Kind, Place, Variable
from netdsl.ir.protocol import (
    Checkpoint,
    Choose,
    Clamp,
    Each,
    Evaluate,
    Protocol,
    Repeat,
    Reset,
    Restore,
    RunPhase,
    SetGlobal,
    SetState,
    SplitRef,
    Step,
    Update,
)
from netdsl.sema import expressions
from netdsl.sema.context import Context
from netdsl.sema.host import HostScope
from netdsl.sema.params import param_value, plain
from netdsl.sema.populations import PopulationScope
from netdsl.sema.scope import Bound, Scope
from netdsl.sema.units import NONE, STEP, TIME, describe, resolve
from netdsl.sema.values import Value
from netdsl.syntax import ast

_LOOPS = ("epoch", "batch", "sample")


def elaborate_protocol(node: ast.ProtocolDecl, context: Context) -> Protocol:
    """One protocol; parameters without default and type are splits of data."""
    return _Builder(node, context).build()


class _Builder:
    def __init__(self, node: ast.ProtocolDecl, context: Context) -> None:
        self.node, self.context = node, context
        self.kind = f"protocol `{node.name}`"
        self.scope = Bound(context, HostScope(context, self.kind), {})
        self.scope.kind = self.kind
        self.data_parameters: set[str] = set()
        self.parameters: list[tuple[str, Expr | None]] = []
        self.sites = 0

    def build(self) -> Protocol:
        for param in self.node.params:
            if param.default is None:
                self.data_parameters.add(param.name)
                self.parameters.append((param.name, None))
                continue
            path = f"{self.node.name}.{param.name}"
            value = param_value(param, (path,), self.context.scope)
            self.context.params[path] = plain(value)
            self.scope.values[param.name] = value
            self.parameters.append((param.name, value.expr))
        body = self.steps(self.node.body)
        return Protocol(self.node.name, tuple(self.parameters), body, self.node.span)

    def site(self) -> str:
        """The next unique name of a step that needs code."""
        self.sites += 1
        return f"{self.node.name}.{self.sites - 1}"

    def steps(self, nodes: ast.Steps) -> tuple[Step, ...]:
        """A block of steps; `let`s of a block end with it."""
        outer = dict(self.scope.values)
        found: list[Step] = []
        for node in nodes:
            if isinstance(node, ast.WhenStep):
                found.extend(self._when(node))
                continue
            step = self.step(node)
            if step is not None:
                found.append(step)
        self.scope.values = outer
        return tuple(found)

    def step(self, node: ast.ProtocolStep) -> Step | None:
        """One step; None where nothing is left to do or after a report."""
        if isinstance(node, ast.Each):
            return self._each(node)
        if isinstance(node, ast.Reset):
            return self._reset(node)
        if isinstance(node, ast.Clamp):
            return self._clamp(node)
        if isinstance(node, ast.Set):
            return self._set(node.target, node.value, node)
        if isinstance(node, ast.GlobalAssign):
            return self._assign(node)
        if isinstance(node, ast.Let):
            self.scope.values[node.name] = self.value(node.value)
            return None
        if isinstance(node, ast.Phase):
            return self._phase(node)
        if isinstance(node, ast.Update):
            return self._update(node)
        if isinstance(node, ast.Evaluate):
            return self._evaluate(node)
        if isinstance(node, ast.Checkpoint):
            return self._checkpoint(node)
        if isinstance(node, ast.Restore):
            return Restore(node.checkpoint.name, node.span)
        if isinstance(node, ast.Repeat):
            return self._repeat(node)
        word = "memories" if isinstance(node, ast.Push) else "rewiring"
        self.context.unsupported("E0846", f"{word} are", node.span, "leave this step out")
        return None

    def value(self, node: ast.Expr) -> Value:
        """A value computed by the host."""
        return expressions.translate(node, self.scope)

    # ------------------------------------------------------------ blocks

    def _when(self, node: ast.WhenStep) -> tuple[Step, ...]:
        condition = self.value(node.condition)
        if condition.bad:
            return ()
        if condition.constant is not None:
            taken = bool(condition.constant) is not self.context.flip
            skipped = node.otherwise if taken else node.body
            if skipped:
                self.context.whens.append(skipped[0].span.to(skipped[-1].span))
            return self.steps(node.body if taken else node.otherwise)
        chosen = Choose(condition.expr, self.steps(node.body), self.steps(node.otherwise))
        return (Choose(chosen.condition, chosen.then, chosen.otherwise, node.span),)

    def _each(self, node: ast.Each) -> Each | None:
        if node.kind not in _LOOPS:
            self.context.unsupported("E0847", f"`each {node.kind}` is", node.span,
                                     "use `each epoch`, `each batch of …` or `each sample of …`")
            return None
        limit = self.value(node.limit).expr if node.limit is not None else None
        split = None
        if node.kind == "epoch":
            names = [name for name, _ in self.parameters]
            if limit is None and "epochs" not in names:
                self.context.bag.error(
                    "E0532", "this loop does not say how many epochs", node.span,
                    help=f"write `protocol {self.node.name}(epochs = 10)`, or `each epoch limit 10`",
                )
        elif node.of is None:
            self.context.bag.error("E0116", f"`each {node.kind}` needs data", node.span,
                                   help=f"as in `each {node.kind} of digits.train`")
            return None
        else:
            split = self._split(node.of)
        site = self.site()
        return Each(node.kind, split, limit, self.steps(node.body), site, node.span)

    def _split(self, ref: ast.Ref) -> SplitRef | None:
        parts = ref.parts
        if len(parts) == 1 and parts[0] in self.data_parameters:
            return SplitRef("", "", parts[0])
        context = self.context
        name = parts[0]
        if name not in context.data and name not in context.pairs:
            if not context.bag.is_poisoned("data", name):
                known = [*self.data_parameters, *_splits(context)]
                context.unknown("data", ref.name, ref.span, known)
            return None
        context.use("pairs" if name in context.pairs else "data", name)
        data = context.pairs[name].data if name in context.pairs else name
        splits = context.data[data].splits if data in context.data else {}
        if len(parts) != 2 or parts[1] not in splits:
            known = [f"{name}.{split}" for split in splits]
            context.unknown("split", ref.name, ref.span, known)
            return None
        return SplitRef(name, parts[1])

    def _repeat(self, node: ast.Repeat) -> Repeat | None:
        limit = self.value(node.limit).expr if node.limit is not None else Const(1000)
        body = self.steps(node.body)
        until = self.value(node.until)
        return None if until.bad else Repeat(body, until.expr, limit, node.span)

    # ------------------------------------------------------------ state

    def _reset(self, node: ast.Reset) -> Reset | None:
        for ref in node.memories:
            self.context.unsupported("E0846", "memories are", ref.span, "leave this step out")
        targets = []
        for ref in node.targets:
            known = (*self.context.populations, *self.context.modulators)
            if ref.name not in known:
                self.context.unknown("population", ref.name, ref.span, known)
            else:
                targets.append(ref.name)
        if (node.targets and not targets) or node.memories:
            return None
        return Reset(tuple(targets), node.span)

    def _target(self, ref: ast.Ref) -> tuple[PopulationScope, Variable] | None:
        """The variable of a population that `clamp` or `set` names; None after a report."""
        context, parts = self.context, ref.parts
        scope = context.cells.get(".".join(parts[:-1]))
        if scope is None:
            if not context.bag.is_poisoned("population", parts[0]):
                known = [f"{c.name}.{name}" for c in context.cells.values() for name in c.paths]
                context.unknown("variable", ref.name, ref.span, known, self.kind)
            return None
        path = scope.paths.get(parts[-1])
        if path is None:
            known = [f"{scope.name}.{name}" for name in scope.paths]
            context.unknown("variable", ref.name, ref.span, known, self.kind)
            return None
        context.use("population", scope.name)
        context.use("clamped", path)
        return scope, scope.variables[path]

    def _clamp(self, node: ast.Clamp) -> Clamp | None:
        target = self._target(node.target)
        scope: Scope = self.scope if target is None else _Inside(self.scope, target[0])
        value = expressions.translate(node.value, scope)
        if target is None or value.bad:
            return None
        variable = target[1]
        if variable.kind not in (Kind.INPUT, Kind.STATE):
            self.context.bag.error(
                "E0104", f"`{node.target}` is a {variable.kind.value}; inputs and states are clamped",
                node.target.span,
            )
            return None
        if not self._fits(variable, value, node.target):
            return None
        return Clamp(variable.path, value.expr, self.site(), node.span)

    def _fits(self, variable: Variable, value: Value, target: ast.Ref) -> bool:
        if variable.place is Place.ROW and value.place in (Place.UNIT, Place.NEURON):
            self.context.bag.error(
                "E0208", f"`{target}` is one number per population, this is one per neuron",
                value.span,
            )
            return False
        dim = self.context.dims[variable.path]
        return expressions.expect(value, dim, f"`{target}` is", self.scope)

    def _set(self, ref: ast.Ref, node: ast.Expr, step: ast.Node) -> SetState | None:
        weight = self._weight(ref)
        if weight is not None:
            return self._set_weight(weight, node, step)
        target = self._target(ref)
        scope: Scope = self.scope if target is None else _Inside(self.scope, target[0])
        value = expressions.translate(node, scope)
        if target is None or value.bad:
            return None
        variable = target[1]
        if variable.kind not in (Kind.INPUT, Kind.STATE, Kind.TRACE):
            self.context.bag.error(
                "E0104", f"`{ref}` is a {variable.kind.value}; inputs and states are set", ref.span
            )
            return None
        if not self._fits(variable, value, ref):
            return None
        return SetState(variable.path, value.expr, self.site(), step.span)

    def _weight(self, ref: ast.Ref) -> str | None:
        projection = self.context.projections.get(ref.parts[0])
        if projection is None or ref.name not in projection.variables:
            return None
        return ref.name

    def _set_weight(self, path: str, node: ast.Expr, step: ast.Node) -> SetState | None:
        value = self.value(node)
        if value.bad:
            return None
        inner = value.expr.args[0] if isinstance(value.expr, Apply) and (
            value.expr.function == "transpose") else value.expr
        if not isinstance(inner, Ref) or value.place is not Place.SYNAPSE:
            self.context.unsupported(
                "E0848", "computed weights are", node.span,
                "copy another weight: `set Wc.w := W.w` or `set Wc.w := transpose(W.w)`",
            )
            return None
        return SetState(path, value.expr, self.site(), step.span)

    def _assign(self, node: ast.GlobalAssign) -> Step | None:
        if len(node.target.parts) > 1:
            return self._set(node.target, node.value, node)
        value = self.value(node.value)
        variable = self.context.variables.get(node.target.name)
        if variable is None or variable.kind is not Kind.GLOBAL:
            self._no_global(node, variable)
            return None
        self.context.use("global", variable.path)
        if value.bad or not self._fits(variable, value, node.target):
            return None
        if value.place is not Place.GLOBAL:
            self.context.bag.error("E0208", f"`{node.target}` is one number", node.value.span)
            return None
        return SetGlobal(variable.path, value.expr, self.site(), node.span)

    def _no_global(self, node: ast.GlobalAssign, variable: Variable | None) -> None:
        name = node.target.name
        known = self.context.declarations.table("global")
        if variable is None and name not in self.scope.names():
            self.context.unknown("global state", name, node.target.span, known, self.kind)
            return
        control = variable is not None and variable.kind is Kind.CONTROL
        self.context.bag.error(
            "E0115", f"`{name}` is not a global state and cannot be assigned", node.target.span,
            help=f"a control is set by a phase: `phase run 10 steps {{ {name} = 1 }}`" if control
            else f"declare `global state {name} = …`",
        )

    # ------------------------------------------------------------ phases and learning

    def _phase(self, node: ast.Phase) -> RunPhase | None:
        steps = self._duration(node)
        controls = []
        for setting in node.controls:
            value = self.value(setting.value)
            known = self.context.declarations.table("control")
            if setting.name not in known:
                self.context.unknown("control", setting.name, setting.name_span, known, self.kind)
                continue
            self.context.use("control", setting.name)
            if value.place is not Place.GLOBAL:
                self.context.bag.error("E0208", f"control `{setting.name}` is one number",
                                       setting.value.span)
            elif not value.bad:
                controls.append((setting.name, value.expr))
        learning = self._learning(node) if node.learning else frozenset()
        if steps is None:
            return None
        return RunPhase(node.name, steps, learning, tuple(controls), self.site(), node.span)

    def _duration(self, node: ast.Phase) -> Expr | None:
        value = self.value(node.duration)
        if value.bad:
            return None
        if value.constant is not None:
            steps = self.context.scope.steps(value, "a phase")
            return None if steps is None else Const(steps, value.span)
        if resolve(value.dim) not in (STEP, NONE, None) or resolve(value.dim) == TIME:
            self.context.bag.error(
                "E0201", f"a phase lasts steps, this is {describe(value.dim)}", value.span
            )
        return value.expr

    def _learning(self, node: ast.Phase) -> frozenset[str]:
        step_rules = {
            name
            for name, p in self.context.projections.items()
            if p.rule is not None and p.rule.clock == "step"
        }
        if not node.projections:
            return frozenset(step_rules)
        return frozenset(name for name in self._projections(node.projections) if name in step_rules)

    def _projections(self, names: tuple[ast.Ref, ...]) -> list[str]:
        found = []
        for ref in names:
            if ref.name not in self.context.projections:
                if not self.context.bag.is_poisoned("projection", ref.name):
                    known = self.context.projections
                    self.context.unknown("projection", ref.name, ref.span, known, self.kind)
            else:
                found.append(ref.name)
        return found

    def _update(self, node: ast.Update) -> Update | None:
        names = self._projections(node.projections)
        good = []
        for ref in node.projections:
            if ref.name not in names:
                continue
            rule = self.context.projections[ref.name].rule
            if rule is None or rule.clock != "update":
                self._no_update(ref, rule is None)
            else:
                good.append(ref.name)
        return Update(tuple(good), self.site(), node.span) if good else None

    def _no_update(self, ref: ast.Ref, missing: bool) -> None:
        if self.context.bag.has_errors and missing:
            return
        why = "has no rule" if missing else "learns at every step of learning phases"
        self.context.bag.error(
            "E0531", f"`{ref}` {why}, there is nothing to update", ref.span,
            help="add `learn RULE(…)` to it" if missing
            else "mark a phase `learning`, or put the rule's `dw` into `at update { … }`",
        )

    # ------------------------------------------------------------ evaluation

    def _evaluate(self, node: ast.Evaluate) -> Evaluate | None:
        declared = self.context.declarations.find("protocol", node.protocol.name)
        if declared is None:
            known = self.context.declarations.table("protocol")
            self.context.unknown("protocol", node.protocol.name, node.protocol.span, known)
            return None
        self.context.use("protocol", declared.name)
        splits = []
        for arg in node.args:
            ref = _as_ref(arg.value)
            split = self._split(ref) if ref is not None else None
            if ref is None:
                self.context.bag.error("E0104", "data is needed here, as in `digits.dev`", arg.span)
            if split is None:
                return None
            splits.append(split)
        wanted = [param for param in declared.params if param.default is None]
        if len(splits) != len(wanted):
            self.context.bag.error(
                "E0110", f"protocol `{declared.name}` takes {len(wanted)} data arguments, here are "
                f"{len(splits)}", node.span,
            )
            return None
        limit = self.value(node.limit).expr if node.limit is not None else None
        label = evaluation_label(node)
        return Evaluate(
            declared.name, tuple(splits), label, node.from_present, limit, node.span
        )

    def _checkpoint(self, node: ast.Checkpoint) -> Checkpoint | None:
        if node.by is None or node.on is None:
            self.context.bag.error(
                "E0116", "a checkpoint needs a metric and an evaluation", node.span,
                help=f"as in `checkpoint {node.name} by accuracy on dev`",
            )
            return None
        if node.by.name not in self.context.metrics:
            self.context.unknown("metric", node.by.name, node.by.span, self.context.metrics)
            return None
        label = node.on.parts[-1]
        known = evaluation_labels(self.context)
        if label not in known:
            self.context.unknown("evaluation", label, node.on.span, known)
            return None
        return Checkpoint(node.name, node.by.name, label, node.span)


class _Inside(Scope):
    """A value written for a variable of a population: its names first, then the protocol's."""

    def __init__(self, outer: Bound, population: PopulationScope) -> None:
        super().__init__(outer.context, outer)
        self.population = population.settled()
        self.kind = outer.kind

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        name = parts[0]
        bound = self.parent
        if len(parts) == 1 and isinstance(bound, Bound) and name in bound.values:
            return bound.values[name].at(span)
        own = name in self.population.paths or name in self.population.params or name == "index"
        if len(parts) == 1 and own:
            return self.population.find(parts, at, span)
        return super().find(parts, at, span)

    def names(self) -> Iterator[str]:
        yield from self.population.paths
        yield from super().names()

    def width(self) -> int | None:
        return self.population.width()


def _as_ref(node: ast.Expr) -> ast.Ref | None:
    if isinstance(node, ast.Name):
        return ast.Ref(node.id, span=node.span)
    if isinstance(node, ast.Attribute) and isinstance(node.base, ast.Name):
        return ast.Ref(f"{node.base.id}.{node.name}", span=node.span)
    return None


def _splits(context: Context) -> list[str]:
    names = [f"{name}.{split}" for name, data in context.data.items() for split in data.splits]
    for name, pair in context.pairs.items():
        if pair.data in context.data:
            names += [f"{name}.{split}" for split in context.data[pair.data].splits]
    return names


def evaluation_label(node: ast.Evaluate) -> str:
    """The name of an evaluation's results: `as NAME`, else the split, else the protocol."""
    if node.name is not None:
        return node.name
    ref = _as_ref(node.args[0].value) if node.args else None
    return ref.parts[-1] if ref is not None else node.protocol.name


def evaluation_labels(context: Context) -> list[str]:
    """Labels of all evaluations, and of the two runs that the command line makes."""
    labels = ["train", "test"]
    for protocol in context.declarations.table("protocol").values():
        for node in ast.walk(protocol):
            if isinstance(node, ast.Evaluate):
                labels.append(evaluation_label(node))
    return list(dict.fromkeys(labels))
