"""Building the statements of bodies."""

from __future__ import annotations

import re
from typing import Any, cast

from lark import Tree

from netdsl.diagnostics import Span
from netdsl.syntax import ast
from netdsl.syntax.build.base import Part
from netdsl.syntax.build.expressions import ExpressionBuilder

METHODS = ("auto", "exact", "expeuler", "euler", "rk4")
_ODE = re.compile(r"d[ \t]+(\w+)(?:\[(\w+)\])?")


class BodyBuilder(ExpressionBuilder):
    """Statements of cells, synapses, rules, modulators, optimisers."""

    def body(self, tree: Tree[Any] | None) -> ast.Body:
        """`{ … }`, without the statements that could not be read."""
        if tree is None:
            return ()
        parts = [p for p in tree.children if p is not None and p.data != "error"]
        return tuple(self.dispatch(p, "stmt") for p in parts)

    def stmt_param(self, parts: list[Part], span: Span) -> ast.Statement:
        return self.make_param(parts, span)

    def stmt_let(self, parts: list[Part], span: Span) -> ast.Statement:
        return self.make_let(parts, span)

    def stmt_setting(self, parts: list[Part], span: Span) -> ast.Statement:
        return self.make_setting(parts, span)

    def stmt_assign(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Assign(self.target(parts[0]), self.expr(parts[1]), span=span)

    def stmt_draw(self, parts: list[Part], span: Span) -> ast.Statement:
        name = ast.Name(str(parts[0]), span=self.span(parts[0]))
        return ast.Draw(name, self.expr(parts[1]), span=span)

    def stmt_ode(self, parts: list[Part], span: Span) -> ast.Statement:
        match = _ODE.match(str(parts[0]))
        assert match is not None  # the terminal has this shape
        place = self.span(parts[0])
        column = place.column + match.start(1)
        line = place.line
        name_span = Span(self.source, line, column, line, column + len(match.group(1)))
        target: ast.Name | ast.Index = ast.Name(match.group(1), span=name_span)
        if index := match.group(2):
            inner = ast.Number(int(index)) if index.isdigit() else ast.Name(index, span=place)
            target = ast.Index(target, (inner,), span=place)
        return ast.Ode(target, self.expr(parts[1]), span=span)

    def stmt_extends(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Extends(self.ref(parts[0]), span=span)

    def stmt_input(self, parts: list[Part], span: Span) -> ast.Statement:
        name, size, type_ = parts
        return ast.Input(
            str(name),
            self.opt_size(size),
            self.type(type_),
            span=span,
            name_span=self.span(name),
        )

    def stmt_state(self, parts: list[Part], span: Span) -> ast.Statement:
        level, name, size, type_, initial, *clauses = parts
        init, drawn = self.initial(initial)
        self.once_each(clauses, "state")
        per = [str(c.children[0]) for c in clauses if c.data == "clause_per"]
        return ast.State(
            str(name),
            cast(ast.Expr, init),
            drawn,
            cast(Any, self.text(level)),
            self.opt_size(size),
            self.type(type_),
            any(c.data == "keep" for c in clauses),
            per[0] if per else None,
            span=span,
            name_span=self.span(name),
        )

    def stmt_def_(self, parts: list[Part], span: Span) -> ast.Statement:
        name, index, size, value = parts
        return ast.Def(
            str(name),
            self.expr(value),
            self.text(index),
            self.opt_expr(size),
            span=span,
            name_span=self.span(name),
        )

    def stmt_integrate(self, parts: list[Part], span: Span) -> ast.Statement:
        names, method = self.refs(parts[0]), self.text(parts[1])
        if method is None and len(names) == 1 and names[0].name in METHODS:
            return ast.Integrate((), names[0].name, span=span)
        return ast.Integrate(names, method, span=span)

    def stmt_spike(self, parts: list[Part], span: Span) -> ast.Statement:
        name, condition, body = parts
        return ast.Spike(
            str(name),
            self.expr(condition),
            self.body(body),
            span=span,
            name_span=self.span(name),
        )

    def stmt_refractory(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Refractory(self.quantity(parts[0]), self.refs(parts[1]), span=span)

    def stmt_surrogate(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Surrogate(self.expr(parts[0]), span=span)

    def stmt_trace(self, parts: list[Part], span: Span) -> ast.Statement:
        name, of, using, body = parts
        ref, args = self.using(using)
        settings = tuple(
            ast.Setting(a.name or "", a.value, span=a.span, name_span=a.span) for a in args
        )
        if any(a.name is None for a in args):
            self.error("E0009", "the arguments of a trace need their names", span)
        return ast.Trace(
            str(name),
            self.expr(of),
            ref,
            (*settings, *self.body(body)),
            span=span,
            name_span=self.span(name),
        )

    def using(self, tree: Tree[Any] | None) -> tuple[ast.Ref | None, tuple[ast.Arg, ...]]:
        """`using NAME(args)`."""
        if tree is None:
            return None, ()
        return self.ref(tree.children[0]), self.args(tree.children[1])

    def stmt_expose(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Expose(self.refs(parts[0]), span=span)

    def stmt_on_event(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.OnEvent(str(parts[0]), self.body(parts[1]), span=span)

    def stmt_at_update(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.AtUpdate(self.body(parts[0]), span=span)

    def stmt_after_update(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.AfterUpdate(self.body(parts[0]), span=span)

    def stmt_emit(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Emit(self.expr(parts[1]), parts[0] is not None, span=span)

    def stmt_scope(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Scope(str(parts[0]), span=span)

    def stmt_reads(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Reads(self.exprs(parts), span=span)

    def stmt_optimise(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Optimise(self.expr(parts[0]), span=span)

    def stmt_reduce(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Reduce(str(parts[0]), str(parts[1]), span=span)

    def stmt_subtract(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Subtract(self.expr(parts[0]), span=span)

    def stmt_bound(self, parts: list[Part], span: Span) -> ast.Statement:
        limits = cast(ast.Range, self.range(parts[1]))
        return ast.Bound(self.ref(parts[0]), limits, span=span)

    def stmt_waive(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Waive(self.label(parts[0]), self.string(parts[1]), span=span)

    def stmt_expect(self, parts: list[Part], span: Span) -> ast.Statement:
        equation, tolerance = self.expr(parts[0]), self.expr(parts[1])
        if isinstance(equation, ast.Binary) and equation.op == "==":
            return ast.Expect(equation.left, equation.right, tolerance, span=span)
        message = "`expect` compares two values: `expect a == b within 1e-9`"
        self.error("E0009", message, equation.span)
        return ast.Expect(equation, equation, tolerance, span=span)

    def stmt_weight(self, parts: list[Part], span: Span) -> ast.Statement:
        name, type_, initial = parts
        init, drawn = self.initial(initial)
        return ast.Weight(
            str(name),
            cast(ast.Expr, init),
            drawn,
            self.type(type_),
            span=span,
            name_span=self.span(name),
        )

    def stmt_deliver(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Deliver(self.target(parts[0]), self.expr(parts[1]), span=span)

    def stmt_learn(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Learn(self.expr(parts[0]), span=span)

    def stmt_eligibility(self, parts: list[Part], span: Span) -> ast.Statement:
        name, of, to = parts
        return ast.Eligibility(
            str(name), self.ref(of), self.expr(to), span=span, name_span=self.span(name)
        )

    def stmt_prune(self, parts: list[Part], span: Span) -> ast.Statement:
        return ast.Prune(self.expr(parts[0]), span=span)

    def stmt_regrow(self, parts: list[Part], span: Span) -> ast.Statement:
        count, *rest = parts
        return ast.Regrow(self.expr(count), *(self.opt_expr(p) for p in rest), span=span)

    def stmt_when_body(self, parts: list[Part], span: Span) -> ast.Statement:
        condition, body, otherwise = parts
        return ast.WhenBody(
            self.expr(condition), self.body(body), self._else_body(otherwise), span=span
        )

    def _else_body(self, tree: Tree[Any] | None) -> ast.Body:
        if tree is None:
            return ()
        if tree.data == "else_body":
            return self.body(tree.children[0])
        span = self.span(tree)
        with self.deeper("`else when`", span, "split the conditions") as fits:
            return (self.stmt_when_body(tree.children, span),) if fits else ()
