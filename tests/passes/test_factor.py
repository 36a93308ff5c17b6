"""Factoring synaptic expressions into pre, post and synapse parts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.ir.algebra.factor import NotFactorable, Term, factor
from netdsl.ir.expr import Apply, Const, Expr, Ref
from tests.passes.values import value

LEAVES = {"a.x": "pre", "b.y": "post", "b.z": "post", "W.w": "synapse", "r": "row", "eta": None}


def classify(node: Expr) -> str | None:
    return LEAVES[node.path] if isinstance(node, Ref) else None


def total(terms: tuple[Term, ...], at: dict[str, float]) -> float:
    parts = (
        [value(f, at) for f in (t.scalar, t.synapse, t.pre, t.post) if f is not None] for t in terms
    )
    return sum(math.prod(part) for part in parts)


leaf = st.sampled_from([*(Ref(name) for name in LEAVES), Const(2.0), Const(-0.5)])


def grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(st.sampled_from(["add", "sub", "mul"]), pair).map(lambda t: Apply(*t)),
        inner.map(lambda e: Apply("neg", (e,))),
    )


@given(st.recursive(leaf, grow, max_leaves=12), st.data())
def test_terms_add_up_to_the_expression(expr: Expr, data: st.DataObject) -> None:
    at = {name: data.draw(st.floats(-2, 2)) for name in LEAVES}
    assert total(factor(expr, classify), at) == pytest.approx(value(expr, at), abs=1e-6)


def test_terms_with_one_presynaptic_factor_become_one_product() -> None:
    x, y, z = Ref("a.x"), Ref("b.y"), Ref("b.z")
    terms = factor(Apply("sub", (Apply("mul", (y, x)), Apply("mul", (z, x)))), classify)
    assert len(terms) == 1
    assert terms[0].pre == x


def test_a_function_of_both_ends_does_not_factor() -> None:
    with pytest.raises(NotFactorable):
        factor(Apply("tanh", (Apply("mul", (Ref("a.x"), Ref("b.y"))),)), classify)


def test_division_by_one_side_stays_on_that_side() -> None:
    (term,) = factor(Apply("div", (Apply("mul", (Ref("a.x"), Ref("b.y"))), Ref("eta"))), classify)
    assert term.pre == Ref("a.x")
    assert term.scalar is not None
