"""The head of a projection: its ends and its delay."""

from __future__ import annotations

from netdsl.sema.cells.populations import PopulationScope
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.syntax import ast


def end_of(ref: ast.Ref, context: Context) -> tuple[PopulationScope | None, tuple[int, int] | None]:
    """The population of an end and, of a part, its first neuron and the one after its last."""
    name, *rest = [ref.name] if ref.name in context.cells else ref.parts
    scope = context.cells.get(name)
    if scope is None:
        if not context.bag.is_poisoned("population", name):
            context.unknown("population", name, ref.span, context.cells)
        return None, None
    context.use("population", name)
    if not rest:
        return scope, None
    population = context.populations.get(name)
    types = population.types if population is not None else ()
    for found, first, last in types:
        if [found] == rest and population is not None and population.shuffled:
            context.bag.error(
                "E0647",
                f"the neurons of `{ref.name}` do not stand together: types are shuffled",
                ref.span,
                help=f"join all of `{name}` and multiply what is delivered by "
                f"`(pre.type == {found})` or `(post.type == {found})`, or leave out `shuffled`",
            )
            return None, None
        if [found] == rest:
            return scope, (first, last)
    known = [f"{name}.{found}" for found, _, _ in types]
    context.unknown("cell type", ref.name, ref.span, known)
    return None, None


def delay_of(node: ast.ProjectionDecl, context: Context) -> int:
    """Steps; 0 after a report."""
    if node.delay_drawn:
        context.unsupported("delays per synapse are", node.span, "give all synapses one delay")
        return 0
    if node.delay is None:
        context.bag.error(
            "E0411",
            f"projection `{node.name}` states no delay",
            node.name_span,
            help="add `delay 1 step`, or `delay 0` for the same step",
        )
        return 0
    value = expressions.constant(node.delay, context.scope, "a delay")
    return context.scope.steps(value, "the delay") or 0
