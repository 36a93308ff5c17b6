"""Symbolic derivatives against central differences, and the conventions at kinks."""

from __future__ import annotations

import pytest

from netdsl.ir.algebra.derivative import DerivativeError, derivative
from netdsl.ir.expr import Apply, Const, Expr, Reduce, Ref, apply, transform
from netdsl.runtime.primitives import primitive

X, Y = Ref("p.x"), Ref("p.y")


def value(expr: Expr, x: float) -> float:
    """Evaluate with y = 0.7."""

    def number(node: Expr) -> float:
        if isinstance(node, Const):
            return float(node.value)
        if isinstance(node, Ref):
            return x if node == X else 0.7
        assert isinstance(node, Apply)
        function = primitive(node)
        assert function is not None
        return float(function(*(number(arg) for arg in node.args)))

    return number(expr)


CASES = [
    apply("add", X, apply("mul", Y, X)),
    apply("sub", Y, apply("neg", X)),
    apply("div", Y, apply("add", X, Const(2))),
    apply("div", X, apply("add", X, Const(2))),
    apply("pow", X, Const(3)),
    apply("pow", X, Const(2)),
    apply("pow", X, Y),
    apply("pow", Const(2), X),
    apply("mod", apply("mul", Const(3), X), Const(2)),
    *(apply(name, X) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu")),
    apply("logit", apply("mul", Const(0.5), X)),
    apply("abs", apply("sub", X, Const(2))),
    apply("max", X, Y),
    apply("min", apply("mul", X, X), Const(9)),
    apply("clip", apply("mul", Const(2), X), Const(0), Const(5)),
    apply("clip", Const(3), X, apply("mul", X, Const(2))),
    apply("select", apply("gt", X, Const(0)), apply("mul", X, X), Const(0)),
    apply("sigmoid", apply("mul", apply("tanh", X), apply("exp", apply("neg", X)))),
]


@pytest.mark.parametrize("expr", CASES, ids=lambda expr: expr.function)
@pytest.mark.parametrize("x", [0.3, 1.1, 1.7])
def test_against_differences(expr: Expr, x: float) -> None:
    step = 1e-6
    slope = (value(expr, x + step) - value(expr, x - step)) / (2 * step)
    assert value(derivative(expr, "p.x"), x) == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    ("expr", "x"),
    [
        (apply("relu", X), 0.0),
        (apply("abs", X), 0.0),
        (apply("clip", X, Const(0), Const(1)), 0.0),
        (apply("clip", X, Const(0), Const(1)), 1.0),
        (apply("clip", X, Const(0), Const(1)), 1.5),
        (apply("gt", X, Const(0)), 0.5),
        (apply("floor", X), 0.5),
    ],
)
def test_flat_at_kinks(expr: Expr, x: float) -> None:
    assert value(derivative(expr, "p.x"), x) == 0


def test_other_times_are_constants() -> None:
    for time in ("prev", "arrival", "@free"):
        assert derivative(apply("mul", Ref("p.x", time=time), Y), "p.x") == Const(0)
    assert derivative(Ref("p.x", time="settled"), "p.x") == Const(1)


def test_results_stay_short() -> None:
    assert derivative(apply("pow", X, Const(2)), "p.x") == apply("mul", Const(2), X)
    assert derivative(apply("mul", Const(3), X), "p.x") == Const(3)
    assert derivative(Y, "p.x") == Const(0)


def test_reductions_have_no_derivative_along_one_unit() -> None:
    with pytest.raises(DerivativeError):
        derivative(Reduce("sum", "population", X), "p.x")
    assert derivative(Reduce("sum", "population", Y), "p.x") == Const(0)


def test_every_function_has_a_rule() -> None:
    from netdsl.ir.functions import FUNCTIONS as TABLE

    for function in TABLE.values():
        expr = apply(function.name, *[X] * function.arity)
        assert transform(derivative(expr, "p.x"), lambda node: None) is not None
