"""Names are for printing: a program whose buffers and resets have other names means the same."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.frontend import check, lower_network
from netdsl.ir.expr import Expr, Load, transform
from netdsl.ir.program import Buffer, Key, Program
from netdsl.ir.roles import renamed
from netdsl.passes.pipeline import PROGRAM_PASSES, Record
from netdsl.passes.program.rewrite import PARTS
from netdsl.paths import data_path
from tests.specs.test_shipped import settings_of

SPECS = ("csdp", "ep", "bp", "corinfomax_sparse", "examples/convolution", "examples/recurrent_rate")


def shuffled(program: Program, seed: int) -> Program:
    """The program with names drawn anew for all buffers and all routines of owners."""
    numbers = list(range(len(program.buffers)))
    random.Random(seed).shuffle(numbers)
    names = {name: f"b{k}@{k % 7}" for name, k in zip(program.buffers, numbers, strict=True)}

    def loaded(expr: Expr) -> Expr:
        def visit(node: Expr) -> Expr | None:
            return replace(node, buffer=names[node.buffer]) if isinstance(node, Load) else None

        return transform(expr, visit)

    def held(buffer: Buffer) -> Buffer:
        init = loaded(buffer.init) if isinstance(buffer.init, Expr) else buffer.init
        return replace(buffer, name=names[buffer.name], init=init)

    routines = {}
    for number, routine in enumerate(program.routines.values()):
        parts = {p: tuple(renamed(op, names.__getitem__) for op in getattr(routine, p))
                 for p in PARTS}  # fmt: skip
        name = f"r{number}" if routine.owner else routine.name
        routines[name] = replace(routine, name=name, **parts)
    return replace(
        program,
        buffers={names[name]: held(buffer) for name, buffer in program.buffers.items()},
        routines=routines,
        host_scalars={names[name]: loaded(e) for name, e in program.host_scalars.items()},
    )


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", SPECS)
def test_other_names_mean_the_same(name: str, seed: int) -> None:
    path = Path(data_path("specs")) / f"{name}.net"
    settings = settings_of(path)
    plain = netdsl.compile(path, backend="numpy", set=settings)
    other = netdsl.compile(path, backend="numpy", set=settings)
    record = Record(keep=True)
    lower_network(check(path, settings, lower=False).require(), record=record)
    program = shuffled(record.programs["lower"], seed)
    assert not set(program.buffers) & set(plain.program.buffers)
    for step in PROGRAM_PASSES:
        program = step.run(program)
    other.program = program
    results = [model.run(epochs=1, limit=40) for model in (plain, other)]
    np.testing.assert_equal(results[1].metrics, results[0].metrics)
    compared = 0
    for held in plain.program.buffers.values():
        if held.key is not None and other.program.find(*held.key) and held.role != "scratch":
            found = [model.session.value(Key(*held.key)) for model in (plain, other)]
            np.testing.assert_array_equal(found[1], found[0], err_msg=str(held.key))
            compared += 1
    assert compared > 5
