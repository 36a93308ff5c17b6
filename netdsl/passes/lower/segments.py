"""Runs of a population's statements, and the bound names that are read beyond where a loop ends."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from netdsl.ir.expr import Expr, Load, Local, transform, walk
from netdsl.ir.network import Place
from netdsl.ir.program import Op, Statement, Store
from netdsl.ir.roles import expressions, mapped
from netdsl.passes.lower.context import Context


@dataclass
class Segment:
    """Statements to run together, the inputs they read and the variables they assign.

    `before` is what is made of other rows for them.
    """

    population: str
    reads: set[str] = field(default_factory=set)  # modulators of others that have a number per slot
    statements: list[Statement] = field(default_factory=list)
    before: list[Op] = field(default_factory=list)
    inputs: set[str] = field(default_factory=set)
    assigns: set[str] = field(default_factory=set)


def promote(context: Context, segments: list[Segment]) -> None:
    """Give a buffer to every bound name that is read after a cut or a population reduction; one
    number is written out instead."""
    home: dict[str, tuple[int, int]] = {}
    crossing: dict[str, Place] = {}
    places: dict[str, Place] = {}
    single: dict[str, Expr] = {}
    for index, epoch, statement in _epochs(segments):
        for name in _locals(statement):
            if home.get(name) != (index, epoch):
                crossing[name] = places[name]
        if statement.binds:
            home[statement.binds] = (index, epoch)
            place = places[statement.binds] = context.place(statement.values[0], places)
            if place is Place.GLOBAL:
                single[statement.binds] = _written_out(statement.values[0], single)
    for segment in segments:
        segment.statements = [
            mapped(s, lambda value: _written_out(value, single, crossing))
            for s in segment.statements
        ]
    crossing = {name: place for name, place in crossing.items() if name not in single}
    for index, segment in enumerate(segments):
        segment.statements = _promoted(context, segment, index, crossing, home)


def _written_out(value: Expr, single: dict[str, Expr], among: Container[str] | None = None) -> Expr:
    def visit(node: Expr) -> Expr | None:
        wanted = isinstance(node, Local) and (among is None or node.name in among)
        return single.get(node.name) if isinstance(node, Local) and wanted else None

    return transform(value, visit)


def _epochs(segments: list[Segment]) -> list[tuple[int, int, Statement]]:
    listed: list[tuple[int, int, Statement]] = []
    for index, segment in enumerate(segments):
        epoch = 0
        for statement in segment.statements:
            listed.append((index, epoch, statement))
            epoch += statement.ends_loop
    return listed


def _promoted(
    context: Context,
    segment: Segment,
    index: int,
    crossing: dict[str, Place],
    home: dict[str, tuple[int, int]],
) -> list[Statement]:
    epoch = 0
    result: list[Statement] = []
    for statement in segment.statements:
        here = (index, epoch)
        result.append(_replace_locals(context, segment, statement, crossing, home, here))
        if statement.binds in crossing:
            name = _promoted_buffer(context, segment, statement.binds, crossing)
            result.append(Store(name, Local(statement.binds), statement.span))
        epoch += statement.ends_loop
    return result


def _promoted_buffer(
    context: Context, segment: Segment, name: str, crossing: dict[str, Place]
) -> str:
    place = crossing[name]
    place = Place.UNIT if place is Place.NEURON else place
    owner = segment.population
    return context.need(name, place, owner, "scratch", "a `let` read after a cut", tag="kept")


def _replace_locals(
    context: Context,
    segment: Segment,
    statement: Statement,
    crossing: dict[str, Place],
    home: dict[str, tuple[int, int]],
    here: tuple[int, int],
) -> Statement:
    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Local) and node.name in crossing and home.get(node.name) != here:
            return Load(_promoted_buffer(context, segment, node.name, crossing))
        return None

    return mapped(statement, lambda expr: transform(expr, visit))


def _locals(statement: Statement) -> set[str]:
    found = (node for expr in expressions(statement) for node in walk(expr))
    return {node.name for node in found if isinstance(node, Local)}
