"""`reset` statements: start values, drawn or computed, and what a presentation left behind."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.expr import Const
from netdsl.ir.network import Draw, Kind, Population, Variable
from netdsl.ir.program import DrawStore, Elementwise, Op, Routine, Statement, Store
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.lines import forget
from netdsl.passes.lower.resolve import Resolver, variable_buffer
from netdsl.passes.lower.states import state_resets

_RESET = {Kind.STATE, Kind.SPIKE, Kind.TRACE, Kind.DRAW}


def reset_routines(context: Context, population: Population) -> Iterator[Routine]:
    """`reset` of a population, and the start of those of its states that no reset touches."""
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
            ops += forget(context, population)
        elif not statements and len(ops) == 1:
            continue
        name = f"{kind}:{population.name}"
        yield Routine(name, kind, tuple(ops), owner=population.name, span=population.span)


def _initial(resolver: Resolver, variable: Variable, buffer: str) -> Statement:
    init = variable.init
    if isinstance(init, Draw):
        args = tuple(resolver.resolve(arg) for arg in init.args)
        return DrawStore(buffer, init.distribution, args, init.stream, variable.span)
    value = resolver.resolve(init) if init is not None else Const(0.0)
    return Store(buffer, value, variable.span)
