"""Reductions that one loop would compute again are computed once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Expr, Load, Local, transform, walk
from netdsl.ir.program import AxisReduce, Buffer, Elementwise, Op, Program, RowReduce, Statement
from netdsl.ir.roles import mapped
from netdsl.passes.program.rewrite import PARTS, by_kind

_Reduction = RowReduce | AxisReduce


def once(program: Program) -> Program:
    """The program without reductions of what a reduction above, in the same loop, has reduced."""
    users: dict[str, int] = {}
    for routine in program.routines.values():
        for part in PARTS:
            for op in getattr(routine, part):
                for name in op.reads | op.writes:
                    users[name] = users.get(name, 0) + 1

    def visit(op: Elementwise) -> Iterable[Op]:
        own = {name for name in op.writes if users[name] == 1 and _free(program.buffers[name])}
        return (replace(op, statements=tuple(_once(op.statements, own))),)

    return by_kind(program, Elementwise, visit)


def _free(buffer: Buffer) -> bool:
    return buffer.role == "scratch" and not buffer.kept


def _once(statements: tuple[Statement, ...], own: Collection[str]) -> Iterator[Statement]:
    """`own`: buffers that nothing else reads."""
    stored = [name for s in statements for name in s.writes]
    single = {name for name in own if stored.count(name) == 1}
    known: dict[_Reduction, str] = {}  # by the reduction, without where it goes
    instead: dict[str, str] = {}
    read = _reader(instead)
    for statement in statements:
        statement = mapped(statement, read)
        if isinstance(statement, _Reduction):
            form = _form(statement)
            if form in known and statement.buffer in single:
                instead[statement.buffer] = known[form]
                continue
        changed = {*statement.writes, statement.binds}
        known = {form: to for form, to in known.items() if not _touched(form, to, changed)}
        if isinstance(statement, _Reduction) and not _reads(statement.value) & changed:
            known.setdefault(_form(statement), statement.buffer)
        yield statement


def _form(statement: _Reduction) -> _Reduction:
    """A reduction without where it goes; squares are products, as a compiler has them."""
    return replace(statement, buffer="", value=transform(statement.value, _product))


def _product(node: Expr) -> Expr | None:
    if isinstance(node, Apply) and node.function == "pow" and node.args[1] == Const(2):
        return Apply("mul", (node.args[0], node.args[0]), node.span)
    return None


def _reader(instead: Mapping[str, str]) -> Callable[[Expr], Expr]:
    """Rewrites reads of what is not computed again."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Load) and node.buffer in instead:
            return replace(node, buffer=instead[node.buffer])
        return None

    return lambda expr: transform(expr, visit)


def _reads(expr: Expr) -> set[str]:
    found = (node for node in walk(expr) if isinstance(node, Load | Local))
    return {node.buffer if isinstance(node, Load) else node.name for node in found}


def _touched(form: _Reduction, to: str, changed: set[str]) -> bool:
    return to in changed or bool(_reads(form.value) & changed)
