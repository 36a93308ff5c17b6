"""`grad(f, x)` and `vjp(z, x, v)`: derivatives inside a cell or modulator.

`grad` is along one unit, with definitions written out and spikes' surrogates; `vjp` goes back
through the whole step of the population.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netdsl.ir.algebra.adjoint import Backward
from netdsl.ir.algebra.adjoint import Population as Step
from netdsl.ir.algebra.build import plus, times
from netdsl.ir.algebra.definitions import write_out
from netdsl.ir.algebra.history import NoAdjoint
from netdsl.ir.expr import NOW, Apply, Const, Custom, Expr, Reduce, Ref, refs
from netdsl.ir.network import Assign, Kind, Place, Variable
from netdsl.sema.scopes.arguments import positional
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.units import product
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.cells.populations import PopulationScope
    from netdsl.sema.cells.statements import CellStatements


def grad(node: ast.Call, scope: Scope) -> Value:
    """`grad(f, x)`: along one unit."""
    args = positional(node, scope, 2)
    if args is None or any(arg.bad for arg in args):
        return bad(node.span)
    return _gradient(args[0], args[1], node, scope)


def vjp(node: ast.Call, scope: Scope) -> Value:
    """`vjp(z, x, v)`: of the whole population."""
    args = positional(node, scope, 3)
    if args is None or any(arg.bad for arg in args):
        return bad(node.span)
    return _adjoint(args[0], args[1], args[2], node, scope)


def detach(node: ast.Call, scope: Scope) -> Value:
    """`detach(e)` is `e` with derivative 0."""
    args = positional(node, scope, 1)
    if args is None or args[0].bad or args[0].constant is not None:
        return bad(node.span) if args is None else args[0]
    expr = Custom(args[0].expr, Const(0.0), Const(0.0), node.span)
    return replace(args[0], expr=expr, span=node.span)


def _gradient(of: Value, by: Value, node: ast.Call, scope: Scope) -> Value:
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
    if _follows(of, path, node, scope, owner):
        return bad(node.span)
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
            help="write `vjp(f, x, v)`, the derivative of the whole population, in a `let` or a "
            "modulator"
            if isinstance(problem.term, Reduce)
            else "write the derivative by hand",
        )
        return bad(node.span)
    return Value(total, product(of.dim, by.dim, -1), place=of.place, span=node.span)


def _follows(of: Value, path: str, node: ast.Call, scope: Scope, owner: PopulationScope) -> bool:
    """Report a value that an earlier statement of the step made of `path`: `grad` knows none."""
    steps = scope.context.steps
    if steps is None or steps.apart is not None:
        return False
    try:
        backward = _backward(owner, steps, scope)
    except NoAdjoint:
        return False  # an integrator that does not fit is reported later
    for ref in refs(write_out(of.expr, owner.variables, keep=path)):
        own = owner.variables.get(ref.path)
        if own is None or own.kind is Kind.SPIKE or ref.time != NOW or ref.path == path:
            continue
        if backward.follows(ref.path, path):
            scope.context.bag.error(
                "E0415",
                f"`grad` goes through definitions and spikes, and `{own.name}` is computed from "
                f"`{path.split('.')[-1]}` by a statement above",
                node.span,
                help="write `vjp(f, x, 1)`, which goes through the statements of the step",
            )
            return True
    return False


def _backward(owner: PopulationScope, steps: CellStatements, scope: Scope) -> Backward:
    """The statements of a population so far, to be gone through in reverse."""

    def place(path: str) -> Place:
        known = owner.variables.get(path) or scope.context.variables.get(path)
        return known.place if known is not None else Place.UNIT

    return Backward(Step(owner.axes, owner.variables, steps.before(), place, steps.hidden))


def _mark(of: Value, owner: PopulationScope) -> None:
    """What a derivative is taken of is read, although its derivative takes its place."""
    for ref in refs(of.expr):
        if ref.path in owner.variables:
            held = owner.variables[ref.path]
            owner.variables[ref.path] = replace(held, differentiated=True)


def _adjoint(of: Value, by: Value, cotangent: Value, node: ast.Call, scope: Scope) -> Value:
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
    try:
        backward = _backward(owner, steps, scope)
        total = backward.adjoint(of.expr, by.expr.path, cotangent.expr, cotangent.place)
    except NoAdjoint as stop:
        what = f"no derivative: {stop.message}"
        context.bag.error("E0415", what, stop.span or node.span, help=stop.help)
        return bad(node.span)
    fits = all(context.expansion.fits(held.value, node) for held in backward.held)
    if not fits or not context.expansion.fits(total, node):
        return bad(node.span)
    total = _with_all_read(total, cotangent, [held.value for held in backward.held])
    result = by.place if by.place in shared else Place.UNIT
    total = backward.hold(total, result)
    for held in backward.held:
        through = backward.through if held.name == total.path else ()
        owner.variables[held.name] = Variable(
            held.name, Kind.LET, held.place, owner=owner.name, through=through, span=node.span
        )
    steps.insert([(h.index, Assign(h.name, h.value, node.span)) for h in backward.held])
    dim = product(product(of.dim, cotangent.dim), by.dim, -1)
    return Value(total, dim, place=result, span=node.span)


def _with_all_read(total: Expr, cotangent: Value, held: list[Expr]) -> Expr:
    """What the text reads counts, also where a parameter that is 0 takes it out of the value."""
    read = {ref.path for value in (total, *held) for ref in refs(value)}
    if {ref.path for ref in refs(cotangent.expr)} <= read:
        return total
    return Apply("add", (total, Apply("mul", (Const(0.0), cotangent.expr))))


def _misplaced(
    by: Value, steps: CellStatements | None, scope: Scope
) -> tuple[str | None, str | None]:
    """Why there is no derivative here, and what to write; None where there can be one."""
    where = "write it in a statement of the cell or of a modulator `on` the population"
    if steps is None:
        return f"`vjp` is not available in {scope.kind}", where
    if steps.apart is not None:
        help = "write `g := vjp(…)` for a state among the statements, and read `g` here"
        return f"`vjp` does not stand in {steps.apart}", help
    expr = by.expr
    if not isinstance(expr, Ref) or expr.time != NOW or expr.side != "own":
        return "a derivative is taken by a variable of now", None
    own = steps.scope.variables.get(expr.path)
    if own is None or own.kind is Kind.PARAM:
        return "a derivative is taken by a variable of the own population", None
    return None, None
