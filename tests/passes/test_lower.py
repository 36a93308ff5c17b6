"""Lowering: order of a step, what is computed once, what is stored, adjoints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netdsl.ir import protocol as proto
from netdsl.ir.expr import Const, Ref
from netdsl.ir.program import (
    Copy,
    Elementwise,
    Op,
    Program,
    Propagate,
    Push,
    RowReduce,
    Store,
    SynapseUpdate,
)
from netdsl.passes import LoweringError, lower
from tests.networks import Builder

STEPS = Const(3)


def phase(builder: Builder, name: str = "run", learning: str = "") -> proto.RunPhase:
    names = frozenset(learning.split())
    return proto.RunPhase(name, STEPS, names, (), f"train.{builder.line}", builder.span())


def chain(delay: int) -> Builder:
    """A clamped source and two cells in a row."""
    builder = Builder()
    builder.population("x", state="r")
    builder.population("a", body=["r = j"], input="j", state="r")
    builder.population("b", body=["r = j"], input="j", state="r")
    builder.projection("Wa", "x", "a", "j: w * pre.r")
    builder.projection("Wb", "a", "b", "j: w * pre.r", delay=delay)
    return builder


def steps(program: Program, kind: type[Op]) -> list[Op]:
    (routine,) = [r for r in program.routines.values() if r.kind == "phase"]
    return [op for op in routine.step if isinstance(op, kind)]


def run(builder: Builder, *more: proto.Step, **options: tuple[str, ...]) -> Program:
    builder.protocol("train", phase(builder), *more)
    return lower(builder.network(), **options)


def order(program: Program) -> list[str]:
    (routine,) = [r for r in program.routines.values() if r.kind == "phase"]
    return [op.population if isinstance(op, Elementwise) else op.projection for op in routine.step]  # type: ignore[union-attr]


def test_zero_delay_edges_run_between_their_cells() -> None:
    assert order(run(chain(0))) == ["a", "Wb", "b"]


def test_one_step_edges_read_before_any_cell_writes() -> None:
    assert order(run(chain(1)))[0] == "Wb"


def test_a_held_source_is_multiplied_once_per_phase() -> None:
    program = run(chain(0))
    (routine,) = [r for r in program.routines.values() if r.kind == "phase"]
    assert [op.projection for op in routine.once if isinstance(op, Propagate)] == ["Wa"]
    assert any("Wa" in note for note in routine.notes)


def test_a_cycle_without_delay_is_named() -> None:
    builder = chain(0)
    builder.population("b", body=["r = j"], input="j", state="r")
    builder.projection("back", "b", "a", "j: w * pre.r")
    with pytest.raises(LoweringError) as caught:
        run(builder)
    assert caught.value.code == "E0501"
    assert "Wb" in caught.value.message
    assert "back" in caught.value.message


@pytest.mark.parametrize("delay", [2, 3, 1000])
def test_longer_delays_push_into_one_ring(delay: int) -> None:
    program = run(chain(delay))
    (pushed,) = steps(program, Push)
    ring = program.buffers[pushed.target]  # type: ignore[union-attr]
    assert (pushed.source, ring.of, ring.slots) == ("a.r", "a.r", delay)  # type: ignore[union-attr]
    assert not steps(program, Copy)
    (sent,) = (op for op in steps(program, Propagate) if op.source == ring.name)  # type: ignore[union-attr]
    assert sent.ago == delay - 1  # type: ignore[union-attr]
    reset = [op for op in program.routines["reset:a"].once if isinstance(op, Copy | Push)]
    assert reset == [replace(pushed, all=True)]  # type: ignore[type-var]


def test_population_reductions_stand_before_their_readers() -> None:
    builder = Builder()
    builder.population("a", body=["r = r + 1", "l = l + sum(r)", "r = r - l"], state="r", row="l")
    (op,) = steps(run(builder), Elementwise)
    kinds = [type(s).__name__ for s in op.statements]  # type: ignore[union-attr]
    assert kinds == ["Store", "RowReduce", "Store", "Store"]
    assert isinstance(op.statements[1], RowReduce)  # type: ignore[union-attr]


def test_rules_factor_into_products_of_two_buffers() -> None:
    builder = chain(1)
    builder.learn("Wb", "hebb", "0.5 * pre.r * post.r", reduce="mean")
    builder.protocol("train", phase(builder, learning="Wb"))
    (update,) = steps(lower(builder.network()), SynapseUpdate)
    (total,) = update.sums  # type: ignore[union-attr]
    (product,) = total.products
    assert (product.pre, product.post) == ("a.r@prev", "b.r")


def test_snapshots_are_stored_when_their_phase_ends() -> None:
    builder = chain(0)
    builder.learn("Wb", "late", "pre.r__free * post.j__free", clock="update")
    update = proto.Update(("Wb",), "train.u")
    builder.protocol("train", phase(builder, "free"), update)
    program = lower(builder.network())
    (routine,) = [r for r in program.routines.values() if r.kind == "phase"]
    assert {op.target for op in routine.after if isinstance(op, Copy)} == {"a.r@free"}
    assert {op.target for op in routine.after if isinstance(op, Propagate)} == {"b.j@free"}


def test_products_of_one_source_become_one() -> None:
    builder = chain(0)
    builder.learn("Wa", "late", "(post.r__b - post.r__a) * pre.r__b - post.j * pre.r__a")
    builder.projections["Wa"] = replace(
        builder.projections["Wa"], rule=replace(builder.projections["Wa"].rule, clock="update")
    )
    steps = (phase(builder, "a"), phase(builder, "b"), proto.Update(("Wa",), "train.u"))
    builder.protocol("train", *steps)
    ops = lower(builder.network()).routines["train.u"].once
    (update,) = [op for op in ops if isinstance(op, SynapseUpdate)]
    assert [product.pre for product in update.sums[0].products] == ["x.r"]


def test_inputs_are_settled_for_updates() -> None:
    builder = chain(1)
    builder.learn("Wb", "local", "pre.r * post.j", clock="update")
    builder.protocol("train", phase(builder), proto.Update(("Wb",), "train.u"))
    ops = lower(builder.network()).routines["train.u"].once
    assert isinstance(ops[0], Propagate)
    assert ops[0].target == "b.j@settled"
    assert isinstance(ops[-1], SynapseUpdate)


def test_observed_changes_get_a_buffer() -> None:
    builder = chain(1)
    builder.learn("Wb", "hebb", "pre.r * post.r")
    builder.protocol("train", phase(builder, learning="Wb"))
    program = lower(builder.network(), observe=["Wb.dw"])
    (update,) = steps(program, SynapseUpdate)
    stored = {s.buffer for s in update.statements if isinstance(s, Store)}  # type: ignore[union-attr]
    assert stored == {"Wb.dw", "Wb.w"}


def test_bptt_sends_errors_back_through_the_weights() -> None:
    from netdsl.ir.expr import Apply, Reduce
    from netdsl.ir.network import Loss

    builder = chain(0)
    error = Apply("pow", (Ref("b.r", time="@run"), Const(2.0)))
    body = Reduce("sum", "population", error)
    builder.losses["E"] = Loss("E", Reduce("mean", "batch", body), builder.span())
    for name in ("Wa", "Wb"):
        builder.learn(name, "bptt", None, clock="update", loss="E")
    one = proto.RunPhase("run", Const(1), frozenset(), (), "train.p", builder.span())
    builder.protocol("train", one, proto.Update(("Wa", "Wb"), "train.u"))
    ops = lower(builder.network()).routines["train.u"].once
    (back,) = [op for op in ops if isinstance(op, Propagate)]
    assert back.transposed
    assert back.projection == "Wb"
    assert [op.projection for op in ops if isinstance(op, SynapseUpdate)] == ["Wa", "Wb"]
