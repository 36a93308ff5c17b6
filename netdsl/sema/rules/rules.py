"""Rules: a `rule` declaration bound to one projection, or the reference rule `bptt`."""

from __future__ import annotations

from dataclasses import replace

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Expr, apply
from netdsl.ir.network import Assign, Optimiser, Place, Rule
from netdsl.sema.rules.clocks import rule_clock
from netdsl.sema.rules.optimisers import optimiser
from netdsl.sema.rules.parts import sum_of
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, Thunk, dotted
from netdsl.sema.scopes.templates import bind, callee
from netdsl.sema.scopes.values import bad
from netdsl.sema.scopes.vectors import expanded
from netdsl.sema.synapses.projections import ProjectionBuilder
from netdsl.sema.synapses.synapses import (
    AFTER,
    STEP_RULE,
    UPDATE_RULE,
    SynapseArguments,
    SynapseScope,
    formal_arguments,
    rescope,
)
from netdsl.syntax import ast

_PER_SYNAPSE = (
    ast.State,
    ast.Eligibility,
    ast.Trace,
    ast.Ode,
    ast.Integrate,
    ast.OnEvent,
    ast.Draw,
    ast.Assign,
    ast.Def,
)


def elaborate_rule(builder: ProjectionBuilder) -> None:
    """Find what a projection learns and attach it; nothing where it does not learn."""
    context, node = builder.context, builder.node
    learns = [s for s in builder.learning if isinstance(s, ast.Learn)]
    if not learns:
        for statement in builder.learning:
            if not isinstance(statement, ast.Waive):
                context.bag.error(
                    "E0116",
                    f"projection `{node.name}` has no rule that this belongs to",
                    statement.span,
                    help="add `learn RULE(…)`",
                )
        return
    for extra in learns[1:]:
        context.unsupported(
            "several rules on one projection are", extra.span, "write one rule with a sum of terms"
        )
    assert builder.ends is not None and builder.scope is not None
    if builder.ends.weight is None or builder.wiring.transpose_of is not None:
        context.bag.error(
            "E0633",
            f"projection `{node.name}` has no weight of its own to learn",
            learns[0].span,
            help="add `weight w ~ …`"
            if builder.wiring.transpose_of is None
            else f"`{builder.wiring.transpose_of}` owns the weight: let that projection learn",
        )
        return
    if builder.wiring.fixed:
        context.bag.error(
            "E0634", f"projection `{node.name}` is `fixed` and cannot learn", learns[0].span
        )
        return
    rule = _RuleBuilder(builder, learns[0]).build()
    if rule is not None:
        found = context.projections[node.name]
        context.projections[node.name] = replace(found, rule=rule)


