"""Every row of the table of functions: one value folded and computed, in every language."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from netdsl.backends.cupy import shim
from netdsl.backends.cupy.shim import ShimExecutor
from netdsl.backends.native import compiler
from netdsl.backends.native.executor import NativeExecutor
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.codegen.numpy.scalars import scalar
from netdsl.ir.algebra.derivative import derivative
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Apply, Const, Expr, Load, Local, Ref
from netdsl.ir.functions import FUNCTIONS, Function, fold
from netdsl.ir.network import Place
from netdsl.ir.program import Elementwise, Program, Routine, Store
from netdsl.runtime.primitives import named
from netdsl.sema.scopes.values import FoldError, make
from tests.interpreter import PRIMITIVES
from tests.programs.parts import buffer, fn, program

BACKENDS = {"numpy": NumpyExecutor, "native": NativeExecutor, "cuda": ShimExecutor}
# Units in the last place by which libraries differ from each other: vector functions of the GNU C
# library are good to 4, NumPy's likewise.
ULPS = 8
ROUGH = {"float32": {"tan": 64, "pow": 16}, "float64": {"tan": 64, "pow": 16}}


def points(dtype: str) -> np.ndarray:
    """Numbers of all magnitudes and signs, whole ones and what is not a number."""
    info = np.finfo(dtype)
    sizes = [info.smallest_subnormal, info.tiny, 1e-30, 1e-13, 1e-9, 1e-6, 1e-3, 0.1, 0.25, 1 / 3,
             0.5, 0.7, 0.9999, 1.0, 1.5, 2.0, 2.5, 3.0, 7.3, 12.0, 20.0, 50.0, 90.0, 600.0, 1e4,
             1e7, 1e30, float(info.max), math.inf]  # fmt: skip
    found = np.array([0.0, *sizes, -0.0, *(-size for size in sizes), math.nan])
    with np.errstate(all="ignore"):
        return found.astype(dtype)


def cases(row: Function, dtype: str) -> np.ndarray:
    """(arity, n): all points, or all pairs of them; of three arguments a sample."""
    one = points(dtype)
    if row.arity < 3:
        return np.stack([axis.ravel() for axis in np.meshgrid(*[one] * row.arity)])
    return np.random.default_rng(0).choice(one, (3, 4000))


def applied(name: str, args: list[Expr]) -> Expr:
    return fn(name, fn("gt", args[0], 0), *args[1:]) if name == "select" else fn(name, *args)


def table(dtype: str) -> tuple[Program, dict[str, np.ndarray]]:
    """A program that computes every function at its cases, and what is fed to it."""
    buffers, ops, sizes, fed = [], [], {}, {}
    for name, row in FUNCTIONS.items():
        values = cases(row, dtype)
        owner = f"of_{name}"
        sizes[owner] = values.shape[1]
        names = [f"{owner}.{letter}" for letter in "abc"[: row.arity]]
        fed.update(zip(names, values, strict=True))
        buffers += [buffer(each, Place.UNIT, owner) for each in (*names, f"{owner}.y")]
        store = Store(f"{owner}.y", applied(name, [Load(each) for each in names]))
        ops.append(Elementwise(owner, (store,)))
    return program("table", sizes, {}, buffers, [Routine("all", "update", once=tuple(ops))]), fed


def missing(backend: str) -> bool:
    if backend == "native":
        return not compiler.available()[0]
    return backend == "cuda" and shim.compiler() is None


def reference(name: str, values: np.ndarray) -> np.ndarray:
    """What NumPy says, in float64, rounded once."""
    wide = [np.asarray(value, np.float64) for value in values]
    if name == "select":
        wide[0] = wide[0] > 0
    with np.errstate(all="ignore"):
        return named(name)(*wide).astype(values.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_computed_alike(backend: str, dtype: str) -> None:
    if missing(backend):
        pytest.skip(f"no compiler for {backend}")
    made, fed = table(dtype)
    executor = BACKENDS[backend](made, {}, rows=1, dtype=dtype)
    executor.set_rows(1, np.zeros(1, np.uint64))
    for name, value in fed.items():
        executor.write(name, value[None].astype(np.float64))
    executor.call("all")
    wrong = []
    for name, row in FUNCTIONS.items():
        values = cases(row, dtype)
        expected = reference(name, values)
        found = executor.read(f"of_{name}.y")[0]
        wrong += differences(name, values, found.astype(dtype), expected, dtype)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scalars_of_generated_python(name: str) -> None:
    """Values that are one number are printed as expressions of Python floats."""
    values = cases(FUNCTIONS[name], "float64")
    locals_ = {letter: letter for letter in "abc"}
    expr = applied(name, [Local(letter) for letter in "abc"[: FUNCTIONS[name].arity]])
    code = compile(scalar(expr, str, locals_), name, "eval")
    found = []
    with np.errstate(all="ignore"):
        for column in values.T.tolist():
            space = dict(zip("abc", column, strict=False))
            found.append(float(eval(code, {"np": np, "special": special}, space)))
    expected = reference(name, values)
    if name == "pow":  # of numbers, but not of arrays, NumPy takes the root for a power of 0.5
        expected[(values[0] == -np.inf) & (values[1] == 0.5)] = np.nan
    wrong = differences(name, values, np.array(found), expected, "float64")
    assert not wrong, "\n".join(wrong)


def differences(
    name: str, values: np.ndarray, found: np.ndarray, expected: np.ndarray, dtype: str
) -> list[str]:
    """Where two results are not the same but for roundings."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        # `edge`: at the end of the numbers one rounding may lie on the other side.
        ulps = ROUGH[dtype].get(name, ULPS)
        near = np.abs(found - expected) <= ulps * info.eps * np.abs(expected) + info.tiny
        edge = np.isinf(expected) & (np.abs(found) > info.max / 2) & (found * expected > 0)
    same = near | (found == expected) | (np.isnan(found) & np.isnan(expected))
    bad = np.flatnonzero(~(same | edge))[:4]
    return [
        f"{name}({', '.join(map(repr, values[:, k].tolist()))}) is {found[k]}, not {expected[k]}"
        for k in bad
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_folded_as_computed(name: str) -> None:
    """Where a fold has a value it is NumPy's, and where it has none NumPy's is not finite."""
    values = cases(FUNCTIONS[name], "float64")
    wrong = []
    for column, expected in zip(values.T, reference(name, values), strict=True):
        args = [float(value) for value in column]
        args[0] = args[0] > 0 if name == "select" else args[0]
        try:
            folded = float(fold(name, *args))
        except (ArithmeticError, ValueError):
            if np.isfinite(expected):
                wrong.append(f"{name}{tuple(args)} has no value, and is {expected}")
            continue
        one = np.array([folded])
        wrong += differences(name, column[:, None], one, np.array([expected]), "float64")
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whole_numbers_fold_as_floats(name: str) -> None:
    row = FUNCTIONS[name]
    whole = np.array([-7, -3, -2, -1, 0, 1, 2, 3, 8])
    for args in np.stack(np.meshgrid(*[whole] * row.arity), -1).reshape(-1, row.arity).tolist():
        for kind in (int, bool) if set(args) <= {0, 1} else (int,):
            given = [kind(arg) for arg in args]
            try:
                exact = make(name, tuple(map(Const, given)))
            except FoldError:
                continue
            assert isinstance(exact, Const)
            as_floats = float(fold(name, *map(float, args)))
            assert float(exact.value) == pytest.approx(as_floats, rel=1e-14), given


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("select",)])
def test_interpreter_says_the_same(name: str) -> None:
    """The interpreter of the tests, which shares nothing with the table."""
    if name not in PRIMITIVES:
        assert not FUNCTIONS[name].user, "tests/interpreter.py lacks it"
        return
    values = np.random.default_rng(1).uniform(0.05, 0.95, (FUNCTIONS[name].arity, 50))
    with np.errstate(all="ignore"):
        found = np.asarray(PRIMITIVES[name](*values), float)
    np.testing.assert_allclose(found, reference(name, values), rtol=1e-12)


