"""Arguments of templates: cells, synapses, rules, optimisers, traces and initialisers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netdsl.diagnostics import Span, did_you_mean
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.components import Vector
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, Thunk, dotted
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

Argument = Thunk | Value


class Arguments(Scope):
    """Formal parameters bound to arguments that are translated where they are read."""

    def __init__(
        self,
        context: Context,
        parent: Scope,
        arguments: Mapping[str, Argument],
        kind: str | None = None,
    ) -> None:
        super().__init__(context, parent)
        self.arguments = dict(arguments)
        self.kind = kind or parent.kind
        self.vectors: dict[str, int] = {}  # lengths of the body's own vectors
        self._cache: dict[str, Value] = {}

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        name = parts[0]
        if len(parts) == 1 and at is None and name in self.arguments:
            if name not in self._cache:
                self._cache[name] = self._argument(name)
            return self._cache[name].at(span)
        return super().find(parts, at, span)

    def vector(self, parts: tuple[str, ...]) -> Vector | None:
        if len(parts) == 1 and parts[0] in self.vectors:
            return Vector(self.vectors[parts[0]], parts, self)
        argument = self.arguments.get(parts[0]) if len(parts) == 1 else None
        if argument is None:
            return super().vector(parts)
        named = dotted(argument.node) if isinstance(argument, Thunk) else None
        if named is None or named[1] is not None or not isinstance(argument, Thunk):
            return None
        with self.context.expansion.of(f"{self.kind},", parts[0], argument.node) as fits:
            return self.reader(argument.scope).vector(named[0]) if fits else None

    def _argument(self, name: str) -> Value:
        argument = self.arguments[name]
        if isinstance(argument, Value):
            return argument
        with self.context.expansion.of(f"{self.kind},", name, argument.node) as fits:
            if not fits:
                return bad(argument.node.span)
            return expressions.translate(argument.node, self.reader(argument.scope))

    def reader(self, scope: Scope) -> Scope:
        """The scope in which an argument is translated."""
        return scope

    def names(self) -> Iterator[str]:
        yield from self.arguments
        yield from super().names()


def bind(
    formals: tuple[ast.Param, ...],
    args: tuple[ast.Arg, ...],
    caller: Scope,
    what: str,
    span: Span,
) -> dict[str, Thunk] | None:
    """Arguments by formal name, defaults left out; None after a report."""
    free = [formal.name for formal in formals]
    bound: dict[str, Thunk] = {}
    good = True
    for arg in args:
        name = arg.name if arg.name is not None else (free[0] if free else None)
        if name is None:
            caller.context.bag.error("E0110", f"{what} takes no more arguments", arg.span)
            good = False
        elif name not in free:
            twice = name in bound
            message = f"`{name}` is given twice" if twice else f"{what} has no parameter `{name}`"
            caller.context.bag.error(
                "E0110",
                message,
                arg.span,
                help=did_you_mean(name, [formal.name for formal in formals]),
            )
            good = False
        else:
            free.remove(name)
            bound[name] = Thunk(arg.value, caller)
    for formal in formals:
        if formal.name in free and formal.default is None:
            caller.context.bag.error("E0110", f"{what} needs its parameter `{formal.name}`", span)
            good = False
    return bound if good else None


def callee(node: ast.Expr) -> tuple[str, tuple[ast.Arg, ...], Span] | None:
    """`adam(rate = 1)` or just `adam`, as name, arguments and the name's place."""
    if isinstance(node, ast.Name):
        return node.id, (), node.span
    if isinstance(node, ast.Attribute) and isinstance(node.base, ast.Name):
        return f"{node.base.id}.{node.name}", (), node.span
    if isinstance(node, ast.Call) and node.over is None:
        return node.func.name, node.args, node.func.span
    return None
