"""Fields of the data with a value for each step: how many steps a presentation reads."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.expr import Const, Expr, refs
from netdsl.ir.network import Network, Variable
from netdsl.ir.protocol import Choose, Clamp, Each, Repeat, RunPhase, SetState, Step, steps_of
from netdsl.passes.errors import LoweringError


def series_steps(network: Network, variable: Variable) -> int:
    """The most steps of a presentation in which a field is read `@step`."""
    lengths = [
        _length(body, variable)
        for protocol in network.protocols.values()
        for body in _presentations(protocol.body)
        if any(_reads(step, variable.path) for step in steps_of(body))
    ]
    return max(lengths, default=1)


def _reads(step: Step, path: str) -> bool:
    if not isinstance(step, Clamp | SetState):
        return False
    return any(ref.path == path for ref in refs(step.value))


def _presentations(body: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """The bodies of loops over batches and samples, and what stands in none."""
    yield body
    for step in steps_of(body):
        if isinstance(step, Each):
            yield step.body


def _length(body: tuple[Step, ...], variable: Variable) -> int:
    total = 0
    for step in body:
        if isinstance(step, RunPhase):
            total += _known(step.steps, step, variable)
        elif isinstance(step, Repeat):
            total += _known(step.limit, step, variable) * _length(step.body, variable)
        elif isinstance(step, Choose):
            total += max(_length(step.then, variable), _length(step.otherwise, variable))
    return total


def _known(expr: Expr, step: RunPhase | Repeat, variable: Variable) -> int:
    if isinstance(expr, Const):
        return int(expr.value)
    raise LoweringError(
        "E0787",
        f"`{variable.path}` is kept for each step, and how many there are is not known before",
        step.span,
        "give the phase a number of steps that parameters alone decide",
    )
