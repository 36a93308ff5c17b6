"""A direct interpreter of step programs: float64, plain broadcasting, nothing clever.

It says what a program means; generated code is tested against it. Inside an `Elementwise` ROW
values are (R, 1), NEURON values (n,) and UNIT values (R, n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from itertools import product

import numpy as np

from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.places import edges_of, shape_of
from netdsl.ir.program import (
    Bind,
    Copy,
    DrawStore,
    Elementwise,
    Fill,
    GroupReduce,
    Op,
    Program,
    Propagate,
    Push,
    Routine,
    RowReduce,
    Shift,
    Store,
    SynapseUpdate,
    Transpose,
    WindowSum,
)
from netdsl.ir.windows import Windows
from netdsl.streams.connectivity import connections_of
from netdsl.streams.draws import PhiloxStream
from tests.elements import Spaces

PRIMITIVES: dict[str, Callable[..., object]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: np.divide(a, b),
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "pow": lambda a, b: np.float_power(a, b),
    "neg": lambda a: -a,
    "lt": lambda a, b: 1.0 * (a < b),
    "le": lambda a, b: 1.0 * (a <= b),
    "gt": lambda a, b: 1.0 * (a > b),
    "ge": lambda a, b: 1.0 * (a >= b),
    "eq": lambda a, b: 1.0 * (a == b),
    "ne": lambda a, b: 1.0 * (a != b),
    "and": lambda a, b: 1.0 * np.logical_and(a, b),
    "or": lambda a, b: 1.0 * np.logical_or(a, b),
    "not": lambda a: 1.0 * np.logical_not(a),
    "select": lambda c, a, b: np.where(np.not_equal(c, 0), a, b),
    "min": np.minimum,
    "max": np.maximum,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0.0),
    "logit": lambda a: np.log(a / (1 - a)),
    "ceil": np.ceil,
    "round": np.round,
    "expm1": np.expm1,
    "exprel": lambda a: np.where(a == 0, 1.0, np.expm1(a) / np.where(a == 0, 1.0, a)),
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "erf": np.vectorize(math.erf, otypes=[float]),
    "softplus": lambda a: np.logaddexp(a, 0),
    "square": lambda a: a * a,
    "cube": lambda a: a * a * a,
    "reciprocal": lambda a: 1 / a,
}
REDUCTIONS = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "any": np.any}


@cache
def connections(windows: Windows) -> np.ndarray:
    """Every pair of neurons that windows join: pre, post, tap and kernel, one column each."""
    w, found = windows, []
    for y, x, u, v in product(*map(range, (w.rows, w.columns, *w.kernel))):
        row, column = y * w.stride[0] - w.pad[0] + u, x * w.stride[1] - w.pad[1] + v
        if not (0 <= row < w.height and 0 <= column < w.width):
            continue
        for c, k in product(range(w.channels), range(w.kernels)):
            pre = (row * w.width + column) * w.channels + c
            post = (y * w.columns + x) * w.kernels + k
            place = u * w.kernel[1] + v
            if not w.depthwise:
                found.append((pre, post, place * w.channels + c, k))
            elif c == k:
                found.append((pre, post, place, k))
    return np.array(found, int).reshape(-1, 4).T


def full(windows: Windows, kernel: np.ndarray) -> np.ndarray:
    """The (pre, post) matrix that a shared kernel stands for."""
    pre, post, taps, kernels = connections(windows)
    matrix = np.zeros((windows.pre_size, windows.post_size))
    matrix[pre, post] = kernel[taps, kernels]
    return matrix


class Interpreter(Spaces):
    """State of a program and the meaning of its operations."""

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, np.ndarray],
        rows: int,
        keys: np.ndarray,
        seed: int = 0,
    ) -> None:
        self.program, self.rows, self.keys, self.seed = program, rows, keys, seed
        self.primitives = PRIMITIVES
        self.edges = {
            name: np.nonzero(found.matrix())
            for name, found in connections_of(program, seed).items()
        }
        self.stored = {n: self._initial(n, initial.get(n, 0.0)) for n in program.buffers}

    def _initial(self, name: str, value: np.ndarray | float) -> np.ndarray:
        """(edges,) where only existing synapses are stored."""
        shape, edges = shape_of(name, self.program, self.rows), self._edges(name)
        if edges is not None and np.shape(value) != shape:
            listed = (*shape[:-2], *edges[0].shape)
            return np.array(np.broadcast_to(value, listed), np.float64)
        whole = np.array(np.broadcast_to(value, shape), np.float64)
        return whole if edges is None else whole[(..., *edges)]

    def _edges(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        entry = self.program.buffers[name]
        listed = edges_of(name, self.program) is not None
        return self.edges.get(entry.owner) if listed else None

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Buffers as the host sees them: synapses as matrices (copies where stored otherwise)."""
        return {name: self.matrix(name) for name in self.stored}

    def matrix(self, name: str) -> np.ndarray:
        """One buffer as the host sees it."""
        edges = self._edges(name)
        if edges is None:
            return self.stored[name]
        whole = np.zeros(shape_of(name, self.program, self.rows))
        whole[(..., *edges)] = self.stored[name]
        return whole

    def call(self, routine: str, steps: int = 0, first: int = 0, last: int | None = None) -> None:
        """Run a routine as `Executor.call` says."""
        code, last = self.program.routines[routine], steps if last is None else last
        if code.steps or (code.kind == "update" and code.parts):
            (self._back if code.steps else self._in_chunks)(code)
            return
        with np.errstate(all="ignore"):
            if first == 0:
                self._run(code.once)
            for step in range(first, last):
                if code.parts and step > 0 and (steps - step) % code.chunk == 0:
                    self._run(self.program.routines[code.parts[0]].once)
                self.stored["phase.step"][()] = step
                self._run(code.step)
                self.stored["t"] += 1
            if last == steps:
                self._run(code.after)

    def _back(self, code: Routine) -> None:
        """An update that goes back through the steps of a phase."""
        with np.errstate(all="ignore"):
            self._run(code.once)
            for step in range(code.steps):
                self.stored["phase.step"][()] = step
                self._run(code.step)
            self._run(code.after)

    def _in_chunks(self, code: Routine) -> None:
        """An update that runs a phase again, chunk by chunk, and goes back through each."""
        restore, again, begin, back = (self.program.routines[name] for name in code.parts)
        now, whole, counter = float(self.stored["t"]), code.whole, self.stored["phase.step"]
        number = 0
        with np.errstate(all="ignore"):
            while steps := [s for s in range(whole) if (whole - 1 - s) // code.chunk == number]:
                counter[()] = number
                self._run(restore.once)
                for step in steps:
                    counter[()], self.stored["t"][()] = step, now - whole + step
                    self._run(again.step)
                self.stored["t"][()] = now
                if number == 0:
                    self._run(begin.once)
                for step in steps[::-1]:
                    if (far := whole - 1 - step - code.ahead) >= 0:
                        counter[()], self.stored["t"][()] = far, now + far
                        self._run(back.step)
                number += 1
            self.stored["t"][()] = now
            self._run(code.once)

    def _run(self, ops: tuple[Op, ...]) -> None:
        for op in ops:
            getattr(self, f"_{type(op).__name__.lower()}")(op)

    def value(self, expr: Expr, env: dict[str, object], op: object = None) -> np.ndarray:
        """The value of an expression; `env` holds the operation's bound values."""
        if isinstance(expr, Const):
            return np.float64(expr.value)
        if isinstance(expr, Local):
            return np.asarray(env[expr.name])
        if isinstance(expr, Load):
            array = self.stored[expr.buffer]
            if self.program.buffers[expr.buffer].slots > 1:
                array = array[self._ago(expr, env)]
            return array[:, None] if self.program.buffers[expr.buffer].place is Place.ROW else array
        if isinstance(expr, Index):
            if isinstance(op, Elementwise):
                return np.arange(self.program.sizes[op.population], dtype=float)
            assert isinstance(op, SynapseUpdate)
            m, n = self.program.shapes[op.projection]
            if op.projection in self.edges:
                return self.edges[op.projection][expr.side != "pre"].astype(float)
            return np.arange(m, dtype=float)[:, None] if expr.side == "pre" else np.arange(float(n))
        assert isinstance(expr, Apply)
        return np.asarray(PRIMITIVES[expr.function](*(self.value(a, env, op) for a in expr.args)))

    def _ago(self, load: Load, env: dict[str, object]) -> int:
        back = load.ago
        return int(self.value(back, env)) if isinstance(back, Expr) else back

    def _slot(self, name: str, ago: int) -> np.ndarray:
        """One slot of a ring, or the buffer that has none."""
        held = self.stored[name]
        return held[ago] if self.program.buffers[name].slots > 1 else held

    def _statements(self, op: Elementwise | SynapseUpdate, env: dict[str, object]) -> None:
        for statement in op.statements:
            if isinstance(statement, DrawStore):
                args = [self.value(arg, env, op) for arg in statement.args]
                self._store(statement.buffer, self._draw(statement, args))
                continue
            value = self.value(statement.value, env, op)
            if isinstance(statement, Bind):
                env[statement.name] = value.copy()
            elif isinstance(statement, Store):
                self._store(statement.buffer, value)
            elif isinstance(statement, RowReduce):
                assert isinstance(op, Elementwise)
                full = np.broadcast_to(value, (self.rows, self.program.sizes[op.population]))
                self.stored[statement.buffer][:] = REDUCTIONS[statement.kind](full, axis=1)

    def _store(self, buffer: str, value: np.ndarray) -> None:
        target = self.stored[buffer]
        if self.program.buffers[buffer].place is Place.ROW:
            target = target[:, None]
        target[...] = value

    def _draw(self, statement: DrawStore, args: list[np.ndarray]) -> np.ndarray:
        stream, step = PhiloxStream(self.seed, statement.stream), int(self.stored["t"])
        place = self.program.buffers[statement.buffer].place
        n = 1 if place is Place.ROW else self.stored[statement.buffer].shape[1]
        if statement.distribution == "normal":
            return args[0] + args[1] * stream.normal(self.keys, step, n, dtype=np.float64)
        if statement.distribution == "lognormal":
            return np.exp(args[0] + args[1] * stream.normal(self.keys, step, n, dtype=np.float64))
        if statement.distribution == "integer":
            low, high = (int(arg) for arg in args)
            return low + stream.randint(high - low + 1, self.keys, step, n).astype(float)
        unit = stream.uniform(self.keys, step, n, dtype=np.float64)
        if statement.distribution == "bernoulli":
            return 1.0 * (unit < args[0])
        if statement.distribution == "poisson":
            from scipy import stats  # half a second

            mean = np.maximum(args[0], 0.0)
            return np.maximum(stats.poisson.ppf(np.nextafter(unit, 1.0), mean), 0.0)
        if statement.distribution == "exponential":
            return args[0] * -np.log(1.0 - unit)
        if statement.distribution == "gamma":
            from scipy import stats

            return stats.gamma.ppf(unit, args[0]) * args[1]
        return args[0] + (args[1] - args[0]) * unit

    def _elementwise(self, op: Elementwise) -> None:
        env: dict[str, object] = {}
        for bind in op.scalars:
            env[bind.name] = self.value(bind.value, env)
        self._statements(op, env)

    def _propagate(self, op: Propagate) -> None:
        source, target = self._slot(op.source, op.ago), self.stored[op.target]
        if op.projection in self.program.windows:
            weight = full(self.program.windows[op.projection], self.stored[op.weight])
        else:
            weight = self.matrix(op.weight)
        into, out_of = op.post_slice, op.pre_slice
        if op.transposed:
            weight, into, out_of = weight.T, out_of, into
        scale = 1.0 if op.scale is None else self.value(op.scale, {})
        part = target[:, slice(*into)] if into else target
        sent = source[:, slice(*out_of)] if out_of else source
        part[...] = (part if op.accumulate else 0) + scale * (sent @ weight)

    def _synapseupdate(self, op: SynapseUpdate) -> None:
        env: dict[str, object] = {}
        for store in op.before:
            self.stored[store.buffer][...] = self.value(store.value, {})
        for bind in op.scalars:
            env[bind.name] = self.value(bind.value, env)
        m, n = self.program.shapes[op.projection]
        for total in op.sums:
            edges = self.edges.get(op.projection)
            value = np.zeros((m, n) if edges is None else edges[0].shape)
            for term in total.products:
                pre, post = np.ones((self.rows, m)), np.ones((self.rows, n))
                first, second = slice(*(op.pre_slice or (0, m))), slice(*(op.post_slice or (0, n)))
                if term.pre is not None:
                    pre = self._slot(term.pre, term.pre_ago)[:, first]
                if term.post is not None:
                    post = self._slot(term.post, term.post_ago)[:, second]
                if term.newest:
                    pre, post = pre[-1:], post[-1:]
                factor = term.coefficient
                summed = pre.T @ post if edges is None else (pre.T @ post)[edges]
                value += (1.0 if factor is None else self.value(factor, env, op)) * summed
            for row_sum in total.rows:
                value += self.row_sum(row_sum, op.projection)
            env[total.name] = value
        self._statements(op, env)

    def _windowsum(self, op: WindowSum) -> None:
        pre, post, taps, kernels = connections(self.program.windows[op.projection])
        rows = slice(-1, None) if op.newest else slice(None)
        sent, got = self._slot(op.pre, op.pre_ago)[rows], self._slot(op.post, op.post_ago)[rows]
        product = sent.T @ got
        target = self.stored[op.target]
        target[...] = 0
        np.add.at(target, (taps, kernels), product[pre, post])

    def _groupreduce(self, op: GroupReduce) -> None:
        groups = self.stored[op.source].reshape(-1, op.length, op.inner)
        value = REDUCTIONS[op.kind](groups, axis=1, keepdims=True)
        target = self.stored[op.target]
        target[...] = np.broadcast_to(value, groups.shape).reshape(target.shape)

    def _push(self, op: Push) -> None:
        ring = self.stored[op.target]
        if not op.all:
            ring[1:] = ring[:-1].copy()
        ring[... if op.all else 0] = self.stored[op.source]

    def _shift(self, op: Shift) -> None:
        held = np.concatenate([self.stored[op.target], self.stored[op.source]])
        self.stored[op.target][...] = held[len(held) - len(self.stored[op.target]) :]

    def _copy(self, op: Copy) -> None:
        self.stored[op.target][...] = self.stored[op.source]

    def _fill(self, op: Fill) -> None:
        self.stored[op.target][...] = op.value

    def _transpose(self, op: Transpose) -> None:
        self.stored[op.target][...] = self.stored[op.source].T
