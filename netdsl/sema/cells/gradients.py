"""`grad(f, x)` and `vjp(z, x, v)`: derivatives inside a cell or modulator.

`grad` is along one unit, with definitions written out and spikes' surrogates; `vjp` goes back
through the whole step of the population.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netdsl.ir.algebra.adjoint import Backward, NoAdjoint
from netdsl.ir.algebra.adjoint import Population as Step
from netdsl.ir.algebra.build import plus, times
from netdsl.ir.algebra.definitions import write_out
from netdsl.ir.expr import NOW, Const, Ref, refs
from netdsl.ir.network import Assign, Kind, Place, Variable
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.units import product
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.cells.populations import PopulationScope
    from netdsl.sema.cells.statements import CellStatements


def gradient(of: Value, by: Value, node: ast.Call, scope: Scope) -> Value:
    """d of / d by, where `by` is a variable of the same cell."""
    from netdsl.ir.algebra.derivative import DerivativeError, depends, derivative

    bag = scope.context.bag
    if not isinstance(by.expr, Ref):
        bag.error("E0415", "a derivative is taken by a variable", by.span)
        return bad(node.span)
    owner = scope.context.cells.get(by.expr.path.split(".")[0])
    if owner is None:
        bag.error("E0415", "derivatives are taken inside a cell", node.span)
        return bad(node.span)
    path = by.expr.path
    _mark(of, owner)
    written = write_out(of.expr, owner.variables, keep=path)
    try:
        total = derivative(written, path)
        for spike, (margin, surrogate) in owner.surrogates.items():
            outer = derivative(written, spike)
            if depends(written, spike):
                inner = derivative(write_out(margin, owner.variables, keep=path), path)
                total = plus(total, times(outer, times(surrogate, inner)))
    except DerivativeError as problem:
        bag.error(
            "E0415",
            f"no derivative: {problem.message}",
            node.span,
            help="write the derivative by hand",
        )
        return bad(node.span)
    return Value(total, product(of.dim, by.dim, -1), place=of.place, span=node.span)


def _mark(of: Value, owner: PopulationScope) -> None:
    """What a derivative is taken of is read, although its derivative takes its place."""
    for ref in refs(of.expr):
        if ref.path in owner.variables:
            held = owner.variables[ref.path]
            owner.variables[ref.path] = replace(held, differentiated=True)


def adjoint(of: Value, by: Value, cotangent: Value, node: ast.Call, scope: Scope) -> Value:
    """The sum over neurons of `cotangent` times d of / d by, for the `by` of each neuron."""
    context = scope.context
    steps = context.steps
    problem, help = _misplaced(by, steps, scope)
    if problem is not None:
        context.bag.error("E0415", problem, node.span, help=help)
        return bad(node.span)
    assert steps is not None and isinstance(by.expr, Ref)
    shared = (Place.ROW, Place.GLOBAL)
    if of.place in shared and cotangent.place not in shared:
        context.bag.error(
            "E0208",
            "what is differentiated is one number for the population, its factor one per neuron",
            cotangent.span,
            help="reduce the factor, as in `sum(…)`",
        )
        return bad(node.span)
    owner = context.cells[by.expr.path.split(".")[0]]
    _mark(of, owner)
    _mark(by, owner)
    steps.differentiated += [*refs(of.expr), *refs(by.expr), *refs(cotangent.expr)]
    body = steps.before()

    def place(path: str) -> Place:
        known = owner.variables.get(path) or context.variables.get(path)
        return known.place if known is not None else Place.UNIT

    backward = Backward(Step(owner.axes, owner.variables, body, place, steps.hidden))
    try:
        total = backward.adjoint(of.expr, by.expr.path, cotangent.expr)
    except NoAdjoint as stop:
        what = f"no derivative: {stop.message}"
        context.bag.error("E0415", what, stop.span or node.span, help=stop.help)
        return bad(node.span)
    fits = all(context.expansion.fits(held.value, node) for held in backward.held)
    if not fits or not context.expansion.fits(total, node):
        return bad(node.span)
    result = by.place if by.place in shared else Place.UNIT
    if not isinstance(total, Const):
        total = backward.hold(total, result)
    for held in backward.held:
        let = Variable(held.name, Kind.LET, held.place, owner=owner.name, span=node.span)
        owner.variables[held.name] = let
    steps.insert([(h.index, Assign(h.name, h.value, node.span)) for h in backward.held])
    dim = product(product(of.dim, cotangent.dim), by.dim, -1)
    return Value(total, dim, place=result, span=node.span)


def _misplaced(
    by: Value, steps: CellStatements | None, scope: Scope
) -> tuple[str | None, str | None]:
    """Why there is no derivative here, and what to write; None where there can be one."""
    where = "write it in a statement of the cell or of a modulator `on` the population"
    if steps is None:
        return f"`vjp` is not available in {scope.kind}", where
    if steps.apart is not None:
        return f"`vjp` does not stand in {steps.apart}", f"write `let g = vjp(…)` above: {where}"
    expr = by.expr
    if not isinstance(expr, Ref) or expr.time != NOW or expr.side != "own":
        return "a derivative is taken by a variable of now", None
    own = steps.scope.variables.get(expr.path)
    if own is None or own.kind is Kind.PARAM:
        return "a derivative is taken by a variable of the own population", None
    return None, None
