"""Expressions of readouts, metrics, schedules and conditions, evaluated on the host in float64.

Every value is a matrix so that shapes broadcast without cases: one number is (1, 1), one per
sample (R, 1), one per neuron (1, n), both (R, n); a projection's variable is (pre, post).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError, Span
from netdsl.ir.expr import Apply, Const, Custom, Expr, Index, Load, Local, Reduce, Ref, span_of
from netdsl.ir.network import Place
from netdsl.ir.program import PHASE, Key
from netdsl.ir.space import held
from netdsl.runtime.primitives import primitive

Matrix = NDArray[np.float64]
Read = Callable[[Key], Matrix]
Closure = Callable[[Read], Matrix]
PlaceOf = Callable[[Key], Place]


class HostError(DiagnosticError):
    """E0744: an expression that the host cannot evaluate; `span` is where it was written."""

    def __init__(self, message: str, span: Span | None) -> None:
        super().__init__(Diagnostic("E0744", message, span or NO_SPAN))
        self.message, self.span = message, span


@dataclass(frozen=True)
class Compiled:
    """A closure, the keys it reads, and the place of its value."""

    call: Closure
    reads: tuple[Key, ...]
    place: Place


def plain_key(read: Ref | Load) -> Key:
    """Which value a read means: `h1.r`, or `h1.r@free` for a phase's end."""
    if isinstance(read, Load):
        return Key(read.buffer)
    return Key(read.path) if read.phase is None else Key(read.path, PHASE + read.phase)


Accumulator = Callable[[Reduce], Key]
KeyOf = Callable[[Ref | Load], Key]


def plain_accumulator(expr: Reduce) -> Key:
    """What holds `count(out.s over run)` of a single variable."""
    body = expr.body
    if not isinstance(body, Ref):
        raise HostError("only a variable can be reduced over steps here", span_of(expr))
    return Key(body.path, f"{expr.kind}:{expr.over_phase}")


def as_matrix(value: Any, place: Place) -> Matrix:
    """An array as buffers hold it, in the matrix form of this module."""
    array = np.asarray(value, np.float64)
    if place is Place.GLOBAL:
        return array.reshape(1, 1)
    if place is Place.ROW:
        return array.reshape(-1, 1)
    if place is Place.NEURON:
        return array.reshape(1, -1)
    return array.reshape(array.shape[0], -1)


