"""Names and scalars of one generated function: constants computed once, before its loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netdsl.codegen.c.printer import DOUBLE, Printer, literal
from netdsl.codegen.names import Names
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Apply, Const, Expr, Load, Local, walk
from netdsl.ir.network import Place
from netdsl.ir.places import place_of
from netdsl.ir.program import Bind


class Scope:
    """The head of a function: `lines` declares scalars in double, then rounded to `real`.

    `places` are those of the names that the function's expressions use; `taken` identifiers are
    not given to locals.
    """

    def __init__(self, layout: Layout, places: Mapping[str, Place]) -> None:
        self.layout = layout
        self.places = dict(places)
        self.lines: list[str] = []
        self._names = Names()
        self._rounded: dict[Expr, str] = {}
        self._doubles = Printer(DOUBLE, self._read_double)

    def local(self, name: str) -> str:
        """Identifier of a bound value; the prefix keeps it apart from buffers and functions."""
        return f"v_{self._names(name)}"

    def fresh(self, name: str) -> str:
        """An identifier of the generator's own."""
        return f"v_{self._names.fresh(name)}"

    def declare(self, scalars: Sequence[Bind]) -> None:
        """Compute scalars once, in double."""
        for bind in scalars:
            self.places[bind.name] = Place.GLOBAL
            value = self.double(bind.value)
            self.lines.append(f"const double {self.local(bind.name)} = {value};")

    def double(self, expr: Expr) -> str:
        """An expression of scalars, in double."""
        return self._doubles.number(simplify(expr))

    def rounded(self, expr: Expr) -> str:
        """A name for an expression of scalars, computed in double and rounded to `real`."""
        if isinstance(expr, Const):
            return literal(expr.value, self.layout.real)
        if expr not in self._rounded:
            name = self.fresh(f"{expr.name} real" if isinstance(expr, Local) else "scalar")
            self.lines.append(f"const real {name} = (real){self.double(expr)};")
            self._rounded[expr] = name
        return self._rounded[expr]

    def place(self, expr: Expr) -> Place:
        """Where an expression lives."""
        return place_of(expr, self.layout.program, self.places)

    def _read_double(self, expr: Expr) -> str:
        if isinstance(expr, Local):
            return self.local(expr.name)
        if isinstance(expr, Load):
            return f"net->{self.layout.names(expr.buffer)}"
        raise ValueError("an index is no scalar")


def operations(exprs: Sequence[Expr]) -> int:
    """Arithmetic operations of some expressions, for `bench`."""
    return sum(isinstance(node, Apply) for expr in exprs for node in walk(expr))
