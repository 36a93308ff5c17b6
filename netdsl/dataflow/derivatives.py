"""What the coefficients of derived eligibilities read: a derivative sees more than its value."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.algebra.derivative import DerivativeError, derivative
from netdsl.ir.algebra.entries import Entries
from netdsl.ir.algebra.integrate import IntegrationError, integrate
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.algebra.tangent import NoTangent, tangents
from netdsl.ir.expr import Const, Expr, Reduce, Ref, refs, transform, walk
from netdsl.ir.network import Eligibility, Integrate, Kind, Place, Population, Statement, Variable


def coefficient_reads(population: Population, eligibility: Eligibility) -> tuple[Ref, ...]:
    """Reads in the coefficients of a unit's tangents; of its own variables, as from a synapse.

    A variable that a reduction enters stands for the reduction. Nothing where there is no
    derivative, which is an error later on.
    """
    try:
        stepwise = _stepwise(population)
        entries = Entries(population.name, stepwise.variables)
        inputs = frozenset(path for path, _ in eligibility.factors)
        step = tangents(stepwise, inputs, eligibility.target, entries)
    except (IntegrationError, NoTangent):
        return ()
    forms = (*step.states.values(), step.output)
    wanted = [ref.path for form in forms for slope in form.values() for ref in refs(slope)]
    found: dict[Ref, None] = {}
    for name in entries.declared(wanted):
        entry = entries.named[name]
        if any(isinstance(node, Reduce) for node in walk(entry.value)):
            found.update(dict.fromkeys(_target(stepwise, entry.index, eligibility)))
        found.update(dict.fromkeys(_outside(entry.value)))
    made = {*entries.named, *entries.promised}
    own = population.variables
    return tuple(
        replace(ref, side="post" if ref.path in own else ref.side, span=eligibility.span)
        for ref in found
        if ref.path not in made
    )


def moves(expr: Expr, path: str) -> bool:
    """Whether a value changes with a variable of any time: a derivative that is not always 0."""

    def now(node: Expr) -> Expr | None:
        same = isinstance(node, Ref) and node.path == path
        return Ref(path) if same else None

    try:
        return simplify(derivative(transform(expr, now), path)) != Const(0.0)
    except DerivativeError:
        return False


def _outside(expr: Expr) -> tuple[Ref, ...]:
    """Reads outside of reductions."""
    inside = {id(r) for node in walk(expr) if isinstance(node, Reduce) for r in walk(node)}
    return tuple(ref for ref in refs(expr) if id(ref) not in inside)


def _target(population: Population, index: int, eligibility: Eligibility) -> tuple[Ref, ...]:
    if index >= len(population.body):
        return (Ref(eligibility.target),)
    statement = population.body[index]
    return (Ref(statement.target),) if not isinstance(statement, Integrate) else ()


def _stepwise(population: Population) -> Population:
    """The population without equations."""
    variables, body = dict(population.variables), list[Statement]()
    for statement in population.body:
        if isinstance(statement, Integrate):
            done = integrate(statement)
            body += done.statements
            lets = {p: Variable(p, Kind.LET, Place.UNIT, owner=population.name) for p in done.lets}
            variables |= lets
        else:
            body.append(statement)
    return replace(population, body=tuple(body), variables=variables)
