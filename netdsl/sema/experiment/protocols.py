"""Protocols: the schedule of presentations, phases, updates and evaluations."""

from __future__ import annotations

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Const, Expr
from netdsl.ir.network import Place
from netdsl.ir.protocol import (
    Choose,
    Each,
    Protocol,
    Repeat,
    Restore,
    RunPhase,
    Step,
    Update,
    known_full,
)
from netdsl.sema.experiment import memories, presentation, sequence
from netdsl.sema.experiment.rewiring import rewire_step
from netdsl.sema.scopes import evaluation, expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.counted import counted
from netdsl.sema.scopes.host import HostScope
from netdsl.sema.scopes.params import param_value, plain
from netdsl.sema.scopes.scope import Bound
from netdsl.sema.scopes.units import NONE, STEP, TIME, describe, resolve
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast

_LOOPS = ("epoch", "iteration", "batch", "sample")


def elaborate_protocol(node: ast.ProtocolDecl, context: Context) -> Protocol:
    """One protocol; parameters without default and type are splits of data."""
    return Builder(node, context).build()


class Builder:
    """Builds one protocol; `value` translates what the host computes, `site` names steps."""

    def __init__(self, node: ast.ProtocolDecl, context: Context) -> None:
        self.node, self.context = node, context
        self.kind = f"protocol `{node.name}`"
        self.scope = Bound(context, HostScope(context, self.kind), {})
        self.scope.kind = self.kind
        self.data_parameters: set[str] = set()
        self.parameters: list[tuple[str, Expr | None]] = []
        self.sites = 0
        self.source = ""  # the data that the loop around takes from, where it is known
        self.loop: ast.Each | None = None  # the loop over samples or batches around
        self.inside: Span | None = None  # any loop around
        self.clamped: Span | None = None  # a clamp that is in force
        self.rows = ""  # the replay whose slots the rows are
        self.pushed: set[str] = set()  # memories that the loop around fills
        self.filled: set[str] = set()  # those of them that are full here

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
        outer, clamped = dict(self.scope.values), self.clamped
        found: list[Step] = []
        for node in nodes:
            if isinstance(node, ast.WhenStep):
                found.extend(self._when(node))
                continue
            if isinstance(node, ast.Reset) and node.memories:
                made = (memories.forget_step(self, ref) for ref in node.memories)
                found.extend(step for step in made if step is not None)
                if not node.targets:
                    continue
            step = self.step(node)
            if step is not None:
                found.append(step)
            if isinstance(node, ast.Clamp):
                self.clamped = node.span
        self.scope.values, self.clamped = outer, clamped
        return tuple(found)

    def step(self, node: ast.ProtocolStep) -> Step | None:
        """One step; None where nothing is left to do or after a report."""
        if isinstance(node, ast.Each):
            return self._each(node)
        if isinstance(node, ast.Reset):
            return presentation.reset_step(self, node)
        if isinstance(node, ast.Clamp):
            return presentation.clamp_step(self, node)
        if isinstance(node, ast.Set):
            return presentation.set_step(self, node.target, node.value, node)
        if isinstance(node, ast.GlobalAssign):
            return presentation.assign_step(self, node)
        if isinstance(node, ast.Let):
            self.scope.values[node.name] = self.value(node.value)
            return None
        if isinstance(node, ast.Phase):
            return self._phase(node)
        if isinstance(node, ast.Update):
            return self._update(node)
        if isinstance(node, ast.Evaluate):
            return evaluation.evaluate_step(self, node)
        if isinstance(node, ast.RunProtocol):
            return sequence.run_step(self, node)
        if isinstance(node, ast.Checkpoint):
            return evaluation.checkpoint_step(self, node)
        if isinstance(node, ast.Restore):
            return Restore(node.checkpoint.name, node.span)
        if isinstance(node, ast.Repeat):
            return self._repeat(node)
        if isinstance(node, ast.DoRewire):
            return rewire_step(self, node)
        return memories.push_step(self, node) if isinstance(node, ast.Push) else None

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
        outer = set(self.filled)
        self.filled |= known_full(condition.expr)
        then = self.steps(node.body)
        self.filled = outer
        return (Choose(condition.expr, then, self.steps(node.otherwise), node.span),)

    def _each(self, node: ast.Each) -> Each | None:
        if node.kind not in _LOOPS:
            self.context.unsupported(
                f"`each {node.kind}` is",
                node.span,
                "use `each epoch`, `each iteration`, `each batch of …` or `each sample of …`",
            )
            return None
        limit, counts = None, node.kind
        if node.limit is not None:
            limit = self.value(node.limit).expr
            words = ("batch", "sample") if node.kind == "batch" else (node.kind,)
            counts = counted(node.limit, words, self.context) or node.kind
        split = None
        if node.kind in ("epoch", "iteration"):
            self._round(node, limited=limit is not None)
        elif node.of is None:
            self.context.bag.error(
                "E0116",
                f"`each {node.kind}` needs data",
                node.span,
                help=f"as in `each {node.kind} of digits.train`",
            )
            return None
        else:
            split = evaluation.split_of(self, node.of)
        site, outer = self.site(), (self.source, self.loop, self.rows, self.pushed, self.filled)
        if split is not None:
            self.source, self.loop = split.source, node
            self.rows, self.pushed, self.filled = "", set(), set()
        body = self._inner(node, node.body)
        self.source, self.loop, self.rows, self.pushed, self.filled = outer
        return Each(node.kind, split, limit, body, site, node.span, counts)

    def _inner(self, loop: ast.Each | ast.Repeat, body: ast.Steps) -> tuple[Step, ...]:
        outer, self.inside = self.inside, loop.span
        steps = self.steps(body)
        self.inside = outer
        return steps

    def _round(self, node: ast.Each, *, limited: bool) -> None:
        """`each epoch` and `each iteration` say how often, and do not stand in each other."""
        kind, many = node.kind, f"{node.kind}s"
        if not limited and many not in [name for name, _ in self.parameters]:
            self.context.bag.error(
                "E0532",
                f"this loop does not say how many {many}",
                node.span,
                help=f"write `protocol {self.node.name}({many} = 10)` or `each {kind} limit 10`",
            )
        inner = (n for n in ast.walk(node) if isinstance(n, ast.Each) and n is not node)
        for other in inner:
            if other.kind in ("epoch", "iteration"):
                self.context.bag.error(
                    "E0785",
                    f"`each {other.kind}` stands in `each {kind}`",
                    other.span,
                    Label(node.span, "in this loop"),
                    help="count one of the two with `repeat` or with `limit`",
                )

    def _repeat(self, node: ast.Repeat) -> Repeat | None:
        limit: Expr = Const(1000)
        if node.limit is not None:
            limit = self.value(node.limit).expr
            counted(node.limit, (), self.context)
        body = self._inner(node, node.body)
        until = self.value(node.until)
        return None if until.bad else Repeat(body, until.expr, limit, node.span)

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
                self.context.bag.error(
                    "E0208", f"control `{setting.name}` is one number", setting.value.span
                )
            elif not value.bad:
                controls.append((setting.name, value.expr))
        learning = self._learning(node) if node.learning else frozenset()
        if steps is None or not memories.require_full(self, node, f"phase `{node.name}` runs"):
            return None
        site, rows = self.site(), self.rows
        return RunPhase(node.name, steps, learning, tuple(controls), site, node.span, rows)

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
        """Projections whose rules have something to do at the end of each step."""
        rules = {
            name
            for name, p in self.context.projections.items()
            if p.rule is not None and p.rule.each_step
        }
        if not node.projections:
            return frozenset(rules)
        return frozenset(name for name in self._projections(node.projections) if name in rules)

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
        memories.require_full(self, node, "this update comes")
        good = []
        for ref in node.projections:
            if ref.name not in names:
                continue
            rule = self.context.projections[ref.name].rule
            if rule is None or rule.clock != "update":
                self._no_update(ref, rule is None)
            else:
                good.append(ref.name)
        return Update(tuple(good), self.site(), node.span, self.rows) if good else None

    def _no_update(self, ref: ast.Ref, missing: bool) -> None:
        if self.context.bag.has_errors and missing:
            return
        why = "has no rule" if missing else "learns at every step of learning phases"
        self.context.bag.error(
            "E0531",
            f"`{ref}` {why}, there is nothing to update",
            ref.span,
            help="add `learn RULE(…)` to it"
            if missing
            else "mark a phase `learning`, or put the rule's `dw` into `at update { … }`",
        )