class HostCompiler:
    """Turns expressions over variables (`Ref`) or buffers (`Load`) into closures.

    `place_of` gives the place of a variable by path or key. Raises HostError where an expression
    has no meaning on the host.
    """

    def __init__(
        self,
        place_of: PlaceOf,
        accumulator: Accumulator = plain_accumulator,
        key_of: KeyOf = plain_key,
    ) -> None:
        self._place_of = place_of
        self._accumulator = accumulator
        self._key_of = key_of
        self._reads: dict[Key, None] = {}
        self._witness: list[Closure] = []
        self._matrix: Closure | None = None  # synapses that the expression reads

    def compile(self, expr: Expr) -> Compiled:
        """The closure of one expression; `reads` lists what it will ask for."""
        self._reads = {}
        self._witness = []
        self._matrix = None
        call, place = self._scope(expr)
        return Compiled(call, tuple(self._reads), place)

    def _scope(self, expr: Expr) -> tuple[Closure, Place]:
        """Compile where `Index()` counts along the neurons that the same expression reads."""
        outer = self._witness
        self._witness = []
        self._find_witness(expr)
        result = self._node(expr)
        self._witness = outer
        return result

    def _find_witness(self, expr: Expr) -> None:
        if isinstance(expr, Ref | Load):
            call, place = self._leaf(expr)
            if place in (Place.UNIT, Place.NEURON):
                self._witness.append(call)
        elif isinstance(expr, Apply):
            for arg in expr.args:
                self._find_witness(arg)
        elif isinstance(expr, Reduce) and expr.axis == "batch":
            self._find_witness(expr.body)
        elif isinstance(expr, Reduce) and expr.over_phase is not None:
            self._witness.append(self._phase(expr)[0])

    def _node(self, expr: Expr) -> tuple[Closure, Place]:
        if isinstance(expr, Const):
            value = np.full((1, 1), float(expr.value))
            return (lambda read: value), Place.GLOBAL
        if isinstance(expr, Ref | Load):
            return self._leaf(expr)
        if isinstance(expr, Index):
            return self._index(expr)
        if isinstance(expr, Apply):
            return self._apply(expr)
        if isinstance(expr, Reduce):
            return self._reduce(expr)
        if isinstance(expr, Custom):
            return self._node(expr.value)
        name = expr.name if isinstance(expr, Local) else type(expr).__name__
        raise HostError(f"`{name}` has no value outside a step", span_of(expr))

    def _leaf(self, expr: Ref | Load) -> tuple[Closure, Place]:
        key = self._key_of(expr)
        place = self._place_of(key)
        self._reads[key] = None
        if place is Place.SYNAPSE:
            self._matrix = lambda read: read(key)
        if isinstance(expr, Ref) and expr.side == "pre" and place is Place.NEURON:
            return (lambda read: read(key).T), Place.SYNAPSE
        return (lambda read: read(key)), place

    def _index(self, expr: Index) -> tuple[Closure, Place]:
        matrix = self._matrix
        if expr.side in ("pre", "post") and matrix is not None:
            return (lambda read: _along(matrix(read).shape, expr.side)), Place.SYNAPSE
        if not self._witness:
            raise HostError("a neuron's index is used where no population is read", span_of(expr))
        witness = self._witness[0]
        return (
            lambda read: np.arange(witness(read).shape[1], dtype=np.float64)[None, :]
        ), Place.NEURON

    def _apply(self, expr: Apply) -> tuple[Closure, Place]:
        expr = _stable(expr)
        parts = [self._node(arg) for arg in expr.args]
        function = primitive(expr) or _WHOLE.get(expr.function)
        if function is None:
            raise HostError(f"`{expr.function}` cannot be used here", span_of(expr))
        calls = [call for call, _ in parts]
        place = _result_place(expr.function, [place for _, place in parts])
        if len(calls) == 1:
            only = calls[0]
            return (lambda read: function(only(read))), place
        return (lambda read: function(*(call(read) for call in calls))), place

    def _phase(self, expr: Reduce) -> tuple[Closure, Place]:
        key = self._accumulator(expr)
        self._reads[key] = None
        return (lambda read: read(key)), self._place_of(key)

    def _reduce(self, expr: Reduce) -> tuple[Closure, Place]:
        if expr.over_phase is not None:
            return self._phase(expr)
        batch = expr.axis == "batch"
        body, place = self._node(expr.body) if batch else self._scope(expr.body)
        function = REDUCTIONS.get(expr.kind)
        if function is None:
            raise HostError(f"`{expr.kind}` is no reduction", span_of(expr))
        axis, result = _axis_of(expr.axis, place)
        if axis is None:
            return (lambda read: function(body(read).reshape(1, -1), 1)), result
        return (lambda read: function(body(read), axis)), result


def _along(shape: tuple[int, ...], side: str) -> Matrix:
    """Numbers of the neurons at one side of synapses, (pre, post)."""
    if side == "pre":
        return np.arange(shape[0], dtype=np.float64)[:, None]
    return np.arange(shape[1], dtype=np.float64)[None, :]


def _axis_of(axis: str, place: Place) -> tuple[int | None, Place]:
    """The matrix axis to reduce (None: all of it) and what remains."""
    if place is Place.SYNAPSE:
        return (0, Place.NEURON) if axis == "pre" else (None, Place.GLOBAL)
    if axis == "batch":
        return 0, Place.NEURON if place in (Place.UNIT, Place.NEURON) else Place.GLOBAL
    return 1, Place.ROW if place in (Place.UNIT, Place.ROW) else Place.GLOBAL


