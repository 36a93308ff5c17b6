"""When a rule runs: at every step of learning phases, or at `update`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Thunk
from netdsl.sema.synapses.synapses import STEP_RULE, UPDATE_RULE, SynapseArguments
from netdsl.syntax import ast

Timed = tuple[str, ast.Statement]  # clock and statement


def rule_clock(found: Iterable[Timed], context: Context) -> str:
    """The clock at which a rule changes its weights.

    A rule with a change at each of the two clocks is reported.
    """
    found = tuple(found)
    if not any(isinstance(node, ast.AtUpdate) for _, node in found):
        return STEP_RULE
    plain = [node for clock, node in found if clock == STEP_RULE and isinstance(node, ast.Setting)]
    if plain:
        context.unsupported(
            "a change at every step beside one at `update` is",
            plain[0].span,
            "put the whole change into `at update { … }`, or take the block away",
        )
    return UPDATE_RULE


def selected(
    body: ast.Body, home: SynapseArguments, context: Context, clock: str = STEP_RULE
) -> Iterator[Timed]:
    """The statements that the parameters select, those of a block behind it, with their clocks.

    `home` has the rule's arguments, and is given what conditions may read besides.
    """
    for node in body:
        if isinstance(node, ast.WhenBody):
            condition = expressions.constant(node.condition, home, "the condition")
            if not condition.bad:
                branch = context.choose(node, bool(condition.constant))
                yield from selected(branch, home, context, clock)
            continue
        yield clock, node
        if isinstance(node, ast.AtUpdate):
            yield from selected(node.body, home, context, UPDATE_RULE)
        elif isinstance(node, ast.Let):
            home.arguments[node.name] = Thunk(node.value, home)
        elif isinstance(node, ast.Param) and node.default is not None:
            home.arguments[node.name] = Thunk(node.default, home)
