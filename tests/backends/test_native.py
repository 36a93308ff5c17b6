"""The native backend means what the interpreter says, in both precisions and on both paths."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.backends.native import NativeExecutor, available
from netdsl.backends.native.executor import STRATEGIES
from netdsl.codegen.c.program import generate
from netdsl.codegen.plan.instructions import (
    ListedCells,
)
from netdsl.ir.expr import Const, Load
from netdsl.ir.network import Place
from netdsl.ir.places import shape_of
from netdsl.ir.program import Copy, Elementwise, Fill, Program, Propagate, Routine, Store
from tests.interpreter import Interpreter
from tests.programs import (
    CALLS,
    KEYS,
    PROGRAMS,
    ROWS,
    buffer,
    fn,
    initial_values,
    program,
    three_factor,
)

pytestmark = pytest.mark.skipif(not available()[0], reason="no C compiler")
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def assert_equal(executor, reference, program: Program, tolerance: float) -> None:
    for name in program.buffers:
        expected, found = reference.state[name], executor.read(name)
        assert found.shape == expected.shape
        scale = 1 + np.abs(expected)
        np.testing.assert_allclose(found / scale, expected / scale, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_the_interpreter(name, dtype, strategy):
    made = PROGRAMS[name]()
    initial = initial_values(made)
    reference = Interpreter(made, initial, ROWS, KEYS, seed=7)
    executor = NativeExecutor(made, initial, rows=ROWS, dtype=dtype, seed=7, strategy=strategy)
    executor.set_rows(ROWS, KEYS)
    for call in CALLS[name]:
        reference.call(*call)
        executor.call(*call)
        assert_equal(executor, reference, made, TOLERANCE[dtype])


def agree_on_wide_layers(strategy: str, chance, weight) -> Interpreter:
    """Run `three_factor` with widths of no round number; `chance` and `weight` change the start."""
    made, rows = three_factor(n_in=150, n=139), 40
    keys = np.arange(rows, dtype=np.uint64)
    initial = initial_values(made, rows)
    initial["img.p"] = chance(initial["img.p"])
    initial["W1.w"] = weight(initial["W1.w"])
    reference = Interpreter(made, initial, rows, keys, seed=3)
    executor = NativeExecutor(made, initial, rows=rows, dtype="float64", seed=3, strategy=strategy)
    executor.set_rows(rows, keys)
    for call in CALLS["three_factor"]:
        reference.call(*call)
        executor.call(*call)
        assert_equal(executor, reference, made, 1e-11)
    return reference


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sizes_beyond_a_vector_and_a_tile(strategy):
    """Columns that fill tiles, vectors and a rest; sources that are used often and seldom."""
    lit = np.arange(150) % 5 == 0
    reference = agree_on_wide_layers(strategy, lambda p: p * lit, lambda w: 0.3 * w)
    assert reference.state["h1.s"].any()


@pytest.mark.parametrize("strategy", ["auto", "columns"])
@pytest.mark.parametrize("silent", [0, 23, 40])
def test_what_is_kept_as_lists_becomes_a_matrix_when_it_is_dense(silent, strategy):
    """Lists that overflow at their first row, in the middle, and never."""
    unit = generate(three_factor(n_in=150, n=139), "float64")
    assert {window.buffer for plan in unit.plans for window in plan.light} >= {"h1.s"}
    lit = np.arange(40)[:, None] >= silent
    agree_on_wide_layers(strategy, lambda p: p * lit, lambda w: 5 * np.abs(w))


def test_what_no_other_operation_reads_is_stored_by_the_last_step():
    """`PROGRAMS["draws"]` agrees with the interpreter after calls of several steps."""
    late = {
        name
        for plan in generate(PROGRAMS["draws"](), "float64").plans
        for op in plan.step
        if isinstance(op, ListedCells)
        for name in op.late
    }
    assert late >= {"p.s", "p.u", "p.z"}


def test_fewer_rows_than_the_capacity():
    made = three_factor()
    initial = initial_values(made)
    reference = Interpreter(
        made,
        {
            k: v[:4]
            if np.shape(v)[:1] == (ROWS,) and made.buffers[k].place in (Place.ROW, Place.UNIT)
            else v
            for k, v in initial.items()
        },
        4,
        KEYS[:4],
        seed=1,
    )
    executor = NativeExecutor(made, initial, rows=ROWS, dtype="float64", seed=1)
    executor.set_rows(4, KEYS[:4])
    for call in CALLS["three_factor"]:
        reference.call(*call)
        executor.call(*call)
    assert_equal(executor, reference, made, 1e-12)
    with pytest.raises(ValueError, match="do not fit"):
        executor.set_rows(ROWS + 1)


def several_sources(n: int = 70) -> Program:
    """Deliveries of four sources to one target: sparse, denser, sliced and not binary."""
    sizes = {"a": 60, "b": 90, "c": 5, "y": n}
    buffers = [buffer(f"{p}.s", Place.UNIT, p) for p in "abc"]
    buffers += [buffer("a.s@d1", Place.UNIT, "a"), buffer("a.s@d2", Place.UNIT, "a")]
    buffers += [
        buffer("y.j", Place.UNIT, "y"),
        buffer("y.k", Place.UNIT, "y"),
        buffer("gain", Place.GLOBAL),
    ]
    shapes = {"A": (60, n), "B": (90, n), "C": (5, n), "S": (20, 30)}
    buffers += [buffer(f"{p}.w", Place.SYNAPSE, p, "weight") for p in shapes]
    step = (
        Propagate("A", "A.w", "a.s@d2", "y.j", Load("gain"), accumulate=False, binary=True),
        Propagate("C", "C.w", "c.s", "y.k", None, accumulate=False, binary=True),
        Propagate("B", "B.w", "b.s", "y.j", Const(-0.5), binary=True),
        Propagate("C", "C.w", "c.s", "y.j", Const(2.0)),
        Propagate(
            "S", "S.w", "b.s", "y.j", None, binary=True, pre_slice=(50, 70), post_slice=(7, 37)
        ),
        Copy("a.s@d2", "a.s@d1"),
        Copy("a.s@d1", "a.s"),
        Elementwise(
            "a",
            (
                Store(
                    "a.s",
                    fn(
                        "eq",
                        fn(
                            "mod",
                            fn(
                                "add",
                                fn("mul", 7, fn("add", Load("a.s"), Load("t"))),
                                Load("a.s@d2"),
                            ),
                            3,
                        ),
                        0,
                    ),
                ),
            ),
        ),
    )
    return program(
        "several",
        sizes,
        shapes,
        buffers,
        [Routine("run", "phase", once=(Fill("y.k", 1.0),), step=step, phase="run")],
    )


@pytest.mark.parametrize("rows", [30, 300])
@pytest.mark.parametrize("neighbours", [1, 7])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_several_sources_of_one_target(strategy, neighbours, rows):
    """Sources that spike alone, or in runs whose neighbours share an addition."""
    made = several_sources()
    rng = np.random.default_rng(5)
    initial = {n: rng.uniform(-1, 1, shape_of(n, made, rows)) for n in made.buffers}
    for name, density in (
        ("a.s", 0.3),
        ("a.s@d1", 0.1),
        ("a.s@d2", 0.02),
        ("b.s", 0.12),
        ("c.s", 0.2),
    ):
        shape = initial[name].shape
        drawn = rng.random((rows, -(-shape[1] // neighbours))) < density
        initial[name] = np.repeat(drawn, neighbours, axis=1)[:, : shape[1]] * 1.0
    initial["t"] = np.float64(0)
    keys = np.zeros(rows, np.uint64)
    reference = Interpreter(made, initial, rows, keys)
    executor = NativeExecutor(made, initial, rows=rows, dtype="float64", strategy=strategy)
    for call in (("run", 5, 0, 2), ("run", 5, 2, None)):
        reference.call(*call)
        executor.call(*call)
        assert_equal(executor, reference, made, 1e-12)
    chosen = {o.label: o.gathered for o in executor.profile() if o.kind == "propagate"}
    if strategy == "dense":
        assert not any(chosen.values())
    if strategy == "gather":
        assert chosen["B"] == 5


def test_runs_are_bit_identical():
    made = three_factor(n_in=40, n=33)
    found = []
    for cut in (None, 5):
        executor = NativeExecutor(made, initial_values(made, 20), rows=20, seed=2)
        executor.set_rows(20, np.arange(20, dtype=np.uint64))
        executor.call("reset:h1")
        if cut:
            executor.call("train.1", 12, 0, cut)
        executor.call("train.1", 12, cut or 0)
        found.append({name: executor.read(name) for name in made.buffers})
    for name in made.buffers:
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)


def test_names_of_a_specification_never_become_code():
    evil = 'x; } int main(){system("true");} /*'
    buffers = [
        buffer(f"{evil}.v*/", Place.UNIT, evil),
        buffer("int.expf", Place.UNIT, evil),
        buffer("uint64.t", Place.UNIT, evil),
    ]
    made = program(
        "a */ b",
        {evil: 3},
        {},
        buffers,
        [
            Routine(
                "r\n*/",
                "update",
                once=(
                    Elementwise(
                        evil,
                        (
                            Store(f"{evil}.v*/", fn("exp", Load("int.expf"))),
                            Store("uint64.t", fn("add", Load("uint64.t"), 1)),
                        ),
                        label="*/ evil\n",
                    ),
                ),
            )
        ],
    )
    executor = NativeExecutor(made, {"uint64.t": np.ones((2, 3))}, rows=2, dtype="float64")
    executor.call("r\n*/")
    np.testing.assert_array_equal(executor.read(f"{evil}.v*/"), np.ones((2, 3)))
    np.testing.assert_array_equal(executor.read("uint64.t"), np.full((2, 3), 2.0))


def test_profile_counts_calls_and_work():
    made = three_factor()
    executor = NativeExecutor(made, initial_values(made), rows=ROWS, profile=True)
    executor.call("train.1", 3)
    found = {(o.kind, o.label): o for o in executor.profile()}
    learn = found["synapse_update", "W1"]
    assert learn.calls == 3
    assert learn.seconds > 0 and learn.bytes > 0 and learn.flops > 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_program_is_one_readable_file(dtype):
    text = generate(three_factor(), dtype).source
    assert "static NOINLINE void synapse_update_W1(struct net *net)" in text
    assert "void routine_train_1(" in text


def test_fast_math_stays_close():
    made = PROGRAMS["functions"]()
    initial = initial_values(made)
    exact, fast = (
        NativeExecutor(made, initial, rows=ROWS, fast_math=flag) for flag in (False, True)
    )
    for executor in (exact, fast):
        executor.call("all")
    for name in made.buffers:
        np.testing.assert_allclose(fast.read(name), exact.read(name), rtol=2e-5, atol=2e-5)
