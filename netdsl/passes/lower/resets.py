"""`reset` statements: start values, drawn or computed, and what a presentation left behind."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

from netdsl.ir.expr import Const
from netdsl.ir.network import Draw, Kind, Population, Variable
from netdsl.ir.program import DrawStore, Elementwise, Op, Routine, Statement, Store
from netdsl.ir.protocol import Reset, steps_of
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.lines import forget
from netdsl.passes.lower.resolve import Resolver, variable_buffer
from netdsl.passes.lower.states import state_resets

_RESET = {Kind.STATE, Kind.SPIKE, Kind.TRACE, Kind.DRAW}


def reset_routines(context: Context, population: Population) -> Iterator[Routine]:
    """`reset` of a population, and the start of those of its states that no reset touches; `reset`
    of those of its modulators that a protocol names."""
    yield from _routines(context, population, population.name)
    steps = (s for p in context.network.protocols.values() for s in steps_of(p.body))
    named = {name for step in steps if isinstance(step, Reset) for name in step.targets}
    on = {m.name.partition("[")[0] for m in context.network.modulators if m.home == population.name}
    for name in sorted(on & named - {population.name}):
        own = _of_modulator(population, name)
        part = replace(population, variables=own)
        for routine in _routines(context, part, f"{name}.{population.name}", own.keys()):
            if routine.kind == "reset":
                yield routine


def _of_modulator(population: Population, name: str) -> dict[str, Variable]:
    """What a modulator emits at a population, a component each, and its own states there."""
    inside = f"{name}.{population.name}."
    return {
        path: variable
        for path, variable in population.variables.items()
        if path.startswith(inside)
        or (variable.kind is Kind.MODULATOR and path.split(".")[0].partition("[")[0] == name)
    }


def _routines(
    context: Context, population: Population, owner: str, only: AbstractSet[str] | None = None
) -> Iterator[Routine]:
    resolver = Resolver(context, population.name)
    starts: dict[str, list[Statement]] = {"start": [], "reset": []}
    for variable in population.variables.values():
        if variable.kind in _RESET:
            buffer = variable_buffer(context, variable)
            resolver.emit = []
            statement = _initial(resolver, variable, buffer)
            starts["start" if variable.keep else "reset"] += [*resolver.emit, statement]
    for kind, statements in starts.items():
        ops: list[Op] = [Elementwise(population.name, tuple(statements), label=kind)]
        ops += state_resets(context, population, keep=kind == "start")
        if kind == "reset":
            ops += forget(context, population, only)
        elif not statements and len(ops) == 1:
            continue
        yield Routine(f"{kind}:{owner}", kind, tuple(ops), owner=owner, span=population.span)


def _initial(resolver: Resolver, variable: Variable, buffer: str) -> Statement:
    init = variable.init
    if isinstance(init, Draw):
        args = tuple(resolver.resolve(arg) for arg in init.args)
        return DrawStore(buffer, init.distribution, args, init.stream, variable.span)
    value = resolver.resolve(init) if init is not None else Const(0.0)
    return Store(buffer, value, variable.span)
