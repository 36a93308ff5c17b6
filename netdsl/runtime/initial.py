"""Values at build: what every buffer holds before the first routine, computed in float64.

They are computed on the host, from the same counter-based streams, so that all backends and number
types start from the same numbers. An element of a draw is its flat row-major index.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError, Span
from netdsl.diagnostics.waiting import slow
from netdsl.ir.distributions import faults
from netdsl.ir.ensemble import ALONE, Member
from netdsl.ir.expr import (
    Apply,
    Const,
    Expr,
    Index,
    Load,
    Local,
    Reduce,
    Ref,
    loads,
    transform,
    walk,
)
from netdsl.ir.network import Draw, Place
from netdsl.ir.places import shape_of
from netdsl.ir.program import Buffer, DrawStore, Elementwise, Part, Program
from netdsl.ir.roles import of_kind
from netdsl.ir.space import per_sample
from netdsl.runtime import arrays, making
from netdsl.runtime.host import HostError
from netdsl.runtime.primitives import primitive
from netdsl.streams import connectivity
from netdsl.streams.connectivity import Connections, connections_of
from netdsl.streams.counts import poisson_counts
from netdsl.streams.draws import PhiloxStream, build_permutation
from netdsl.streams.waits import exponentials, gammas, lognormals

Array = NDArray[np.float64]


def initial_values(program: Program, seed: int, member: Member = ALONE) -> dict[str, Array]:
    """Build-time values by buffer name, for the buffers that all samples share, of one network of
    an ensemble or of the only one.

    Shapes: () global, (n,) neuron, (m, n) synapse, or (edges,) where only existing synapses are
    stored. Raises HostError where an initial expression
    reads something that is not known at build, and DiagnosticError E0777 where a draw, now or at a
    step, has arguments out of range that are known at build.
    """
    initial = _Initial(program, seed, member)
    values = initial.all()
    initial.check_steps()
    return values


class _Initial:
    def __init__(self, program: Program, seed: int, member: Member) -> None:
        self._program, self._seed, self._member = program, seed, member
        self._connections = connections_of(program, seed)
        self._done: dict[str, Array] = {}
        self._open: set[str] = set()

    def all(self) -> dict[str, Array]:
        for name, buffer in self._program.buffers.items():
            if not per_sample(buffer.place):
                self._value(name)
        return self._done

    def check_steps(self) -> None:
        """Draws of routines whose arguments read only parameters."""
        for routine in self._program.routines.values():
            for op in of_kind(Elementwise, routine.ops):
                self._check_cells(op)

    def _check_cells(self, op: Elementwise) -> None:
        bound: dict[str, Expr] = {}

        def visit(node: Expr) -> Expr | None:
            return bound.get(node.name) if isinstance(node, Local) else None

        where = _Where((self._program.sizes.get(op.population, 1),))
        for statement in (*op.scalars, *op.statements):
            if statement.binds:
                bound[statement.binds] = transform(statement.values[0], visit)
            elif isinstance(statement, DrawStore):
                args = [transform(arg, visit) for arg in statement.args]
                known = {
                    k: self._expr(arg, where) for k, arg in enumerate(args) if self._fixed(arg)
                }
                _in_range(statement.distribution, known, statement.span)

    def _fixed(self, expr: Expr) -> bool:
        """Does an expression read only literals and parameters?"""
        if any(isinstance(node, Local | Reduce) for node in walk(expr)):
            return False
        return all(self._program.buffers[name].role == "parameter" for name in loads(expr))

    def _value(self, name: str) -> Array:
        if name in self._done:
            return self._done[name]
        buffer = self._program.buffers.get(name)
        if buffer is None:
            raise HostError(f"the initial value of `{name}` is not known", None)
        if name in self._open:
            raise HostError(f"the initial value of `{name}` depends on itself", buffer.span)
        self._open.add(name)
        edges = self._edges_of(name)
        if edges is None:
            self._done[name] = self._make(buffer, shape_of(name, self._program, 0))
        else:
            self._done[name] = self._at_edges(buffer, edges)
        mask = self._program.find(f"{buffer.owner}.mask") if buffer.role == "weight" else None
        if mask is not None:
            self._done[name] = self._done[name] * self._value(mask)
        self._open.discard(name)
        return self._done[name]

    def _edges_of(self, name: str) -> Connections | None:
        buffer = self._program.buffers.get(name)
        if buffer is None or buffer.place is not Place.SYNAPSE:
            return None
        return self._connections.get(buffer.owner)

    def _at_edges(self, buffer: Buffer, edges: Connections) -> Array:
        """(edges,): what the matrix would hold there, without making the matrix."""
        init = buffer.init
        if init is None:
            return np.zeros(edges.count)
        where = _Where(edges.shape, self._ends(buffer), edges, self._member.mixed(buffer.place))
        if not isinstance(init, Draw):
            value = self._expr(init, where)
            return np.array(np.broadcast_to(value, (edges.count,)), np.float64)
        if init.gram or init.made or init.distribution == "array":
            return edges.values(self._make(buffer, edges.shape))
        args = [self._expr(arg, where) for arg in init.args]
        _in_range(init.distribution, dict(enumerate(args)), init.span)
        stream = PhiloxStream(self._seed, init.stream, where.mixed)
        return DRAWN_AT[init.distribution](stream, edges.flat, args)

    def _whole(self, name: str) -> Array:
        """A value as expressions read it: synapses as a matrix."""
        value = self._value(name)
        edges = self._edges_of(name)
        return value if edges is None else edges.matrix(value)

    def _make(self, buffer: Buffer, shape: tuple[int, ...]) -> Array:
        if buffer.init is None:
            return np.zeros(shape)
        where = _Where(shape, self._ends(buffer), None, self._member.mixed(buffer.place))
        if isinstance(buffer.init, Draw):
            value = self._draw(buffer.init, where)
        else:
            value = self._expr(buffer.init, where)
        return np.array(np.broadcast_to(value, shape), np.float64)

    def _ends(self, buffer: Buffer) -> tuple[Part, Part]:
        return self._program.slices.get(buffer.owner, (None, None))

    def _draw(self, draw: Draw, where: _Where) -> Array:
        shape = where.shape
        if draw.distribution == connectivity.GIVEN:
            mask = arrays.taken(draw, self._program.given, shape)
            return connectivity.taken(draw, (shape[0], shape[1]), mask).matrix()
        if draw.distribution == "array":
            return arrays.taken(draw, self._program.given, shape)
        if draw.distribution.startswith(connectivity.PREFIX):
            found = connectivity.drawn(draw, (shape[0], shape[1]), self._seed)
            return found.matrix()
        if draw.made:
            return self._made(draw, where)
        args = [self._expr(arg, where) for arg in draw.args]
        _in_range(draw.distribution, dict(enumerate(args)), draw.span)
        stream = PhiloxStream(self._seed, draw.stream, where.mixed)
        flat = shape or (1,)
        if draw.distribution == "shuffle":
            return _shuffled(self._seed, draw, args, where.mixed)
        value = _DISTRIBUTIONS[draw.distribution](stream, flat, args)
        value = value.reshape(shape)
        return np.asarray(value @ value.T) if draw.gram else value

    def _made(self, draw: Draw, where: _Where) -> Array:
        """A matrix of start values, step by step."""
        chosen = PhiloxStream(self._seed, f"{draw.stream}.columns", where.mixed)
        where = replace(where, named={}, columns=chosen)
        square = replace(where, shape=(where.shape[0], where.shape[0]))
        with slow("making start values"), np.errstate(all="ignore"):
            for step in draw.made:
                if isinstance(step.value, Draw):
                    value = self._draw(step.value, square if step.square else where)
                else:
                    value = self._expr(step.value, where)
                where.named[step.name] = value
        return making.result(draw, where.named["w"], where.shape)

    def _expr(self, expr: Expr, where: _Where) -> Array:
        """A value that broadcasts to what `where` says."""
        if isinstance(expr, Const):
            return np.asarray(float(expr.value))
        if isinstance(expr, Load | Ref):
            side = expr.side if isinstance(expr, Ref) else "own"
            name = self._program.find(expr.path) or "" if isinstance(expr, Ref) else expr.buffer
            if where.edges is not None and self._edges_of(name) is where.edges:
                return self._value(name)
            return where.value(self._whole(name), side)
        if isinstance(expr, Index):
            return where.index(expr.side)
        if isinstance(expr, Local) and expr.name in where.named:
            return where.named[expr.name]
        if isinstance(expr, Reduce) and where.columns is not None:
            return making.reduced(expr.kind, expr.axis, self._expr(expr.body, where))
        if isinstance(expr, Apply) and expr.function in making.WHOLE and where.columns is not None:
            value = self._expr(expr.args[0], where)
            return making.WHOLE[expr.function](value, where.shape[1], where.columns)
        function = primitive(expr) if isinstance(expr, Apply) else None
        if isinstance(expr, Apply) and function is not None:
            return function(*(self._expr(arg, where) for arg in expr.args))
        raise HostError("an initial value reads something that is not known at build", None)


def _in_range(distribution: str, known: Mapping[int, Array], span: Span | None) -> None:
    """Raise DiagnosticError E0777 where arguments that are known are out of range."""
    for fault, bad in faults(distribution, known):
        count, size = int(np.count_nonzero(bad)), int(np.size(bad))
        if count:
            where = f", for {count} of {size} elements" if size > 1 else ""
            raise DiagnosticError(
                Diagnostic("E0777", fault.message + where, span or NO_SPAN, (), fault.help)
            )


@dataclass(frozen=True)
class _Where:
    """The elements that a value is wanted for: all of `shape`, or only the existing synapses.

    `ends`: the slices of the populations that a projection leads from and to. `mixed`: what the
    member of an ensemble mixes into draws. `named`: matrices of a start that is made in steps;
    `columns`: draws those that it takes.
    """

    shape: tuple[int, ...]
    ends: tuple[Part, Part] = (None, None)
    edges: Connections | None = None
    mixed: int = 0
    named: dict[str, Array] = field(default_factory=dict)
    columns: PhiloxStream | None = None

    def value(self, whole: Array, side: str) -> Array:
        """A variable that is read here."""
        if whole.ndim == 2 and self.edges is not None:
            return self.edges.values(whole)
        if whole.ndim != 1 or len(self.shape) != 2:
            return whole
        part = self.ends[side != "pre"]
        return self._along(whole if part is None else whole[slice(*part)], side)

    def index(self, side: str) -> Array:
        """Numbers of the neurons at one side."""
        if len(self.shape) != 2:
            return np.arange(math.prod(self.shape), dtype=np.float64)
        return self._along(np.arange(self.shape[side != "pre"], dtype=np.float64), side)

    def _along(self, neurons: Array, side: str) -> Array:
        if self.edges is not None:
            return np.asarray(neurons[self.edges.pre if side == "pre" else self.edges.post])
        return neurons[:, None] if side == "pre" else neurons


def _uniform(unit: Array, args: list[Array]) -> Array:
    low, high = args
    return np.asarray(low + (high - low) * unit)


def _normal(drawn: Array, args: list[Array]) -> Array:
    mean, std = args
    return np.asarray(mean + std * drawn)


def _bernoulli(unit: Array, args: list[Array]) -> Array:
    return (unit < args[0]).astype(np.float64)


def _count(args: list[Array]) -> int:
    low, high = (int(arg) for arg in args)
    return high - low + 1


def _integer(drawn: NDArray[np.int64], args: list[Array]) -> Array:
    return (int(args[0]) + drawn).astype(np.float64)


def _shuffled(seed: int, draw: Draw, args: list[Array], member: int) -> Array:
    """As many 0s, 1s, 2s … as the arguments say, in an order drawn from the stream."""
    codes = np.repeat(np.arange(len(args), dtype=np.float64), [int(n) for n in args])
    return codes[build_permutation(seed, draw.stream, len(codes), member)]


def _poisson(unit: Array, args: list[Array]) -> Array:
    return poisson_counts(unit, args[0])


_Whole = Callable[[PhiloxStream, tuple[int, ...], list[Array]], Array]
_DISTRIBUTIONS: dict[str, _Whole] = {
    "uniform": lambda stream, shape, args: _uniform(stream.array(shape), args),
    "normal": lambda stream, shape, args: _normal(stream.array(shape, "normal"), args),
    "bernoulli": lambda stream, shape, args: _bernoulli(stream.array(shape), args),
    "poisson": lambda stream, shape, args: _poisson(stream.array(shape), args),
    "exponential": lambda stream, shape, args: exponentials(stream.array(shape), args[0]),
    "lognormal": lambda stream, shape, args: lognormals(stream.array(shape, "normal"), *args),
    "gamma": lambda stream, shape, args: gammas(stream.array(shape), *args),
    "integer": lambda stream, shape, args: _integer(
        stream.integers(_count(args), math.prod(shape)), args
    ).reshape(shape),
}
# The same at some elements of the array only, for arguments that are numbers.
DRAWN_AT: dict[str, Callable[[PhiloxStream, NDArray[np.int64], list[Array]], Array]] = {
    "uniform": lambda stream, at, args: _uniform(stream.array_at(at), args),
    "normal": lambda stream, at, args: _normal(stream.array_at(at, "normal"), args),
    "bernoulli": lambda stream, at, args: _bernoulli(stream.array_at(at), args),
    "poisson": lambda stream, at, args: _poisson(stream.array_at(at), args),
    "exponential": lambda stream, at, args: exponentials(stream.array_at(at), args[0]),
    "lognormal": lambda stream, at, args: lognormals(stream.array_at(at, "normal"), *args),
    "gamma": lambda stream, at, args: gammas(stream.array_at(at), *args),
    "integer": lambda stream, at, args: _integer(stream.integers_at(_count(args), at), args),
}
