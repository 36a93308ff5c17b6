"""When a rule runs: at every step of learning phases, or at `update`."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Thunk
from netdsl.sema.synapses.synapses import STEP_RULE, UPDATE_RULE, SynapseArguments
from netdsl.syntax import ast

_Timed = tuple[str, ast.Statement]


def rule_clock(body: ast.Body, home: SynapseArguments, context: Context) -> str:
    """The clock of a rule, by the statements that the parameters select; `home` has its arguments.

    A rule with a change at each of the two clocks is reported.
    """
    found = list(_statements(body, home, context, STEP_RULE))
    if not any(isinstance(node, ast.AtUpdate) for _, node in found):
        return STEP_RULE
    changes = [timed for timed in found if isinstance(timed[1], ast.Setting)]
    plain = [node for clock, node in changes if clock == STEP_RULE]
    if plain:
        context.unsupported(
            "a change at every step beside one at `update` is",
            plain[0].span,
            "put the whole change into `at update { … }`, or take the block away",
        )
    return UPDATE_RULE


def _statements(
    body: ast.Body, home: SynapseArguments, context: Context, clock: str
) -> Iterator[_Timed]:
    for node in body:
        if isinstance(node, ast.WhenBody):
            condition = expressions.constant(node.condition, home, "the condition")
            if not condition.bad:
                taken = bool(condition.constant) is not context.flip
                branch = node.body if taken else node.otherwise
                yield from _statements(branch, home, context, clock)
            continue
        yield clock, node
        if isinstance(node, ast.AtUpdate):
            yield from _statements(node.body, home, context, UPDATE_RULE)
        elif isinstance(node, ast.Let):
            home.arguments[node.name] = Thunk(node.value, home)
        elif isinstance(node, ast.Param) and node.default is not None:
            home.arguments[node.name] = Thunk(node.default, home)
