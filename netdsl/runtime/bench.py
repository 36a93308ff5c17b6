"""How long the routines of a spec take: a training batch, timed call by call."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from netdsl.runtime.datasets import Batch
from netdsl.runtime.engine import Hooks, Interpreter, Interrupted

if TYPE_CHECKING:
    from netdsl.api import Model


class _Stop(Hooks):
    def __init__(self, batches: int) -> None:
        self._left = batches

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        self._left -= 1
        if not self._left:
            raise Interrupted


def bench_model(model: Model, batches: int = 3) -> str:
    """A table of wall and CPU seconds per batch by routine, after one batch to warm up.

    A backend that measures its kernels adds their bytes, operations and rates.
    """
    session = model.session
    _train(model, 1)
    executor = session.executor
    wall: dict[str, float] = defaultdict(float)
    cpu: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    plain = executor.call

    def timed(routine: str, *args: Any, **named: Any) -> None:
        start, spent = time.perf_counter(), time.process_time()
        plain(routine, *args, **named)
        wall[routine] += time.perf_counter() - start
        cpu[routine] += time.process_time() - spent
        calls[routine] += 1

    executor.call = timed  # type: ignore[method-assign]
    start, spent = time.perf_counter(), time.process_time()
    try:
        _train(model, batches)
    finally:
        executor.call = plain  # type: ignore[method-assign]
    total = (time.perf_counter() - start) / batches
    total_cpu = (time.process_time() - spent) / batches
    lines = [f"{'routine':<28} {'calls':>6} {'wall s':>10} {'CPU s':>10}   per batch"]
    for name in sorted(wall, key=lambda key: -wall[key]):
        per = f"{wall[name] / batches:10.6f} {cpu[name] / batches:10.6f}"
        lines.append(f"{name:<28} {calls[name] / batches:6.1f} {per}")
    lines.append(f"{'whole batch':<28} {'':>6} {total:10.6f} {total_cpu:10.6f}")
    detail = getattr(executor, "bench", None)
    if callable(detail):
        lines.append(str(detail()))
    lines.append(f"{model.backend}, {model.dtype}, {session.rows} rows, {batches} batches")
    return "\n".join(lines)


def _train(model: Model, batches: int) -> None:
    interpreter = Interpreter(model.session, model.datasets, _Stop(batches))
    try:
        interpreter.run(model.network.protocols["train"])
    except Interrupted:
        pass
