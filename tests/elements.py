"""What operations over any space mean: every element by its indices, one flat list of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local
from netdsl.ir.program import Each, Guarded, Program, Reduction, RowSum
from netdsl.ir.space import EDGE, NEURON, ROW, Space, edge, join

Elements = dict[str, np.ndarray]
_REDUCE = {
    "sum": (np.add, 0.0),
    "mean": (np.add, 0.0),
    "max": (np.maximum, -np.inf),
    "min": (np.minimum, np.inf),
    "any": (np.maximum, 0.0),
}


class Spaces:
    """The part of the interpreter that runs `Each`, `Guarded`, `Reduction` and row sums."""

    program: Program
    rows: int
    edges: dict[str, Any]
    stored: dict[str, np.ndarray]
    primitives: dict[str, Any]

    def elements(self, space: Space) -> Elements:
        """The indices of all elements: row, row', neuron, edge, and the edges' pre and post."""
        ranges = [np.arange(self._length(axis.kind, axis.owner)) for axis in space]
        grids = np.meshgrid(*ranges, indexing="ij") if ranges else []
        found = {axis.kind: grid.ravel() for axis, grid in zip(space, grids, strict=True)}
        for axis in space:
            if axis.kind == EDGE:
                n, listed = self.program.shapes[axis.owner][1], self.edges.get(axis.owner)
                at = found[EDGE]
                found["pre"] = at // n if listed is None else listed[0][at]
                found["post"] = at % n if listed is None else listed[1][at]
        return found or {"": np.zeros(1, int)}

    def _length(self, kind: str, owner: str) -> int:
        if kind == NEURON:
            return self.program.sizes[owner]
        if kind != EDGE and owner:
            return self.program.memories[owner]
        if kind != EDGE:
            return self.rows
        m, n = self.program.shapes[owner]
        return len(self.edges[owner][0]) if owner in self.edges else m * n

    def place(self, buffer: str, side: str, at: Elements) -> tuple[np.ndarray, ...]:
        """Where the elements find their value in a buffer's array."""
        found: list[np.ndarray] = []
        for axis in self.program.buffers[buffer].space:
            if axis.kind == EDGE:
                found += [at[EDGE]] if axis.owner in self.edges else [at["pre"], at["post"]]
            elif axis.kind == NEURON:
                found.append(at[side if side in ("pre", "post") else NEURON])
            elif side == "newest":
                last = self._length(axis.kind, axis.owner) - 1
                found.append(np.full_like(next(iter(at.values())), last))
            else:
                found.append(at["row'" if side == "other" else axis.kind])
        return tuple(found)

    def at(self, expr: Expr, env: dict[str, Any], at: Elements) -> Any:
        """The values of an expression at some elements."""
        if isinstance(expr, Const):
            return np.float64(expr.value)
        if isinstance(expr, Local):
            return env[expr.name]
        if isinstance(expr, Load):
            held = self.stored[expr.buffer]
            if self.program.buffers[expr.buffer].slots > 1:
                held = held[self._pushes(expr.ago, env)]
            return held[self.place(expr.buffer, expr.side, at)]
        if isinstance(expr, Index):
            return at[NEURON if expr.side == "own" else expr.side].astype(float)
        assert isinstance(expr, Apply)
        return self.primitives[expr.function](*(self.at(a, env, at) for a in expr.args))

    def _pushes(self, ago: int | Expr, env: dict[str, Any]) -> int:
        one = {"": np.zeros(1, int)}
        return ago if isinstance(ago, int) else int(np.ravel(self.at(ago, env, one))[0])

    def _each(self, op: Each) -> None:
        self._everywhere(op, self.elements(op.space))

    def _guarded(self, op: Guarded) -> None:
        at = self.elements(op.space)
        on = self.stored[op.buffer][self.place(op.buffer, op.side, at)] != 0
        self._everywhere(op, {kind: index[on] for kind, index in at.items()})

    def _everywhere(self, op: Each | Guarded, at: Elements) -> None:
        env = {bind.name: None for bind in op.scalars}
        for bind in op.scalars:
            env[bind.name] = self.at(bind.value, env, {"": np.zeros(1, int)})
        stores = [s.stores for s in op.statements if s.stores]
        by_row = any(ROW not in self.program.buffers[name].space for name in stores)
        if ROW not in op.space or not by_row:
            self._once(op, env, at)
            return
        for row in range(self.rows):
            here = at["row"] == row
            self._once(op, env, {kind: index[here] for kind, index in at.items()})

    def _once(self, op: Each | Guarded, env: dict[str, Any], at: Elements) -> None:
        env = dict(env)
        for statement in op.statements:
            value = self.at(statement.value, env, at)
            if statement.binds:
                env[statement.binds] = value
            else:
                self.stored[statement.stores][self.place(statement.stores, "own", at)] = value

    def _reduction(self, op: Reduction) -> None:
        target = self.stored[op.target]
        at = self.elements(join(self.program.buffers[op.target].space, op.over))
        value = np.broadcast_to(self.at(op.value, {}, at), next(iter(at.values())).shape)
        combine, start = _REDUCE[op.kind]
        place = self.place(op.target, op.side, at) or (np.zeros(value.shape, int),)
        shape = target.shape or (1,)
        found, count = np.full(shape, start), np.zeros(shape)
        combine.at(found, place, 1.0 * (value != 0) if op.kind == "any" else value)
        np.add.at(count, place, 1.0)
        found = found / np.maximum(count, 1) if op.kind == "mean" else found
        target[...] = found.reshape(target.shape)

    def row_sum(self, term: RowSum, projection: str) -> np.ndarray:
        """The sum over rows, in the shape in which the projection's synapses are stored."""
        at = self.elements((ROW, edge(projection)))
        listed = self.edges.get(projection)
        shape = self.program.shapes[projection] if listed is None else listed[0].shape
        found = np.zeros(shape)
        place = (at["pre"], at["post"]) if listed is None else (at[EDGE],)
        np.add.at(found, place, self.at(term.value, {}, at))
        return found
