"""Reductions that were made before, of values that are still the same, are read, not made again."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Expr, Load, Local, loads, transform, walk
from netdsl.ir.program import Elementwise, Program, Statement, Store
from netdsl.ir.roles import mapped
from netdsl.passes.program.rewrite import by_kind


def repeats(program: Program) -> Program:
    """Reductions of a population's cells that are repeated become copies, which nobody may read."""
    return by_kind(program, Elementwise, lambda op: (_Cells(program).visit(op),))


class _Cells:
    """The statements of one operation in order, and what is known to be equal after each."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.made: dict[Statement, str] = {}  # reductions, whatever their buffer
        self.same: dict[str, str] = {}  # buffers that hold what an earlier one does

    def visit(self, op: Elementwise) -> Elementwise:
        """The operation with its repeated reductions as copies."""
        found = tuple(self._statement(statement) for statement in op.statements)
        return op if found == op.statements else replace(op, statements=found)

    def _statement(self, statement: Statement) -> Statement:
        statement = mapped(statement, self._seen)
        told = self._told(statement)
        earlier = self.made.get(told) if told is not None else None
        for name in statement.writes:
            self._forget(name)
        if earlier in statement.writes:  # it is stored where it is already
            earlier = None
        if told is not None and not told.reads & statement.writes:
            self.made.setdefault(told, *statement.writes)
        if earlier is None:
            return statement
        (buffer,) = statement.writes
        self.same[buffer] = earlier
        return Store(buffer, Load(earlier), statement.span)

    def _seen(self, expr: Expr) -> Expr:
        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Load) and node.buffer in self.same:
                return replace(node, buffer=self.same[node.buffer])
            return None

        return transform(expr, visit)

    def _told(self, statement: Statement) -> Statement | None:
        """A reduction without its buffer; squares are products, as a compiler has them."""
        if not statement.ends_loop:
            return None
        (buffer,), (value,) = statement.writes, statement.values
        bound = any(isinstance(node, Local) for node in walk(value))
        if bound or self.program.buffers[buffer].role != "scratch":
            return None
        return replace(statement, buffer="", value=transform(value, _product))  # type: ignore[call-arg]

    def _forget(self, name: str) -> None:
        self.same = {a: b for a, b in self.same.items() if name not in (a, b)}
        self.made = {
            told: buffer
            for told, buffer in self.made.items()
            if name != buffer and name not in loads(told.values[0])
        }


def _product(node: Expr) -> Expr | None:
    if isinstance(node, Apply) and node.function == "pow" and node.args[1] == Const(2):
        return Apply("mul", (node.args[0], node.args[0]), node.span)
    return None