def kinks(name: str) -> tuple[float, ...]:
    """Distances to these decide whether a central difference means anything."""
    return (0.0, 1.0, -1.0) if name in ("asin", "acos", "logit", "log1p") else (0.0,)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivative_is_the_central_difference(name: str) -> None:
    row = FUNCTIONS[name]
    rng = np.random.default_rng(2)
    names = [Ref(f"p.{letter}") for letter in "abc"[: row.arity]]
    checked = 0
    for scale in (0.02, 0.3, 0.9, 3.0, 20.0):
        for _ in range(20):
            at = rng.uniform(-scale, scale, row.arity)
            if name == "clip":
                at[1], at[2] = min(at[1:]), max(at[1:])
            for index, variable in enumerate(names):
                checked += compare_slopes(name, names, at, index, variable)
    assert checked > 20


def compare_slopes(name: str, names: list[Ref], at: np.ndarray, index: int, variable: Ref) -> bool:
    """Whether there was something to compare."""
    step = 1e-5 * max(abs(at[index]), 0.01)
    sides = []
    for shift in (-step, 0.0, step):
        moved = at.copy()
        moved[index] += shift
        sides.append(value(applied(name, list(names)), names, moved))
    low, middle, high = sides
    if not np.isfinite(sides).all() or name == "select" and index == 0:
        return False
    left, right = (middle - low) / step, (high - middle) / step
    if abs(right - left) > 1e-2 * (1 + abs(left)):  # a kink or a jump between
        return False
    slope = value(derivative(applied(name, list(names)), variable.path), names, at)
    assert slope == pytest.approx((high - low) / (2 * step), rel=2e-5, abs=1e-7), (at, index)
    return True


