"""Differential equations of a cell: one system for each `integrate` line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.ir.expr import Expr
from netdsl.ir.network import Integrate
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.units import product
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.cells.statements import CellStatements

METHODS = ("auto", "exact", "expeuler", "euler", "rk4")


class Equations:
    """The `d x/dt` lines of a body, advanced where `integrate` says."""

    def __init__(self, cell: CellStatements) -> None:
        self.cell = cell
        self.scope = cell.scope
        self.context = cell.context
        self.lines: dict[str, ast.Ode] = {}
        self.done: set[str] = set()

    def collect(self, body: list[ast.Statement]) -> None:
        """Find all equations of a body."""
        for node in body:
            if not isinstance(node, ast.Ode):
                continue
            variable = self.cell.target(node.target)
            if variable is None:
                continue
            if variable.path in self.lines:
                self.context.bag.error("E0102", f"`{variable.name}` has two equations", node.span)
            self.lines[variable.path] = node

    def integrate(self, node: ast.Integrate) -> None:
        """`integrate v, u with euler`."""
        names = [name for name in node.names if name.name not in METHODS]
        method = node.method
        for name in node.names:
            if name.name in METHODS and name.name not in self.scope.paths:
                method = name.name
        method = method or "auto"
        if method not in METHODS:
            self.context.unknown("integrator", method, node.span, METHODS)
            self.done.update(self.scope.paths.get(name.name, "") for name in names)
            return
        paths = self._paths(names, node)
        dt = self.context.scope.dt(node.span)
        equations = [(path, self._slope(path)) for path in paths]
        if dt.bad or dt.constant is None or any(slope is None for _, slope in equations):
            return
        known = tuple((path, slope) for path, slope in equations if slope is not None)
        statement = Integrate(known, method, float(dt.constant), node.span)
        self.cell.integrate(statement)

    def _paths(self, names: list[ast.Ref], node: ast.Integrate) -> list[str]:
        if not names:
            paths = [path for path in self.lines if path not in self.done]
            if not paths:
                self.context.bag.error(
                    "E0414",
                    "there is no equation to integrate",
                    node.span,
                    help="write one, as in `d v/dt = -v / tau`",
                )
        else:
            paths = []
            for name in names:
                path = self.scope.paths.get(name.name)
                if path is None:
                    self.context.unknown(
                        "name", name.name, name.span, [*self.scope.paths, *METHODS], self.scope.kind
                    )
                elif path not in self.lines or path in self.done:
                    self.context.bag.error(
                        "E0414", f"`{name.name}` has no equation to integrate here", name.span
                    )
                else:
                    paths.append(path)
        self.done.update(paths)
        return paths

    def _slope(self, path: str) -> Expr | None:
        node = self.lines[path]
        with self.cell.elsewhere("an equation"):
            value = expressions.translate(node.value, self.scope)
        dt = self.context.scope.dt(node.span)
        if value.bad or dt.bad:
            return None
        expected = product(self.context.dims[path], dt.dim, -1)
        name = self.scope.variables[path].name
        if not self.cell.one_number(self.scope.variables[path], value):
            return None
        if not expressions.expect(value, expected, f"d {name}/dt is", self.scope, node.value):
            return None
        return value.expr

    def finish(self) -> None:
        """Report equations that no `integrate` line advances."""
        for path, node in self.lines.items():
            if path not in self.done:
                name = self.scope.variables[path].name
                self.context.bag.error(
                    "E0414",
                    f"the equation of `{name}` is never integrated",
                    node.span,
                    help=f"add `integrate {name}` where it should be advanced",
                )
