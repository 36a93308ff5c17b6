"""Values at build: what every buffer holds before the first routine, computed in float64.

They are computed on the host, from the same counter-based streams, so that all backends and number
types start from the same numbers. An element of a draw is its flat row-major index.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netdsl.codegen.places import shape_of
from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Ref
from netdsl.ir.network import Draw, Place
from netdsl.ir.program import Buffer, Program
from netdsl.runtime import connectivity
from netdsl.runtime.host import FUNCTIONS, HostError
from netdsl.runtime.random import PhiloxStream

Array = NDArray[np.float64]


def initial_values(program: Program, seed: int) -> dict[str, Array]:
    """Build-time values by buffer name, for the buffers that all samples share.

    Shapes: () global, (n,) neuron, (m, n) synapse. Raises HostError where an initial expression
    reads something that is not known at build.
    """
    return _Initial(program, seed).all()


class _Initial:
    def __init__(self, program: Program, seed: int) -> None:
        self._program, self._seed = program, seed
        self._done: dict[str, Array] = {}
        self._open: set[str] = set()

    def all(self) -> dict[str, Array]:
        shared = (Place.GLOBAL, Place.NEURON, Place.SYNAPSE)
        for name, buffer in self._program.buffers.items():
            if buffer.place in shared:
                self._value(name)
        return self._done

    def _value(self, name: str) -> Array:
        if name in self._done:
            return self._done[name]
        buffer = self._program.buffers.get(name)
        if buffer is None:
            raise HostError(f"the initial value of `{name}` is not known", None)
        if name in self._open:
            raise HostError(f"the initial value of `{name}` depends on itself", buffer.span)
        self._open.add(name)
        shape = shape_of(name, self._program, 0)
        self._done[name] = self._make(buffer, shape)
        if buffer.role == "weight" and f"{buffer.owner}.mask" in self._program.buffers:
            self._done[name] = self._done[name] * self._value(f"{buffer.owner}.mask")
        self._open.discard(name)
        return self._done[name]

    def _make(self, buffer: Buffer, shape: tuple[int, ...]) -> Array:
        if buffer.init is None:
            return np.zeros(shape)
        if isinstance(buffer.init, Draw):
            value = self._draw(buffer.init, shape)
        else:
            value = self._expr(buffer.init, shape)
        return np.array(np.broadcast_to(value, shape), np.float64)

    def _draw(self, draw: Draw, shape: tuple[int, ...]) -> Array:
        args = [self._expr(arg, shape) for arg in draw.args]
        stream = PhiloxStream(self._seed, draw.stream)
        if draw.distribution.startswith(connectivity.PREFIX):
            kind = draw.distribution.removeprefix(connectivity.PREFIX)
            return connectivity.mask(kind, (shape[0], shape[1]), args, stream)
        flat = shape or (1,)
        value = _DISTRIBUTIONS[draw.distribution](stream, flat, args)
        value = value.reshape(shape)
        return np.asarray(value @ value.T) if draw.gram else value

    def _expr(self, expr: Expr, shape: tuple[int, ...]) -> Array:
        if isinstance(expr, Const):
            return np.asarray(float(expr.value))
        if isinstance(expr, Load | Ref):
            side = expr.side if isinstance(expr, Ref) else "own"
            value = self._value(expr.path if isinstance(expr, Ref) else expr.buffer)
            return (
                value[:, None] if side == "pre" and value.ndim == 1 and len(shape) == 2 else value
            )
        if isinstance(expr, Index):
            return _index(expr, shape)
        if isinstance(expr, Apply) and expr.function in FUNCTIONS:
            parts = [self._expr(arg, shape) for arg in expr.args]
            return np.asarray(FUNCTIONS[expr.function](*parts))
        raise HostError("an initial value reads something that is not known at build", None)


def _index(expr: Index, shape: tuple[int, ...]) -> Array:
    if len(shape) == 2 and expr.side == "pre":
        return np.arange(shape[0], dtype=np.float64)[:, None]
    return np.arange(shape[-1] if shape else 1, dtype=np.float64)


def _uniform(stream: PhiloxStream, shape: tuple[int, ...], args: list[Array]) -> Array:
    low, high = args
    return np.asarray(low + (high - low) * stream.array(shape))


def _normal(stream: PhiloxStream, shape: tuple[int, ...], args: list[Array]) -> Array:
    mean, std = args
    return np.asarray(mean + std * stream.array(shape, "normal"))


def _bernoulli(stream: PhiloxStream, shape: tuple[int, ...], args: list[Array]) -> Array:
    return (stream.array(shape) < args[0]).astype(np.float64)


def _integer(stream: PhiloxStream, shape: tuple[int, ...], args: list[Array]) -> Array:
    low, high = (int(arg) for arg in args)
    drawn = stream.integers(high - low + 1, int(np.prod(shape)))
    return (low + drawn).astype(np.float64).reshape(shape)


_DISTRIBUTIONS = {
    "uniform": _uniform,
    "normal": _normal,
    "bernoulli": _bernoulli,
    "integer": _integer,
}
