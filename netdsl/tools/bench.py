"""How long the routines of a spec take: a training batch, timed call by call."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from netdsl.ir.protocol import simulates
from netdsl.runtime.choosing import main_protocol
from netdsl.runtime.datasets import Batch
from netdsl.runtime.engine import Hooks, Interpreter, Interrupted
from netdsl.runtime.simulation import require_no_data

if TYPE_CHECKING:
    from netdsl.runtime.model import Model


class _Stop(Hooks):
    def __init__(self, batches: int) -> None:
        self._left = batches

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        self._left -= 1
        if not self._left:
            raise Interrupted


def bench_model(model: Model, batches: int = 3) -> str:
    """A table of wall and CPU seconds per batch by routine, after one batch to warm up.

    A backend made to measure its kernels (`profile=True`) adds time, bytes, operations and the
    share of the machine's bandwidth and matrix-product rate of each.
    """
    session = model.session
    protocol = main_protocol(model.network)
    require_no_data(model.network, model.program, protocol)
    alone = simulates(protocol, model.network.protocols)
    what, many = ("run", "runs") if alone else ("batch", "batches")
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

    before = _profile(executor)
    executor.call = timed  # type: ignore[method-assign]
    start, spent = time.perf_counter(), time.process_time()
    try:
        _train(model, batches)
    finally:
        executor.call = plain  # type: ignore[method-assign]
    total = (time.perf_counter() - start) / batches
    total_cpu = (time.process_time() - spent) / batches
    lines = [f"{'routine':<28} {'calls':>6} {'wall s':>10} {'CPU s':>10}   per {what}"]
    for name in sorted(wall, key=lambda key: -wall[key]):
        per = f"{wall[name] / batches:10.6f} {cpu[name] / batches:10.6f}"
        lines.append(f"{name:<28} {calls[name] / batches:6.1f} {per}")
    lines.append(f"{f'whole {what}':<28} {'':>6} {total:10.6f} {total_cpu:10.6f}")
    lines += _kernels(before, _profile(executor), batches)
    lines.append(f"{model.backend}, {model.dtype}, {session.rows} rows, {batches} {many}")
    return "\n".join(lines)


def _profile(executor: Any) -> list[Any]:
    """The backend's own counts by operation; [] where it has none."""
    first = getattr(executor, "each", (executor,))[0]  # members count together
    found = getattr(first, "profile", None)
    return list(found()) if callable(found) else []


def _kernels(before: list[Any], after: list[Any], batches: int) -> list[str]:
    if not after or not sum(kernel.seconds for kernel in after):
        return []
    bandwidth, products = machine_rates()
    head = f"{'kernel':<36} {'ms':>9} {'MB':>9} {'Mflop':>9} {'of memory':>9} {'of sgemm':>9}  form"
    lines = ["", head]
    pairs = sorted(zip(before, after, strict=True), key=lambda p: p[0].seconds - p[1].seconds)
    for old, new in pairs:
        seconds = new.seconds - old.seconds
        if seconds <= 0:
            continue
        moved, flops = new.bytes - old.bytes, new.flops - old.flops
        lines.append(
            f"{f'{new.kind} {new.label}'[:36]:<36} {1e3 * seconds / batches:9.3f}"
            f" {1e-6 * moved / batches:9.2f} {1e-6 * flops / batches:9.2f}"
            f" {moved / seconds / bandwidth:9.0%} {flops / seconds / products:9.0%}"
            f"  {_form(old, new)}"
        )
    lines.append(
        f"memory {1e-9 * bandwidth:.1f} GB/s, sgemm {1e-9 * products:.1f} Gflop/s, one core"
    )
    return lines


def _form(old: Any, new: Any) -> str:
    """How a product was done: dense, gathered by spikes, or some of both."""
    calls, gathered = new.calls - old.calls, new.gathered - old.gathered
    over = "over synapses" if str(new.kind).endswith("edges") else ""
    if not gathered:
        return over or "dense" if new.flops > old.flops and "ropagate" in str(new.kind) else ""
    share = "" if gathered == calls else f" {gathered} of {calls} times"
    form = f"{over}, " if over else ""
    return f"{form}gathered{share}, density {new.density:.3f}"


def machine_rates() -> tuple[float, float]:
    """Bytes per second of a large copy, and flops of a float32 product, of one core."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    source = np.ones(16_000_000, np.float32)
    target = np.empty_like(source)
    matrix = np.ones((1024, 1024), np.float32)

    def best(work: Any) -> float:
        times = []
        for _ in range(4):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return min(times)

    with threadpool_limits(1):
        copied = best(lambda: np.copyto(target, source))
        multiplied = best(lambda: matrix @ matrix)
    return 2 * source.nbytes / copied, 2 * 1024**3 / multiplied


def _train(model: Model, batches: int) -> None:
    """So many batches of the protocol of a run, or so many runs of one without data."""
    protocol = main_protocol(model.network)
    alone = simulates(protocol, model.network.protocols)
    for _ in range(batches if alone else 1):
        interpreter = Interpreter(model.session, model.datasets, _Stop(batches))
        try:
            interpreter.run(protocol)
        except Interrupted:
            pass