def value(expr: Expr, names: list[Ref], at: np.ndarray) -> float:
    if isinstance(expr, Const):
        return float(expr.value)
    if isinstance(expr, Ref):
        return float(at[names.index(expr)])
    assert isinstance(expr, Apply)
    with np.errstate(all="ignore"):
        return float(named(expr.function)(*(value(arg, names, at) for arg in expr.args)))


@pytest.mark.parametrize("size", [1e-300, 1e-20, 1e-9, 1e-5, 0.01, 0.2, 0.26, 1.0, 30.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_exprel_is_precise_at_all_magnitudes(size: float, sign: int) -> None:
    from decimal import Decimal, getcontext

    getcontext().prec = 700
    x = Decimal(sign * size)
    exact = (x.exp() - 1) / x
    assert fold("exprel", sign * size) == pytest.approx(float(exact), rel=4e-16)
    slope = value(
        derivative(fn("exprel", Ref("p.a")), "p.a"), [Ref("p.a")], np.array([sign * size])
    )
    assert slope == pytest.approx(float((x.exp() - exact) / x), rel=1e-14)


def test_huge_powers_are_refused_at_once() -> None:
    for args in ((9, 9**9), (10, 400), (2, 1e9)):
        with pytest.raises(FoldError):
            make("pow", tuple(map(Const, args)))
    product: Expr = Const(10**200)
    with pytest.raises(FoldError):
        make("mul", (product, product))


def test_simplify_folds_as_sema_does() -> None:
    for a, b in ((1, 0.1), (-8, 1 / 3), (5, -3), (-0.5, 0.25), (1e9, 1e-3)):
        for name in ("floordiv", "mod"):
            folded = make(name, (Const(a), Const(b)))
            later = simplify(Apply(name, (Const(float(a)), Const(b))))
            assert isinstance(folded, Const) and isinstance(later, Const)
            assert folded.value == later.value == (a // b if name == "floordiv" else a % b)
