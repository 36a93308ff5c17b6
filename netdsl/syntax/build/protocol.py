"""Building protocols, data and tasks."""

from __future__ import annotations

from typing import Any

from lark import Tree

from netdsl.diagnostics import Span
from netdsl.syntax import ast
from netdsl.syntax.build.base import Part
from netdsl.syntax.build.body import BodyBuilder


class ProtocolBuilder(BodyBuilder):
    """Steps of protocols, statements of data and task blocks."""

    def limit(self, tree: Tree[Any] | None) -> ast.Expr | None:
        """`limit 20`, `limit 64 samples`."""
        return None if tree is None else self.quantity(tree.children[0])

    # ------------------------------------------------------------ protocols

    def steps(self, tree: Tree[Any]) -> ast.Steps:
        """`{ … }` of a protocol."""
        parts = [p for p in tree.children if p is not None and p.data != "error"]
        return tuple(self.dispatch(p, "step") for p in parts)

    def step_each(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        kind, of, limit, body = parts
        source = None if of is None else self.ref(of)
        return ast.Each(str(kind), self.steps(body), source, self.limit(limit), span=span)

    def step_reset(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        parts = [p for p in parts if p is not None]
        targets = tuple(self.ref(p.children[0]) for p in parts if p.data == "reset_target")
        memories = tuple(self.ref(p.children[0]) for p in parts if p.data == "reset_memory")
        return ast.Reset(targets, memories, span=span)

    def step_clamp(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return ast.Clamp(self.ref(parts[0]), self.expr(parts[1]), span=span)

    def step_set_(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return ast.Set(self.ref(parts[0]), self.expr(parts[1]), span=span)

    def step_global_assign(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return ast.GlobalAssign(self.ref(parts[0]), self.expr(parts[1]), span=span)

    def step_let(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return self.make_let(parts, span)

    def step_phase(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        name, duration, learning, settings = parts
        projections = () if learning is None else self.refs(learning.children[0])
        return ast.Phase(
            str(name),
            self.quantity(duration),
            learning is not None,
            projections,
            self.settings(settings),
            span=span,
            name_span=self.span(name),
        )

    def step_update(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return ast.Update(self.refs(parts[0]), span=span)

    def step_evaluate(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        protocol, args, *clauses = parts
        self.once_each(clauses, "evaluation")
        found = {c.data: c for c in clauses}
        named = found.get("clause_as")
        return ast.Evaluate(
            self.ref(protocol),
            self.args(args),
            None if named is None else str(named.children[0]),
            "from_present" in found,
            self.limit(found.get("limit")),
            span=span,
        )

    def step_run_protocol(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        protocol, args = parts
        return ast.RunProtocol(self.ref(protocol), self.args(args), span=span)

    def step_checkpoint(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        name, by, on = parts
        return ast.Checkpoint(
            str(name),
            None if by is None else self.ref(by),
            None if on is None else self.ref(on),
            span=span,
            name_span=self.span(name),
        )

    def step_restore(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return ast.Restore(self.ref(parts[0]), span=span)

    def step_push(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return ast.Push(self.ref(parts[0]), span=span)

    def step_do_rewire(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        return ast.DoRewire(self.ref(parts[0]), span=span)

    def step_when_step(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        condition, body, otherwise = parts
        return ast.WhenStep(
            self.expr(condition), self.steps(body), self._else_steps(otherwise), span=span
        )

    def _else_steps(self, tree: Tree[Any] | None) -> ast.Steps:
        if tree is None:
            return ()
        if tree.data == "else_steps":
            return self.steps(tree.children[0])
        span = self.span(tree)
        with self.deeper("`else when`", span, "split the conditions") as fits:
            return (self.step_when_step(tree.children, span),) if fits else ()

    def step_repeat(self, parts: list[Part], span: Span) -> ast.ProtocolStep:
        body, until, limit = parts
        return ast.Repeat(self.steps(body), self.expr(until), self.limit(limit), span=span)

    # ------------------------------------------------------------ data and tasks

    def data_body(self, tree: Tree[Any]) -> ast.DataBody:
        """`{ … }` of a data or task declaration."""
        parts = [p for p in tree.children if p is not None and p.data != "error"]
        return tuple(self.dispatch(p, "data") for p in parts)

    def data_setting(self, parts: list[Part], span: Span) -> ast.DataStatement:
        return self.make_setting(parts, span)

    def data_param(self, parts: list[Part], span: Span) -> ast.DataStatement:
        return self.make_param(parts, span)

    def data_let(self, parts: list[Part], span: Span) -> ast.DataStatement:
        return self.make_let(parts, span)

    def data_split(self, parts: list[Part], span: Span) -> ast.DataStatement:
        name, value = parts
        return ast.Split(str(name), self.expr(value), span=span, name_span=self.span(name))

    def data_augment(self, parts: list[Part], span: Span) -> ast.DataStatement:
        name, value = parts
        return ast.Augment(str(name), self.expr(value), span=span, name_span=self.span(name))

    def data_task_draw(self, parts: list[Part], span: Span) -> ast.DataStatement:
        name, size, value = parts
        return ast.TaskDraw(
            str(name),
            self.expr(value),
            self.opt_size(size),
            span=span,
            name_span=self.span(name),
        )

    def data_field(self, parts: list[Part], span: Span) -> ast.DataStatement:
        name, size, initial, once = parts
        return ast.Field(
            str(name),
            self.expr(initial.children[0]),
            initial.data == "initial_draw",
            self.opt_size(size),
            once is not None,
            span=span,
            name_span=self.span(name),
        )

    def data_signal(self, parts: list[Part], span: Span) -> ast.DataStatement:
        name, size, value = parts
        return ast.Signal(
            str(name),
            self.expr(value),
            self.opt_size(size),
            span=span,
            name_span=self.span(name),
        )
