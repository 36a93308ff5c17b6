"""Whom a modulator reaches: rules of its own population, of those it is `to`, or all.

Cells and deliveries are analysed before modulators; they read one as it was declared, as the value
of the step before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netdsl.diagnostics import Span
from netdsl.ir.expr import PREV, Ref
from netdsl.ir.network import Modulator, Place
from netdsl.sema.scopes.units import Unknown
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.cells.populations import PopulationScope


def scope_of(node: ast.ModulatorDecl) -> str:
    """The scope that a modulator declares."""
    levels = [part.level for part in ast.walk(node) if isinstance(part, ast.Scope)]
    return levels[0] if levels else "population"


def homes(node: ast.ModulatorDecl) -> list[str]:
    """The populations that compute a modulator; one of its own where it is on none."""
    return [ref.name for ref in node.on] or [node.name]


def emitted(name: str, home: str) -> str:
    """The path of what a modulator emits."""
    return f"{name}.{home}"


def chosen(
    name: str, instances: Mapping[str | None, Modulator], population: str
) -> Modulator | None:
    """The instance that rules of a population read."""
    own = instances.get(population)
    if own is not None:
        return own
    return next((m for m in instances.values() if m.reaches(population)), None)


def report(
    name: str, instances: Mapping[str | None, Modulator], scope: PopulationScope, span: Span
) -> None:
    """A modulator that does not reach a population (E0104), with the ways out."""
    on = [home for home in instances if home is not None]
    where = f"it is on {', '.join(on)}" if on else "it is on no population"
    scope.context.bag.error(
        "E0104",
        f"modulator `{name}` does not reach `{scope.name}`",
        span,
        help=f"{where}: write `to {scope.name}` after it, or `scope global` in its body",
    )


def announced(
    name: str, at: str | None, span: Span, scope: PopulationScope, *, cell: bool
) -> Value | None:
    """A modulator that is declared and not analysed yet, as a cell or a delivery reads it."""
    context = scope.context
    node = context.declarations.table("modulator").get(name.partition("[")[0])
    if node is None or name in context.dead:
        return None
    context.use("modulator", node.name)
    level, on = scope_of(node), homes(node)
    near = scope.name in on
    reached = near or level == "global" or any(to.population.name == scope.name for to in node.to)
    cells = any(to.cells and to.population.name == scope.name for to in node.to)
    if cell and not cells:
        context.bag.error(
            "E0104",
            f"the cells of `{scope.name}` do not read modulator `{name}`",
            span,
            help=f"write `to {scope.name} cells` after it: they then know its value of the step "
            "before",
        )
        return bad(span)
    if not reached:
        context.bag.error(
            "E0104",
            f"modulator `{name}` does not reach `{scope.name}`",
            span,
            help=f"write `to {scope.name}` after it, or `scope global` in its body",
        )
        return bad(span)
    if at not in (None, "prev"):
        context.bag.error("E0106", "here a modulator has its value of the step before", span)
        return bad(span)
    if node.slot is not None:
        context.bag.error(
            "E0181",
            f"`{name}` has a number for each slot, which modulators below it read",
            span,
            help=f"put modulator `{name}` above this one, or let a modulator read it",
        )
        return bad(span)
    path = emitted(name, scope.name if near else on[0])
    place = Place.UNIT if level == "neuron" else Place.ROW
    dim = context.dims.setdefault(path, Unknown())
    return Value(Ref(path, "own", PREV, span), dim, place=place, span=span)
