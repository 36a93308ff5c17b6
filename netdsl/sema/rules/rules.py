"""Rules: a `rule` declaration bound to one projection, or the reference rule `bptt`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Expr, refs
from netdsl.ir.network import Rule
from netdsl.sema.rules.clocks import Timed, rule_clock, selected
from netdsl.sema.rules.eligibility import Eligibilities
from netdsl.sema.rules.parts import sum_of
from netdsl.sema.rules.states import (
    STATEFUL,
    FinalScope,
    RuleScope,
    RuleStates,
    assigned_paths,
)
from netdsl.sema.rules.tails import Tail
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, Thunk, dotted
from netdsl.sema.scopes.templates import bind, callee
from netdsl.sema.scopes.values import Value, bad
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

_STEPS = (*STATEFUL, ast.Let, ast.Def)  # what a rule with states computes at every step
_REFUSED: dict[type[ast.Statement], tuple[str, str]] = {
    ast.OnEvent: (
        "events in rules are",
        "multiply by the spike: `x := x + pre.s * …`",
    ),
    ast.Draw: ("draws in rules are", "draw in a cell, which the rule reads"),
}


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
    if builder.ends.weight is None or builder.wiring.backwards_of is not None:
        context.bag.error(
            "E0633",
            f"projection `{node.name}` has no weight of its own to learn",
            learns[0].span,
            help="add `weight w ~ …`"
            if builder.wiring.backwards_of is None
            else f"`{builder.wiring.backwards_of}` owns the weight: let that projection learn",
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
        self.dw: list[tuple[Expr, Span]] = []
        self.states: RuleStates | None = None
        self.homes: dict[str, SynapseArguments] = {}  # names at each clock, arguments first
        self.scopes: Mapping[str, Scope] = {}  # the same, with the rule's own states before
        self.places: list[tuple[Value, int]] = []  # each `dw`, and how many statements precede it
        self.tail = Tail(self.context, self.ends, self.projection)
        self.reads: tuple[str, ...] | None = None
        self.reads_spans: tuple[Span, ...] = ()
        self.derived = Eligibilities(self.context, self.ends, "")

    def build(self) -> Rule | None:
        found = callee(self.learn.rule)
        if found is None:
            self.context.bag.error(
                "E0104", "a rule is named here, as in `learn hebb()`", self.learn.span
            )
            return None
        name, args, span = found
        self.derived.rule = name
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
        home = self._home(STEP_RULE, what, declared, bound)
        body = tuple(expanded(body, home, home.vectors))
        chosen = tuple(selected(body, home, self.context))
        self.clock = self.tail.clock = rule_clock(chosen, self.context)
        self.homes = {c: self._home(c, what, declared, bound) for c in (STEP_RULE, UPDATE_RULE)}
        for each in self.homes.values():
            each.vectors = home.vectors
        self._remember(name, [node for clock, node in chosen if clock == STEP_RULE])
        self._run(chosen)
        self.tail.run(self.builder.learning, rescope(self.outer, AFTER))
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
            self.tail.reduce,
            self.tail.optimiser,
            tuple(self.tail.subtract),
            tuple(self.tail.after),
            self.tail.bound,
            self.reads,
            eligibilities=tuple(self.derived.found),
            expects=tuple(self.derived.expects),
            loss=loss,
            span=span,
            learn_span=self.learn.span,
            reads_spans=self.reads_spans,
            variables={
                **(self.states.variables if self.states is not None else {}),
                **self.derived.variables,
            },
            statements=self.states.statements if self.states is not None else (),
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

    def _remember(self, name: str, plain: list[ast.Statement]) -> None:
        """Declare the rule's states, where it has some; else everything is read at its clock."""
        if not any(isinstance(node, STATEFUL) for node in plain):
            self.homes[STEP_RULE] = self.homes[self.clock]
            self.scopes = self.homes
            return
        steps = RuleScope(self.homes[STEP_RULE], f"{self.projection}.{name}", self.projection)
        final = FinalScope(steps, self.homes[UPDATE_RULE])
        self.scopes = {STEP_RULE: steps, UPDATE_RULE: final}
        for node in plain:
            if isinstance(node, ast.Param):
                self._param(node)
        self.states = RuleStates(steps, self.ends.weight_name)
        self.states.declare(plain)
        self.derived.taken = self.states.places

    def _run(self, found: tuple[Timed, ...]) -> None:
        plain = _STEPS if self.states is not None else ()
        for clock, node in found:
            if isinstance(node, ast.AtUpdate):
                continue
            if clock == STEP_RULE and self.states is not None and isinstance(node, plain):
                if not self.derived.assigned(node):
                    self.states.statement(node)
            elif isinstance(node, ast.Let | ast.Def):
                value = expressions.translate(node.value, self.scopes[clock])
                self.homes[clock].arguments[node.name] = value
            elif isinstance(node, ast.Setting):
                self._setting(node, clock)
            elif isinstance(node, ast.Reads):
                self._reads(node)
            elif isinstance(node, ast.Eligibility):
                self.derived.declare(node, self.homes.values())
            elif isinstance(node, ast.Expect):
                self.derived.expect(node, self.scopes[clock])
            elif isinstance(node, tuple(_REFUSED)):
                self._refuse(node)
            elif isinstance(node, STATEFUL):
                self._misplaced(node)
            elif isinstance(node, ast.Param):
                self._param(node)
            elif isinstance(node, ast.Subtract):
                value = expressions.translate(node.value, self.scopes[self.clock])
                self.tail.subtract.append(value.expr)
            else:
                self.tail.run([node], self.homes[self.clock])
        if self.states is not None:
            self._finish(self.states)

    def _param(self, node: ast.Param) -> None:
        for home in self.homes.values():
            home.arguments[node.name] = (
                Thunk(node.default, home) if node.default is not None else bad(node.span)
            )

    def _misplaced(self, node: ast.Statement) -> None:
        """States advance with the steps; an update comes once, after them."""
        self.misnamed = True
        self.context.bag.error(
            "E0104",
            "a state advances at every step, not `at update`",
            node.span,
            help="write it beside the block",
        )

    def _refuse(self, node: ast.Statement) -> None:
        self.misnamed = True
        name = node.name if isinstance(node, ast.Named) else ""
        if isinstance(node, ast.Draw):
            name = node.target.id
        for home in self.homes.values():
            home.arguments[name] = bad(node.span)
        what, help = _REFUSED[type(node)]
        self.context.unsupported(what, node.span, help)

    def _finish(self, states: RuleStates) -> None:
        """A `dw` is the value at its place: below it, nothing that it reads may change."""
        states.finish()
        late = states.statements
        if self.clock == STEP_RULE:
            for number in reversed(range(len(self.places))):
                value, first = self.places[number]
                if {ref.path for ref in refs(value.expr)} & assigned_paths(late[first:]):
                    held = states.at_its_place(number, value, first)
                    self.dw[number] = (held, self.dw[number][1])

    def _setting(self, node: ast.Setting, clock: str) -> None:
        if node.name != "dw":
            self.misnamed = True
            self.context.bag.error(
                "E0114",
                f"`{node.name} = …` means nothing in a rule",
                node.name_span,
                help="`dw = …` is the change to be added; use `let` for other values",
            )
            return
        value = expressions.translate(node.value, self.scopes[clock])
        if self.tail.optimiser is None and not self._has_optimiser():
            weight = self.context.dims.get(self.ends.weight or "")
            expressions.expect(
                value, weight, "`dw` is added to a weight that is", self.homes[clock]
            )
        terms = [*self.dw, (value.expr, node.span)]
        if self.misnamed:
            return
        if self.context.expansion.written_out(sum_of(terms), node.value):
            self.dw = terms
            self.places.append((value, len(self.states.statements) if self.states else 0))
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
                expressions.translate(value, self.homes[STEP_RULE])
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
        argument = self.homes[STEP_RULE].arguments.get(parts[0]) if len(parts) == 1 else None
        if isinstance(argument, Thunk):
            inner = dotted(argument.node)
            if inner is not None:
                parts, at = inner[0], at or inner[1]
        return ".".join(parts) + (f"@{at}" if at else "")

    # ------------------------------------------------------------ bptt

    def _reference(self, args: tuple[ast.Arg, ...], span: Span) -> Rule | None:
        """`learn bptt(loss = E)`; an optimiser as argument or as a line of the projection."""
        self.clock = self.tail.clock = UPDATE_RULE
        loss = None
        for arg in args:
            if arg.name in ("loss", None):
                loss = arg.value.id if isinstance(arg.value, ast.Name) else None
            elif arg.name in ("optimise", "optimiser"):
                self.tail.optimise(arg.value, self.outer)
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
        self.tail.run(self.builder.learning, self.outer)
        return self._rule("bptt", None, self.learn.span, loss)
