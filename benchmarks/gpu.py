"""On a machine with an NVIDIA GPU: the agreement suite, then a CSDP and a CorInfoMax batch.

python -m benchmarks.gpu [--mnist FOLDER] [--no-agreement] [--no-peer]

Times are wall milliseconds of one training batch, data already loaded. "launch" is the share of it
that as many empty kernels in a graph take; "first" is the first batch, compilation included. JAX
runs the same equations on the same GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, SPECS, images, peer, trainer

CSDP = (784, 3000, 600)
CORINFOMAX = (784, 500, 10)
TARGET_MS = {"csdp": 40.0, "corinfomax": 3.0}
EMPTY = 1000  # kernels of the graph whose time is the cost of launching


def main(arguments: list[str] | None = None) -> int:
    """Run everything and print one table; 2 without a GPU."""
    options = _options(arguments)
    if options.only:
        print(json.dumps(_candidate(options)))
        return 0
    from netdsl.backends.cupy import available

    usable, reason = available()
    if not usable:
        print(f"nothing was measured: {reason}", file=sys.stderr)
        return 2
    if not options.no_agreement and _agreement():
        print("the agreement suite failed: nothing was measured", file=sys.stderr)
        return 1
    print(_device_line())
    given = sys.argv[1:] if arguments is None else arguments
    print(f"{'':<24}{'ms':>9}{'target':>9}{'launch':>9}{'kernels':>9}{'first s':>9}")
    for system in ("csdp", "corinfomax"):
        for name in ("cupy", *([] if options.no_peer else ["jax"])):
            print(_line(system, name, _isolated(f"{system}:{name}", given)))
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--mnist", type=Path, help="folder of MNIST's IDX files (default: made data)")
    made.add_argument("--repeats", type=int, default=20)
    made.add_argument("--no-agreement", action="store_true")
    made.add_argument("--no-peer", action="store_true")
    made.add_argument("--only", help=argparse.SUPPRESS)
    return made.parse_args(arguments)


def _agreement() -> int:
    tests = ["tests/backends/test_cuda_gpu.py"]
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=ROOT).returncode


def _device_line() -> str:
    from netdsl.backends.cupy.device import CupyDevice, load_cupy

    device = CupyDevice()
    runtime = load_cupy().cuda.runtime
    line = f"{device.name}, driver {runtime.driverGetVersion()}, CUDA {runtime.runtimeGetVersion()}"
    device.close()
    return line


def _isolated(candidate: str, arguments: list[str]) -> dict[str, Any]:
    """A candidate in a process of its own; its result, or the reason why not."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--only", candidate, *arguments]
    # JAX would else take most of the memory at once.
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    line = done.stdout.strip().rpartition("\n")[2]
    if done.returncode or not line.startswith("{"):
        return {"failed": done.stderr.strip().rpartition("\n")[2] or "no result"}
    found: dict[str, Any] = json.loads(line)
    return found


def _line(system: str, name: str, found: dict[str, Any]) -> str:
    title = f"{system} {name}"
    if "failed" in found:
        return f"{title:<24}{found['failed']}"
    target = f"{TARGET_MS[system]:9.1f}" if name == "cupy" else f"{'':>9}"
    launch = f"{found['launch']:9.0%}{found['kernels']:9.0f}" if "launch" in found else " " * 18
    return f"{title:<24}{found['ms']:9.3f}{target}{launch}{found['first_s']:9.2f}"


def _candidate(options: argparse.Namespace) -> dict[str, float]:
    system, _, candidate = options.only.partition(":")
    csdp = system == "csdp"
    x, label = images(500 if csdp else 20, 784, options.mnist)
    fields = _contrast(x, label) if csdp else {"image": x, "label": label}
    if candidate == "jax":
        return _measure(_jax(csdp, fields), lambda: None, options.repeats)
    import netdsl

    settings: dict[str, Any] = {"rows": 784, "cols": 1, "B": len(x)}
    settings |= {"n1": CSDP[1], "n2": CSDP[2], "T": 50} if csdp else {"n1": CORINFOMAX[1]}
    rows = len(fields["image"])
    model = netdsl.compile(SPECS / f"{system}.net", backend="cupy", set=settings, rows=rows)
    executor: Any = model.session.executor
    batch = trainer(model, fields)
    found = _measure(batch, executor.device.synchronize, options.repeats)
    found["kernels"] = _kernels(executor, batch)
    found["launch"] = 1e3 * found["kernels"] * _empty_seconds(executor) / found["ms"]
    return found


def _contrast(x: Any, label: Any) -> dict[str, Any]:
    """Positive and negative rows."""
    wrong = (label + np.random.default_rng(1).integers(1, 10, len(label))) % 10
    return {
        "image": np.concatenate([x, x]),
        "label": np.concatenate([label, label]),
        "shown_label": np.concatenate([label, wrong]),
        "positive": np.repeat(np.array([1, 0], np.float32), len(x)),
    }


def _jax(csdp: bool, fields: dict[str, Any]) -> Callable[[], None]:
    jax = peer("jax")
    if jax.default_backend() != "gpu":
        sys.exit("this JAX has no GPU: pip install 'jax[cuda13]'")
    x = jax.numpy.asarray(fields["image"])
    if csdp:
        from benchmarks.peers.csdp_jax import Network

        pixels, n1, n2 = CSDP
        sizes = {"img": pixels, "h1": n1, "h2": n2, "ctx": 10, "out": 10, "rec": pixels}
        network = Network(sizes, steps=50, eta=0.001, lam=6e-5)
        shown = jax.nn.one_hot(fields["shown_label"], 10)
        positive = jax.numpy.asarray(fields["positive"])[:, None]
        return lambda: network.train(x, shown, positive)
    from benchmarks.peers.settling_jax import CorInfoMax

    settling = CorInfoMax(CORINFOMAX)
    y = jax.nn.one_hot(fields["label"], 10)
    return lambda: settling.train(x, y)


def _measure(
    batch: Callable[[], None], wait: Callable[[], None], repeats: int
) -> dict[str, float]:
    started = time.perf_counter()
    batch()
    wait()
    first = time.perf_counter() - started
    for _ in range(3):  # graphs are captured, choices settle
        batch()
    wait()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        batch()
        wait()
        times.append(time.perf_counter() - started)
    return {"ms": 1e3 * statistics.median(times), "first_s": first}


def _kernels(executor: Any, batch: Callable[[], None]) -> float:
    """Kernels and matrix products that one batch launches."""
    launched = 0
    section = executor.device.section

    def counting(key: object, run: Callable[[], None], count: int) -> None:
        nonlocal launched
        launched += count * key_sizes(run)
        section(key, run, count)

    def key_sizes(run: Callable[[], None]) -> int:
        seen: list[object] = []
        launch, multiply = executor.device.launch, executor.device.multiply
        executor.device.launch = executor.device.multiply = lambda *args: seen.append(args)
        try:
            run()
        finally:
            executor.device.launch, executor.device.multiply = launch, multiply
        return len(seen)

    executor.device.section = counting
    try:
        batch()
    finally:
        del executor.device.section
    return float(launched)


def _empty_seconds(executor: Any) -> float:
    """Seconds that one all but empty kernel takes in a graph."""
    device, launch = executor.device, executor.unit.advance.do
    net = executor.address

    def run() -> None:
        for _ in range(EMPTY):
            device.launch(launch, (1, 1), net)

    device.section("empty", run, 2)
    device.synchronize()
    started = time.perf_counter()
    device.section("empty", run, 1)
    device.synchronize()
    return (time.perf_counter() - started) / EMPTY


if __name__ == "__main__":
    sys.exit(main())