class _RuleBuilder:
    def __init__(self, builder: ProjectionBuilder, learn: ast.Learn) -> None:
        assert builder.ends is not None and builder.scope is not None
        self.builder, self.learn = builder, learn
        self.context: Context = builder.context
        self.ends, self.outer = builder.ends, builder.scope
        self.projection = builder.node.name
        self.clock = STEP_RULE
        self.misnamed = False  # what makes the rule's `dw` unknown was reported
        self.refused: set[str] = set()
        self.dw: list[tuple[Expr, Span]] = []
        self.subtract: list[Expr] = []
        self.after: list[Assign] = []
        self.bound: tuple[Expr, Expr] | None = None
        self.optimiser: Optimiser | None = None
        self.reduce = "sum"
        self.reads: tuple[str, ...] | None = None
        self.reads_spans: tuple[Span, ...] = ()
        self.home: SynapseArguments = self.outer

    def build(self) -> Rule | None:
        found = callee(self.learn.rule)
        if found is None:
            self.context.bag.error(
                "E0104", "a rule is named here, as in `learn hebb()`", self.learn.span
            )
            return None
        name, args, span = found
        if name == "bptt":
            own = self.context.declarations.table("rule")  # whose declaration was reported
            return None if name in own else self._reference(args, span)
        declared = self.context.declarations.find("rule", name)
        if declared is None:
            known = [*self.context.declarations.names("rule"), "bptt"]
            self.context.unknown("rule", name, span, known)
            return None
        self.context.use("rule", name)
        what = f"rule `{name}`"
        caller = self.outer
        bound = bind(declared.params, args, caller, what, self.learn.span)
        if bound is None:
            return None
        body = self._body_of(declared)
        self.clock = rule_clock(body, self._home(STEP_RULE, what, declared, bound), self.context)
        self.home = self._home(self.clock, what, declared, bound)
        body = tuple(expanded(body, self.home, self.home.vectors))
        self._run(body)
        self._tail(self.builder.learning, rescope(self.outer, AFTER))
        if not self.dw and not self.misnamed:
            self.context.bag.error(
                "E0116",
                f"rule `{name}` has no `dw = …`",
                declared.name_span,
                Label(self.learn.span, "learnt here"),
                help="`dw` is the change to be added",
            )
            return None
        return self._rule(name, sum_of(self.dw), declared.span) if self.dw else None

    def _home(
        self, clock: str, what: str, declared: ast.RuleDecl, bound: dict[str, Thunk]
    ) -> SynapseArguments:
        """The names of the rule at a clock."""
        synapse = SynapseScope(self.context, self.ends, clock, what)
        home = SynapseArguments(self.context, synapse, {}, what, clock)
        formal_arguments(declared.params, bound, home)
        return home

    def _rule(self, name: str, dw: Expr | None, span: Span, loss: str | None = None) -> Rule:
        return Rule(
            name,
            self.projection,
            "step" if self.clock == STEP_RULE else "update",
            dw,
            self.reduce,
            self.optimiser,
            tuple(self.subtract),
            tuple(self.after),
            self.bound,
            self.reads,
            loss=loss,
            span=span,
            learn_span=self.learn.span,
            reads_spans=self.reads_spans,
        )

    def _body_of(self, declared: ast.RuleDecl) -> ast.Body:
        with self.context.expansion.of("rule", declared.name, declared) as fits:
            return self._extended(declared) if fits else ()

    def _extended(self, declared: ast.RuleDecl) -> ast.Body:
        body: list[ast.Statement] = []
        for node in declared.body:
            if isinstance(node, ast.Extends):
                parent = self.context.declarations.find("rule", node.parent.name)
                if parent is None:
                    known = self.context.declarations.names("rule")
                    self.context.unknown("rule", node.parent.name, node.parent.span, known)
                else:
                    self.context.use("rule", parent.name)
                    body = [*self._body_of(parent), *body]
            else:
                body.append(node)
        return tuple(body)

    # ------------------------------------------------------------ statements

    def _run(self, body: ast.Body) -> None:
        for node in body:
            if isinstance(node, ast.WhenBody):
                found = expressions.constant(node.condition, self.home, "the condition")
                if not found.bad:
                    self._run(self.context.choose(node, bool(found.constant)))
            elif isinstance(node, ast.AtUpdate):
                self._run(node.body)
            elif isinstance(node, ast.Let):
                self.home.arguments[node.name] = expressions.translate(node.value, self.home)
            elif isinstance(node, ast.Setting):
                self._setting(node)
            elif isinstance(node, ast.Reads):
                self._reads(node)
            elif isinstance(node, _PER_SYNAPSE):
                self._refuse(node)
            elif isinstance(node, ast.Param):
                self.home.arguments[node.name] = (
                    Thunk(node.default, self.home) if (node.default is not None) else bad(node.span)
                )
            else:
                self._tail([node], self.home)

    def _refuse(self, node: ast.Statement) -> None:
        """Report state per sample and synapse once, and stay silent about what reads it."""
        self.misnamed = True
        name = node.name if isinstance(node, ast.Named) else ""
        if isinstance(node, ast.Assign | ast.Draw | ast.Ode) and isinstance(node.target, ast.Name):
            if node.target.id in self.refused:
                return
            name = node.target.id
        if isinstance(node, ast.Integrate):
            return
        self.refused.add(name)
        self.home.arguments[name] = bad(node.span)
        self.context.unsupported(
            "state per sample and synapse is",
            node.span,
            "keep the pre part in the pre cell and the post part in the post cell, as traces",
        )

    def _setting(self, node: ast.Setting) -> None:
        if node.name != "dw":
            self.misnamed = True
            self.context.bag.error(
                "E0114",
                f"`{node.name} = …` means nothing in a rule",
                node.name_span,
                help="`dw = …` is the change to be added; use `let` for other values",
            )
            return
        value = expressions.translate(node.value, self.home)
        if self.optimiser is None and not self._has_optimiser():
            weight = self.context.dims.get(self.ends.weight or "")
            expressions.expect(value, weight, "`dw` is added to a weight that is", self.home)
        terms = [*self.dw, (value.expr, node.span)]
        if self.misnamed:
            return
        if self.context.expansion.written_out(sum_of(terms), node.value):
            self.dw = terms
        else:
            self.misnamed = True

    def _has_optimiser(self) -> bool:
        found = callee(self.learn.rule)
        declared = self.context.declarations.find("rule", found[0]) if found else None
        body = declared.body if declared is not None else ()
        return any(isinstance(node, ast.Optimise) for node in (*body, *self.builder.learning))

    def _reads(self, node: ast.Reads) -> None:
        names: list[str] = []
        for value in node.values:
            names.append(self._spelled(value))
            if not self._is_modulator(value):
                expressions.translate(value, self.home)
        self.reads = (*(self.reads or ()), *names)
        self.reads_spans = (*self.reads_spans, *(value.span for value in node.values))

    def _is_modulator(self, node: ast.Expr) -> bool:
        return (
            isinstance(node, ast.Name)
            and bool(self.context.declarations.find("modulator", node.id))
            and node.id not in self.context.modulators
        )

    def _spelled(self, node: ast.Expr) -> str:
        """A read as written, with a formal parameter replaced by its argument."""
        found = dotted(node)
        if found is None:
            return "?"
        parts, at = found
        argument = self.home.arguments.get(parts[0]) if len(parts) == 1 else None
        if isinstance(argument, Thunk):
            inner = dotted(argument.node)
            if inner is not None:
                parts, at = inner[0], at or inner[1]
        return ".".join(parts) + (f"@{at}" if at else "")

    # ------------------------------------------------------------ the update's tail

    def _tail(self, body: list[ast.Statement], outer: Scope) -> None:
        """`optimise`, `subtract`, `after update`, `bound`, `reduce` of the rule or projection."""
        for node in body:
            if isinstance(node, ast.Optimise):
                self._optimise(node.optimiser, outer)
            elif isinstance(node, ast.Subtract):
                scope = rescope(outer, self.clock)
                self.subtract.append(expressions.translate(node.value, scope).expr)
            elif isinstance(node, ast.AfterUpdate):
                self._after(node.body, rescope(outer, AFTER))
            elif isinstance(node, ast.Bound):
                self._bound(node, rescope(outer, AFTER))
            elif isinstance(node, ast.Reduce):
                self._reduce(node)
            elif isinstance(node, ast.Expect):
                self.context.unsupported(
                    "`expect` is", node.span, "compare the two in a test with `netdsl replay`"
                )

    def _optimise(self, node: ast.Expr, outer: Scope) -> None:
        if self.optimiser is not None:
            self.context.bag.error("E0102", "a rule has one optimiser", node.span)
            return
        assert self.ends.weight is not None and self.ends.weight_name is not None
        weight = (self.ends.weight_name, self.ends.weight)
        caller = rescope(outer, AFTER)
        self.optimiser = optimiser(node, caller, self.projection, weight)

    def _after(self, body: ast.Body, scope: Scope) -> None:
        for node in body:
            if isinstance(node, ast.WhenBody):
                found = expressions.constant(node.condition, scope, "the condition")
                if not found.bad:
                    self._after(self.context.choose(node, bool(found.constant)), scope)
            elif isinstance(node, ast.Let) and isinstance(scope, SynapseArguments):
                scope.arguments[node.name] = expressions.translate(node.value, scope)
            elif isinstance(node, ast.Assign):
                self._after_assign(node, scope)
            else:
                self.context.bag.error(
                    "E0104", "`after update` has assignments to the weight", node.span
                )

    def _after_assign(self, node: ast.Assign, scope: Scope) -> None:
        name = node.target.id if isinstance(node.target, ast.Name) else "?"
        value = expressions.translate(node.value, scope)
        if name not in self.ends.stored_names:
            known = self.ends.stored_names
            self.context.unknown("weight", name, node.target.span, known, "`after update`")
            return
        assert self.ends.weight is not None
        if not value.bad:
            self.after.append(Assign(self.ends.weight, value.expr, node.span))

    def _bound(self, node: ast.Bound, scope: Scope) -> None:
        if node.target.name not in self.ends.stored_names:
            known = self.ends.stored_names
            self.context.unknown("weight", node.target.name, node.target.span, known, "`bound`")
            return
        low = expressions.translate(node.range.low, scope)
        high = expressions.translate(node.range.high, scope)
        for end in (low, high):
            if end.place not in (Place.GLOBAL, Place.SYNAPSE):
                self.context.bag.error("E0117", "a bound sees one synapse", end.span)
        if self.bound is None:
            self.bound = (low.expr, high.expr)
        else:
            self.bound = (
                apply("max", self.bound[0], low.expr),
                apply("min", self.bound[1], high.expr),
            )

    def _reduce(self, node: ast.Reduce) -> None:
        if node.how not in ("sum", "mean"):
            self.context.unknown("reduction", node.how, node.span, ("sum", "mean"))
        elif node.axis != "batch":
            self.context.unknown("axis", node.axis, node.span, ("batch",))
        else:
            self.reduce = node.how

    # ------------------------------------------------------------ bptt

    def _reference(self, args: tuple[ast.Arg, ...], span: Span) -> Rule | None:
        """`learn bptt(loss = E)`; an optimiser as argument or as a line of the projection."""
        self.clock = UPDATE_RULE
        loss = None
        for arg in args:
            if arg.name in ("loss", None):
                loss = arg.value.id if isinstance(arg.value, ast.Name) else None
            elif arg.name in ("optimise", "optimiser"):
                self._optimise(arg.value, self.outer)
            else:
                self.context.bag.error(
                    "E0110",
                    f"`bptt` has no parameter `{arg.name}`",
                    arg.span,
                    help="it takes `loss` and `optimise`",
                )
        if loss is None:
            self.context.bag.error("E0110", "`bptt` needs its parameter `loss`", span)
            return None
        known = self.context.declarations.table("loss")
        if loss not in known:
            self.context.unknown("loss", loss, span, known)
            return None
        self.context.use("loss", loss)
        self._tail(self.builder.learning, self.outer)
        return self._rule("bptt", None, self.learn.span, loss)
