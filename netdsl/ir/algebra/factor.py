"""Split a synaptic expression into sums of (synapse) x (presynaptic) x (postsynaptic) factors.

A batch sum of `c_ij * a_ri * b_rj` is a matrix product `c * (aT b)`, and a delivery of that form is
`(a c) b`; this is what makes rules and deliveries matrix products instead of loops over synapses
and samples. The factors keep the text's own arithmetic inside each class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from netdsl.diagnostics.span import Span
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, children, span_of

PRE, POST, SYNAPSE, ROW = "pre", "post", "synapse", "row"
Classify = Callable[[Expr], str | None]  # of a leaf: one of the above, None for constants, globals


class NotFactorable(Exception):
    """A term mixes presynaptic, postsynaptic and synaptic values inside one function."""

    def __init__(self, span: Span | None) -> None:
        super().__init__("the term does not factor into pre, post and synapse parts")
        self.span = span


@dataclass(frozen=True)
class Term:
    """`scalar * synapse * pre * post`; None stands for 1."""

    scalar: Expr | None = None
    synapse: Expr | None = None
    pre: Expr | None = None
    post: Expr | None = None


def classes(expr: Expr, classify: Classify) -> frozenset[str]:
    """Classes of values that an expression reads; per-sample scalars join pre or post."""
    parts = children(expr)
    if not parts:
        own = classify(expr)
        return frozenset() if own is None else frozenset((own,))
    found = frozenset[str]().union(*(classes(part, classify) for part in parts))
    if ROW in found and len(found) > 1 and (PRE in found or POST in found):
        return found - {ROW}
    return found


def factor(expr: Expr, classify: Classify) -> tuple[Term, ...]:
    """Terms whose sum is `expr`. Raises NotFactorable with the span of the mixed term."""
    return tuple(_merge_posts(_expand(expr, classify)))


def _expand(expr: Expr, classify: Classify) -> list[Term]:
    found = classes(expr, classify)
    if not found or (len(found) == 1 and not _scaled(expr, classify)):
        return [_single(expr, next(iter(found), None))]
    if isinstance(expr, Apply):
        rule = _EXPAND.get(expr.function)
        if rule is not None:
            return rule(expr, classify)
    raise NotFactorable(span_of(expr))


def _scaled(expr: Expr, classify: Classify) -> bool:
    """Is this a scalar times (or under) a factor, so that the factor may be a plain buffer?"""
    if not isinstance(expr, Apply) or expr.function not in ("mul", "div", "neg"):
        return False
    if expr.function == "neg":
        return True
    plain = [not classes(arg, classify) for arg in expr.args]
    return plain[1] or (plain[0] and expr.function == "mul")


def _single(expr: Expr, kind: str | None) -> Term:
    if kind is None:
        return Term(scalar=expr)
    if kind == SYNAPSE:
        return Term(synapse=expr)
    return Term(pre=expr) if kind == PRE else Term(post=expr)


def _add(expr: Apply, classify: Classify) -> list[Term]:
    return _expand(expr.args[0], classify) + _expand(expr.args[1], classify)


def _sub(expr: Apply, classify: Classify) -> list[Term]:
    return _expand(expr.args[0], classify) + [_negate(t) for t in _expand(expr.args[1], classify)]


def _neg(expr: Apply, classify: Classify) -> list[Term]:
    return [_negate(term) for term in _expand(expr.args[0], classify)]


def _negate(term: Term) -> Term:
    return replace(term, scalar=times(Const(-1.0), term.scalar))


def _mul(expr: Apply, classify: Classify) -> list[Term]:
    left, right = (_expand(arg, classify) for arg in expr.args)
    return [_product(a, b) for a in left for b in right]


def _product(a: Term, b: Term) -> Term:
    return Term(
        scalar=times(a.scalar, b.scalar),
        synapse=times(a.synapse, b.synapse),
        pre=times(a.pre, b.pre),
        post=times(a.post, b.post),
    )


def _div(expr: Apply, classify: Classify) -> list[Term]:
    divisors = _expand(expr.args[1], classify)
    if len(divisors) != 1:
        raise NotFactorable(span_of(expr))
    by = divisors[0]
    return [
        Term(
            scalar=_over(term.scalar, by.scalar),
            synapse=_over(term.synapse, by.synapse),
            pre=_over(term.pre, by.pre),
            post=_over(term.post, by.post),
        )
        for term in _expand(expr.args[0], classify)
    ]


def _select(expr: Apply, classify: Classify) -> list[Term]:
    condition = expr.args[0]
    kind = classes(condition, classify)
    if len(kind) > 1:
        raise NotFactorable(span_of(expr))
    gates = (
        Apply("select", (condition, Const(1.0), Const(0.0)), expr.span),
        Apply("select", (condition, Const(0.0), Const(1.0)), expr.span),
    )
    terms: list[Term] = []
    for gate, arm in zip(gates, expr.args[1:], strict=True):
        gated = _single(gate, next(iter(kind), None))
        terms += [_product(gated, term) for term in _expand(arm, classify)]
    return [term for term in terms if term.scalar != Const(0.0)]


_EXPAND: dict[str, Callable[[Apply, Classify], list[Term]]] = {
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "select": _select,
}


def times(a: Expr | None, b: Expr | None) -> Expr | None:
    """Product of optional factors."""
    if a is None or b is None:
        return b if a is None else a
    return simplify(Apply("mul", (a, b), span_of(a)))


def _over(a: Expr | None, b: Expr | None) -> Expr | None:
    if b is None:
        return a
    return simplify(Apply("div", (Const(1.0) if a is None else a, b), span_of(b)))


def _merge_posts(terms: list[Term]) -> list[Term]:
    """Add up terms that share their synaptic and presynaptic factors: one product for all."""
    groups: dict[tuple[Expr | None, Expr | None], list[Term]] = {}
    for term in terms:
        groups.setdefault((term.synapse, term.pre), []).append(term)
    merged: list[Term] = []
    for (synapse, pre), group in groups.items():
        if len(group) == 1 or any(term.post is None for term in group):
            merged += group
            continue
        total: Expr | None = None
        for term in group:
            part = times(term.scalar, term.post)
            assert part is not None
            total = part if total is None else simplify(Apply("add", (total, part)))
        merged.append(Term(synapse=synapse, pre=pre, post=total))
    return merged
