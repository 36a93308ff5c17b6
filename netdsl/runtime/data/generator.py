"""Fields that are drawn or computed for a sample, from draws of its own, whatever its batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.numpy import support
from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError
from netdsl.ir.distributions import faults
from netdsl.ir.expr import Expr, Index, Reduce, Ref, transform
from netdsl.ir.network import Draw, Place
from netdsl.ir.protocol import Data
from netdsl.ir.task import PERMUTATION, TaskField
from netdsl.runtime.errors import DataError
from netdsl.runtime.host import HostCompiler, Matrix
from netdsl.streams.draws import PhiloxStream, row_key

Array = NDArray[Any]
Keys = NDArray[np.uint64]

_INDEX = "index"
_DRAWS: dict[str, Callable[..., None]] = {
    "uniform": support.draw_uniform,
    "normal": support.draw_normal,
    "bernoulli": support.draw_bernoulli,
    "integer": support.draw_integer,
    "poisson": support.draw_poisson,
    "exponential": support.draw_exponential,
    "lognormal": support.draw_lognormal,
    "gamma": support.draw_gamma,
}


class Generator:
    """Makes the fields that a declaration draws or computes for each sample.

    A draw is keyed by the seed, the path of its declaration (`cues.pattern`) and its sample; a
    permutation, which a batch shares, by the batch.
    """

    def __init__(self, data: Data, seed: int) -> None:
        self.data, self._fields = data, data.fields
        self._places = {f"sample.{f.name}": _place(f) for f in self._fields} | {
            _INDEX: Place.NEURON
        }
        self._streams = {
            f.name: PhiloxStream(seed, f.value.stream)
            for f in self._fields
            if isinstance(f.value, Draw)
        }

    def fields(self, keys: Keys, batch: Keys) -> dict[str, Array]:
        """The fields of samples with these keys, (R,): (R,) or (R, size) by name. `batch` (1,) is
        the key of their batch. Raises DataError E0782, DiagnosticError E0777."""
        made: dict[str, Matrix] = {}
        for field in self._fields:
            shape = (len(keys), 1 if field.size is None else field.size)
            made[f"sample.{field.name}"] = self._made(field, made, keys, batch, shape)
        return {
            field.name: made[f"sample.{field.name}"][:, 0]
            if field.size is None
            else made[f"sample.{field.name}"]
            for field in self._fields
        }

    def stored(self, rows: int) -> dict[str, Array]:
        """The fields of `rows` samples that are drawn once and kept: those of a first epoch, in
        which all are one batch. Raises as `fields` does."""
        return self.fields(row_key(0, 0, np.arange(rows)), np.atleast_1d(row_key(0, 0, 0)))

    def _made(
        self,
        field: TaskField,
        made: dict[str, Matrix],
        keys: Keys,
        batch: Keys,
        shape: tuple[int, int],
    ) -> Matrix:
        if not isinstance(field.value, Draw):
            return np.array(np.broadcast_to(self._value(field.value, made, shape[1]), shape))
        args = [self._value(arg, made, shape[1]) for arg in field.value.args]
        stream = self._streams[field.name]
        if field.value.distribution == PERMUTATION:
            return self._permuted(stream, batch, int(args[0].item()), shape)
        _require_in_range(field, args)
        if field.once:
            keys, args = np.zeros(1, np.uint64), [arg[:1] for arg in args]
        out = np.empty((len(keys), shape[1]))
        _DRAWS[field.value.distribution](stream, keys, 0, *args, out=out)
        return np.array(np.broadcast_to(out, shape))

    def _permuted(
        self, stream: PhiloxStream, batch: Keys, count: int, shape: tuple[int, int]
    ) -> Matrix:
        if shape[0] > count:
            raise DataError(
                "E0782",
                f"a batch of {shape[0]} samples has no {shape[0]} different numbers below {count}",
                f"take batches of at most {count}",
            )
        order = stream.permutation(count, batch)[0, : shape[0]]
        return order.astype(np.float64)[:, None]

    def _value(self, expr: Expr, made: dict[str, Matrix], width: int) -> Matrix:
        counted = transform(expr, _numbered)
        made = made | {_INDEX: np.arange(width, dtype=np.float64)[None, :]}
        compiled = HostCompiler(lambda key: self._places[key.of]).compile(counted)
        with np.errstate(all="ignore"):
            return compiled.call(lambda key: made[key.of])


def _numbered(node: Expr) -> Expr | None:
    """`index` counts in the field that is made; in a reduction, along what is reduced."""
    if isinstance(node, Index):
        return Ref(_INDEX)
    return node if isinstance(node, Reduce) else None


def _place(field: TaskField) -> Place:
    return Place.ROW if field.size is None else Place.UNIT


def _require_in_range(field: TaskField, args: list[Matrix]) -> None:
    assert isinstance(field.value, Draw)
    for fault, bad in faults(field.value.distribution, dict(enumerate(args))):
        if np.any(bad):
            span = field.value.span or field.span or NO_SPAN
            message = f"`{field.name}`: {fault.message}"
            raise DiagnosticError(Diagnostic("E0777", message, span, help=fault.help))
