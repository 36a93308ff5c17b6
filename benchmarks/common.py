"""What the benchmarks share: isolation of candidates, timing, data, tables.

Every candidate runs in a process of its own with one thread, so that its peak memory and its CPU
seconds are its own; candidates take turns within one run, and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROOT = Path(__file__).resolve().parents[1]
SPECS = ROOT / "specs"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
}


def measure(batch: Callable[[], None], repeats: int, warm: int = 1) -> dict[str, float]:
    """Median CPU and wall seconds of `batch`, after `warm` calls, and peak memory.

    Memory is the largest resident size since `forget_peak`, less the size at that moment.
    """
    started = time.process_time()
    for _ in range(warm):
        batch()
    first = time.process_time() - started
    cpu, wall = [], []
    for _ in range(repeats):
        c, w = time.process_time(), time.perf_counter()
        batch()
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
    return {
        "cpu_s": statistics.median(cpu),
        "wall_s": statistics.median(wall),
        "first_cpu_s": first,
        "peak_mb": _resident("VmHWM") - _base,
    }


_base = 0.0


def forget_peak() -> None:
    """Start counting memory now: after data is read, before anything is compiled (Linux)."""
    global _base
    Path("/proc/self/clear_refs").write_text("5")
    _base = _resident("VmRSS")


def _resident(field: str) -> float:
    """Megabytes of a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def isolated(module: str, candidate: str, arguments: list[str]) -> dict[str, Any]:
    """Run `python -m MODULE --only CANDIDATE` on one core; its result, or the reason why not."""
    command = [sys.executable, "-m", module, "--only", candidate, *arguments]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores:
        command = ["taskset", "-c", str(cores[-1]), *command] if _has_taskset() else command
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True
    )
    line = done.stdout.strip().rpartition("\n")[2]
    if done.returncode != 0 or not line.startswith("{"):
        reason = done.stderr.strip().rpartition("\n")[2] or "no result"
        return {"failed": reason}
    found: dict[str, Any] = json.loads(line)
    return found


def compare(
    module: str, candidates: Iterable[str], arguments: list[str] | None, title: str, peer: str
) -> str:
    """The table of all candidates, each measured in a process of its own.

    A candidate `TASK:NAME` is called NAME in the table; `peer` is the one that others are held to.
    """
    given = sys.argv[1:] if arguments is None else arguments
    results = {c.rpartition(":")[2]: isolated(module, c, given) for c in candidates}
    return report(title, results, peer)


def _has_taskset() -> bool:
    from shutil import which

    return which("taskset") is not None


def peer(name: str) -> Any:
    """Import a peer library. Exits with what to install when it is missing."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        sys.exit(f"{name} is not installed: pip install 'netdsl[bench]'")


def report(title: str, results: Mapping[str, Mapping[str, Any]], reference: str) -> str:
    """A table of all candidates; ratios are CPU seconds of `reference` over the candidate's."""
    base = results.get(reference, {}).get("cpu_s")
    lines = [title, f"{'':<24}  {'CPU s':>9}  {'wall s':>9}  {'peak MB':>8}  speed-up"]
    for name, found in results.items():
        if "failed" in found:
            lines.append(f"{name:<24}  {found['failed']}")
            continue
        ratio = f"{base / found['cpu_s']:8.2f}" if base else "       -"
        lines.append(
            f"{name:<24}  {found['cpu_s']:9.4f}  {found['wall_s']:9.4f}"
            f"  {found['peak_mb']:8.0f}  {ratio}"
        )
    return "\n".join(lines)


def images(rows: int, pixels: int, mnist: Path | None, seed: int = 0) -> tuple[Array, Array]:
    """(rows, pixels) images in [0, 1] and (rows,) labels.

    From MNIST's IDX files, else made like them: a fifth of the pixels lit and 0.13 in the mean, in
    class-dependent runs of seven.
    """
    if mnist is not None:
        from netdsl.runtime.data.source import load_source

        train = load_source("mnist", str(mnist), Path())["train"]
        return train.fields["image"][:rows].copy(), train.fields["label"][:rows].copy()
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, rows)
    shapes = np.repeat(rng.random((10, -(-pixels // 7))) < 0.17, 7, axis=1)[:, :pixels]
    lit = shapes[labels] ^ (rng.random((rows, pixels)) < 0.03)
    return (lit * rng.uniform(0.4, 1, lit.shape)).astype(np.float32), labels


def trainer(model: Any, fields: Mapping[str, Array]) -> Callable[[], None]:
    """A function that runs the innermost `each batch` body of `train` on one batch of `fields`."""
    from netdsl.ir.protocol import Each, Step
    from netdsl.runtime.engine import Interpreter

    def innermost(steps: tuple[Step, ...]) -> Each | None:
        for step in steps:
            if isinstance(step, Each):
                return innermost(step.body) or step
        return None

    loop = innermost(model.network.protocols["train"].body)
    assert loop is not None
    model.present(**fields)

    def batch() -> None:
        model.present(**fields)
        Interpreter(model.session, model.datasets).block(loop.body)

    return batch


def parser(description: str) -> argparse.ArgumentParser:
    """Options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--backends", default="numpy,native", help="comma-separated")
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument("--mnist", type=Path, help="folder of MNIST's IDX files (default: made data)")
    made.add_argument("--only", help=argparse.SUPPRESS)
    return made
