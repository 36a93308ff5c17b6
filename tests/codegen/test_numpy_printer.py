"""Text that the NumPy printer makes, and expressions that simplify."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.codegen.numpy.module import ModuleWriter
from netdsl.codegen.numpy.scalars import bare, scalar
from netdsl.diagnostics.span import Span
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Const, Expr, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import Bind, Elementwise, Program, Routine, Store
from tests.amounts import up_to
from tests.interpreter import Interpreter
from tests.programs import KEYS, buffer, fn, initial_values, program
from tests.random_programs import expressions


def one(*statements: Bind | Store, sources: dict[str, str] | None = None) -> Program:
    """A program with one Elementwise over u0, u1, u2 and GLOBAL g."""
    buffers = [*(buffer(f"u{k}", Place.UNIT, "p") for k in range(3)), buffer("g", Place.GLOBAL)]
    made = program(
        "one",
        {"p": 3},
        {},
        buffers,
        [Routine("go", "update", once=(Elementwise("p", tuple(statements)),))],
    )
    return Program(
        made.name, made.sizes, made.shapes, made.buffers, made.routines, sources=sources or {}
    )


def body(made: Program) -> list[str]:
    """Statements inside the loop over tiles."""
    text = "\n".join(ModuleWriter(made).module().functions)
    return [line.strip() for line in text.splitlines() if line.startswith(" " * 8)]


def test_subexpressions_are_shared_and_scratch_is_reused() -> None:
    square = fn("mul", Load("u0"), Load("u1"))
    lines = body(one(Store("u2", fn("add", square, fn("exp", square)))))
    assert lines == [
        "np.multiply(u0, u1, out=t0)",
        "np.exp(t0, out=t1)",
        "np.add(t0, t1, out=u2)",
    ]


def test_a_store_makes_shared_values_stale() -> None:
    double = fn("mul", Load("u0"), 2)
    made = one(Store("u1", double), Store("u0", fn("add", Load("u0"), 1)), Store("u2", double))
    assert body(made)[-1] == "np.multiply(u0, 2.0, out=u2)"


def test_bound_alias_survives_a_store() -> None:
    made = one(Bind("old", Load("u0")), Store("u0", Load("u1")), Store("u1", Local("old")))
    assert body(made) == ["np.copyto(t0, u0)", "np.copyto(u0, u1)", "np.copyto(u1, t0)"]


def test_reset_is_one_masked_copy() -> None:
    made = one(Store("u0", fn("select", fn("gt", Load("u1"), 0), 0, Load("u0"))))
    assert body(made) == ["np.greater(u1, 0.0, out=mask0)", "np.copyto(u0, 0.0, where=mask0)"]


def test_scalars_are_floats_before_the_loop() -> None:
    made = one(Store("u0", fn("mul", fn("div", 1, Load("g")), Load("u0"))))
    text = ModuleWriter(made).module().text
    assert "k = float(np.divide(1.0, float(g)))" in text
    assert body(made) == ["np.multiply(k, u0, out=u0)"]


def test_spec_lines_are_comments_and_never_code() -> None:
    hostile = 'v := 0\r"""; import os\n'
    span = Span("a.net", 1, 1, 1, 5)
    made = one(Store("u0", Const(0.0), span), sources={"a.net": hostile})
    text = ModuleWriter(made).module().text
    assert "# a.net:1" in text
    assert not any(line.strip().startswith("import os") for line in text.splitlines())
    NumpyExecutor(made, {}, rows=1)


@pytest.mark.parametrize("value,expected", [(0.0, -np.inf), (1.0, np.inf), (0.5, 0.0)])
def test_logit_of_certainty_is_infinite(value: float, expected: float) -> None:
    made = one(Store("u1", fn("logit", Load("u0"))), Store("u2", fn("sigmoid", Load("u1"))))
    executor = NumpyExecutor(made, {"u0": np.full((2, 3), value)}, rows=2)
    with np.errstate(all="raise"):
        executor.call("go")
    assert (executor.read("u1") == expected).all()
    assert (executor.read("u2") == value).all()


def test_simplify_folds_and_drops() -> None:
    x = Load("u0")
    assert simplify(fn("sub", 1, Const(0.75))) == Const(0.25)
    assert simplify(fn("mul", 1, fn("add", x, 0))) == x
    assert simplify(fn("add", x, fn("neg", Load("u1")))) == fn("sub", x, Load("u1"))
    assert simplify(fn("select", fn("gt", 2, Const(1)), x, 0)) == x
    assert simplify(fn("div", 1, Const(0.0))) == fn("div", 1, Const(0.0))
    assert simplify(fn("mul", 0, x)) == fn("mul", 0, x)


@settings(max_examples=up_to(150), deadline=None)
@given(expressions(["g"], []))
def test_scalar_form_agrees(expr: Expr) -> None:
    made = one()
    interpreter = Interpreter(made, initial_values(made, 1), 1, KEYS[:1])
    expected = interpreter.value(expr, {})
    space = {"np": np, "g": interpreter.state["g"]}
    for tree in (expr, simplify(expr)):
        text = bare(scalar(tree, lambda name: name, {}))
        assert np.allclose(eval(text, space), expected, rtol=1e-13, atol=1e-13)


def test_a_bound_value_is_computed_in_the_buffer_it_goes_to() -> None:
    made = one(
        Bind("x", fn("add", Load("u0"), 1)),
        Bind("y", fn("select", fn("gt", Load("u1"), 0), 0, Local("x"))),
        Store("u2", Local("y")),
    )
    assert body(made) == [
        "np.add(u0, 1.0, out=u2)",
        "np.greater(u1, 0.0, out=mask0)",
        "np.copyto(u2, 0.0, where=mask0)",
    ]


def test_a_name_bound_again_is_read_before_it_changes() -> None:
    again = fn("add", Local("x"), Load("u0"))
    made = one(
        Bind("x", Load("g")),
        Bind("x", fn("neg", Local("x"))),
        Bind("x", again),
        Store("u1", again),
    )
    assert body(made) == ["x = np.add(k_2, u0, out=t0)", "np.add(x, u0, out=u1)"]