def _result_place(function: str, places: list[Place]) -> Place:
    if function in ("angle", "logdet", "random_sign"):
        return Place.GLOBAL
    if Place.SYNAPSE in places:
        return Place.SYNAPSE
    if function in ("argmax", "cross_entropy", "cross_entropy_of_logits", "topk"):
        return Place.ROW if places[0] in (Place.UNIT, Place.ROW) else Place.GLOBAL
    return held(places)


def _truth(value: Any) -> Matrix:
    return np.asarray(value, np.float64)


def _stable(expr: Apply) -> Apply:
    """Cross-entropy and logarithm of a softmax are computed from what the softmax is taken of."""
    name = _OF_SOFTMAX.get(expr.function)
    p = expr.args[0] if expr.args else None
    if name is None or not isinstance(p, Apply) or p.function != "softmax":
        return expr
    return Apply(name, (p.args[0], *expr.args[1:]), expr.span)


_OF_SOFTMAX = {"cross_entropy": "cross_entropy_of_logits", "log": "log_softmax"}


def _softmax(x: Matrix) -> Matrix:
    shifted = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _log_softmax(x: Matrix) -> Matrix:
    shifted = x - x.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _argmax(x: Matrix, axis: int = 1) -> Matrix:
    """The first index of the largest; NaN where any is NaN, which is no place to point to."""
    unknown = np.isnan(x).any(axis=axis, keepdims=True)
    return np.where(unknown, np.nan, np.argmax(x, axis=axis, keepdims=True))


def _cross_entropy(p: Matrix, target: Matrix) -> Matrix:
    """-sum(target * log p), infinite where p is 0 and its target is not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _entropy(np.log(p), target)


def _entropy(logs: Matrix, target: Matrix) -> Matrix:
    """-sum(target * logs); a target of one column is the class number."""
    if target.shape[1] == 1 and logs.shape[1] > 1:
        return -np.take_along_axis(logs, target.astype(np.int64), axis=1)
    terms = np.where((target == 0) & (logs == -np.inf), 0.0, target * logs)
    return np.asarray(-terms.sum(axis=1, keepdims=True))


def _angle(a: Matrix, b: Matrix) -> Matrix:
    """Degrees between two matrices read as vectors."""
    if a.shape != b.shape:
        raise HostError(f"angle of arrays of different shapes, {a.shape} and {b.shape}", None)
    size = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = float((a * b).sum() / size) if size else 0.0
    return np.full((1, 1), np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _topk(x: Matrix, label: Matrix, k: Matrix) -> Matrix:
    """1 where fewer than k entries beat the label's (earlier ones win ties); NaN from NaN."""
    index = label.astype(np.int64)
    own = np.take_along_axis(x, index, axis=1)
    ahead = (x > own) | ((x == own) & (np.arange(x.shape[1])[None, :] < index))
    unknown = np.isnan(x).any(axis=1, keepdims=True)
    return np.where(unknown, np.nan, ahead.sum(axis=1, keepdims=True) < k)


_WHOLE: dict[str, Callable[..., Matrix]] = {
    "argmax": _argmax,
    "softmax": _softmax,
    "cross_entropy": _cross_entropy,
    "log_softmax": _log_softmax,
    "cross_entropy_of_logits": lambda x, target: _entropy(_log_softmax(x), target),
    "topk": _topk,
    "angle": _angle,
    "transpose": lambda a: _truth(a.T),
    "logdet": lambda a: np.full((1, 1), np.linalg.slogdet(a)[1]),
}

REDUCTIONS: dict[str, Callable[[Matrix, int], Matrix]] = {
    "sum": lambda x, axis: _truth(x.sum(axis=axis, keepdims=True)),
    "mean": lambda x, axis: _truth(x.mean(axis=axis, keepdims=True)),
    "max": lambda x, axis: _truth(x.max(axis=axis, keepdims=True)),
    "min": lambda x, axis: _truth(x.min(axis=axis, keepdims=True)),
    "any": lambda x, axis: _truth((x != 0).any(axis=axis, keepdims=True)),
    "count": lambda x, axis: _truth((x != 0).sum(axis=axis, keepdims=True)),
    "argmax": _argmax,
}
