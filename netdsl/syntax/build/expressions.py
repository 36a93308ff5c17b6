"""Building expressions, and the parts of declarations that are made of them."""

from __future__ import annotations

import math
from typing import Any, cast

from lark import Token, Tree

from netdsl.diagnostics import Span
from netdsl.syntax import ast
from netdsl.syntax.build.base import BaseBuilder, Part, shorten_unit


class ExpressionBuilder(BaseBuilder):
    """Expressions; deep nesting is refused, so that no later stage can overflow the stack."""

    def expr(self, tree: Tree[Any]) -> ast.Expr:
        """Any expression."""
        span = self.span(tree)
        with self.deeper("expression", span, "name parts of it with `let`") as fits:
            if fits:
                return cast(ast.Expr, self.dispatch(tree, "expr"))
        return ast.Number(0, span=span)

    def opt_expr(self, tree: Tree[Any] | None) -> ast.Expr | None:
        """An expression that may be absent."""
        return None if tree is None else self.expr(tree)

    def exprs(self, trees: list[Part]) -> tuple[ast.Expr, ...]:
        """Several expressions."""
        return tuple(self.expr(t) for t in trees if t is not None)

    # ------------------------------------------------------------ atoms

    def expr_name(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.Name(str(parts[0]), span=span)

    def expr_number(self, parts: list[Part], span: Span) -> ast.Expr:
        digits, unit = str(parts[0]), parts[1]
        value: int | float
        if digits.isdigit() and len(digits) <= 18:
            value = int(digits)
        else:
            value = float(digits)
            if math.isinf(value):
                self.error("E0012", f"the number `{digits[:24]}` is too large", span)
        text = digits if unit is None else f"{digits} {unit}"
        short = None if unit is None else shorten_unit(str(unit))
        return ast.Number(value, short, text, span=span)

    def expr_string(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.String(self.string(parts[0]), span=span)

    def expr_true(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.Bool(True, span=span)

    def expr_false(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.Bool(False, span=span)

    def expr_list(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.ListExpr(self.exprs(parts), span=span)

    # ------------------------------------------------------------ operators

    def expr_conditional(self, parts: list[Part], span: Span) -> ast.Expr:
        then, cond, otherwise = (self.expr(p) for p in parts)
        return ast.Conditional(cond, then, otherwise, span=span)

    def expr_binary(self, parts: list[Part], span: Span) -> ast.Expr:
        left, op, right = parts
        return ast.Binary(cast(Any, str(op)), self.expr(left), self.expr(right), span=span)

    def expr_unary(self, parts: list[Part], span: Span) -> ast.Expr:
        op, operand = parts
        return ast.Unary(cast(Any, str(op)), self.expr(operand), span=span)

    def expr_attribute(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.Attribute(self.expr(parts[0]), str(parts[1]), span=span)

    def expr_at_phase(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.At(self.expr(parts[0]), str(parts[1]), span=span)

    def expr_index(self, parts: list[Part], span: Span) -> ast.Expr:
        return ast.Index(self.expr(parts[0]), self.exprs(parts[1:]), span=span)

    def expr_call(self, parts: list[Part], span: Span) -> ast.Expr:
        callee, args, over = parts
        return ast.Call(self._function(callee), self.args(args), self._over(over), span=span)

    def _function(self, tree: Tree[Any]) -> ast.Ref:
        """The called thing as a dotted name; nothing else can be called."""
        names: list[str] = []
        part: Part = tree
        while part.data == "attribute":
            names.append(str(part.children[1]))
            part = part.children[0]
        if part.data != "name":
            message = "only a function's name can stand before `(`"
            self.error("E0009", message, self.span(tree), "multiplication is written with `*`")
            return ast.Ref("?", span=self.span(tree))
        names.append(str(part.children[0]))
        return ast.Ref(".".join(reversed(names)), span=self.span(tree))

    def args(self, tree: Tree[Any] | None) -> tuple[ast.Arg, ...]:
        """The arguments of a call; a positional one after a named one is refused."""
        if tree is None:
            return ()
        out: list[ast.Arg] = []
        for part in tree.children:
            name, value = cast(Any, part.children)
            if name is None and out and out[-1].name is not None:
                message = "an argument without a name follows one with a name"
                self.error("E0009", message, self.span(part))
            out.append(ast.Arg(self.expr(value), self.text(name), span=self.span(part)))
        return tuple(out)

    def _over(self, tree: Tree[Any] | None) -> ast.Over | None:
        if tree is None:
            return None
        span, parts = self.span(tree), tree.children
        if tree.data == "over_index":
            return ast.Over("over", (self.ref(parts[1]),), str(parts[0]), span=span)
        if tree.data == "over":
            axes = tuple(self.ref(p) for p in parts[:-1])
            return ast.Over("over", axes, None, self.opt_expr(parts[-1]), span=span)
        kind = "per" if tree.data == "over_per" else "by"
        return ast.Over(cast(Any, kind), (self.ref(parts[0]),), span=span)

    # ------------------------------------------------------------ parts of declarations

    def quantity(self, tree: Tree[Any]) -> ast.Expr:
        """`50 steps`, `0.5 ms`, `T steps`."""
        value, unit = tree.children
        expr = self.expr(value)
        if unit is None:
            return expr
        word = str(unit)
        return ast.Measured(expr, shorten_unit(word), word, span=self.span(tree))

    def range(self, tree: Tree[Any] | None) -> ast.Range | None:
        """`[a, b]`."""
        if tree is None:
            return None
        low, high = tree.children
        return ast.Range(self.expr(low), self.expr(high), span=self.span(tree))

    def initial(self, tree: Tree[Any] | None) -> tuple[ast.Expr | None, bool]:
        """`= e` or `~ D`: the expression, and whether it is drawn."""
        if tree is None:
            return None, False
        return self.expr(tree.children[0]), tree.data == "initial_draw"

    def opt_size(self, tree: Tree[Any] | None) -> ast.Expr | None:
        """`[K]` after a name."""
        return None if tree is None else self.expr(tree.children[0])

    def formals(self, tree: Tree[Any] | None) -> tuple[ast.Param, ...]:
        """`(a, b : count = 3)`."""
        if tree is None:
            return ()
        out = []
        for part in tree.children:
            if part is None:
                continue
            name, type_, default = part.children
            out.append(
                ast.Param(
                    str(name),
                    type=self.type(type_),
                    default=self.opt_expr(default),
                    span=self.span(part),
                    name_span=self.span(name),
                )
            )
        return tuple(out)

    def make_param(self, parts: list[Part], span: Span) -> ast.Param:
        """`param NAME per P : type = e in [a, b] "doc"`."""
        name, per, type_, initial, range_, doc = parts
        default, drawn = self.initial(initial)
        return ast.Param(
            str(name),
            self.text(per),
            self.type(type_),
            default,
            drawn,
            self.range(range_),
            None if doc is None else self.string(doc),
            span=span,
            name_span=self.span(name),
        )

    def make_let(self, parts: list[Part], span: Span) -> ast.Let:
        """`let NAME = e`."""
        return ast.Let(str(parts[0]), self.expr(parts[1]), span=span, name_span=self.span(parts[0]))

    def make_setting(self, parts: list[Part], span: Span) -> ast.Setting:
        """`NAME = e`."""
        name, value = parts
        return ast.Setting(str(name), self.expr(value), span=span, name_span=self.span(name))

    def settings(self, tree: Tree[Any] | None) -> tuple[ast.Setting, ...]:
        """`{ a = 1; b = 2 }`."""
        if tree is None:
            return ()
        parts = [p for p in tree.children if p is not None and p.data == "setting"]
        return tuple(self.make_setting(p.children, self.span(p)) for p in parts)

    def target(self, tree: Tree[Any]) -> ast.Name | ast.Index:
        """The left side of an assignment in a body."""
        span = self.span(tree)
        name = ast.Name(str(tree.children[0]), span=self.span(cast(Token, tree.children[0])))
        if tree.data == "target":
            return name
        return ast.Index(name, (self.expr(tree.children[1]),), span=span)
