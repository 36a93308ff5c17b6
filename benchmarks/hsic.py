"""Seconds of a window of the HSIC rule, beside JAX of the same equations.

A window is the last samples of a stream, evaluated again under the present weights: forward, the
global signal, the changes of all layers, and the metrics of the window after them.

python -m benchmarks.hsic                        all networks
python -m benchmarks.hsic --tasks mlp,lif        some
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from benchmarks.common import SPECS, compare, forget_peak, measure, parser, peer

# What is run, with which settings, in how many windows for one measurement.
TITLES = {
    "mlp": ("784-128-64-10, 6 samples", "hsic.net", {"rows": 28, "cols": 28}, 200),
    "lif": ("2-10-4-2 leaky, 10 samples, 20 steps", "hsic_lif.net", {"members": 1}, 200),
    "xor": ("30 of 2-10-4-2 leaky, 10 samples, 20 steps", "hsic_lif.net", {}, 50),
    "reservoir": (
        "reservoir of 2000, 20 steps",
        "hsic_reservoir.net",
        {"rows": 28, "cols": 28},
        10,
    ),
    "cnn": ("32x32x3, 128 and 256 kernels, 6 samples", "hsic_cnn.net", {}, 2),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure every candidate in a process of its own and print one table per network."""
    options = _options(arguments)
    if options.only:
        print(json.dumps(_candidate(options)))
        return 0
    for task in options.tasks.split(","):
        names = [f"{task}:{name}" for name in (*options.backends.split(","), "jax")]
        what, _, _, windows = TITLES[task]
        title = f"{what}; {windows} windows, one thread"
        print(compare("benchmarks.hsic", names, arguments, title, "jax"))
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    made = parser(__doc__ or "")
    made.set_defaults(backends="native", repeats=9)
    made.add_argument("--tasks", default=",".join(TITLES))
    return made.parse_args(arguments)


def _candidate(options: Namespace) -> dict[str, float]:
    task, _, candidate = options.only.partition(":")
    windows = TITLES[task][3]
    if candidate == "jax":
        peer("jax")
        from benchmarks.peers.hsic_jax import Task

        step = Task(task).window
    else:
        step = _netdsl(task, candidate)
    forget_peak()
    return measure(lambda: [step() for _ in range(windows)] and None, options.repeats, warm=2)


def _netdsl(task: str, backend: str) -> Callable[[], Any]:
    """A function that runs the learning phase of a specification on a window of samples."""
    import numpy as np

    import netdsl

    _, spec, settings, _ = TITLES[task]
    if not (SPECS / spec).exists():
        sys.exit(f"specs/{spec} is not there")
    model = netdsl.compile(SPECS / spec, backend=backend, set=settings)
    session, rng = model.session, np.random.default_rng(0)
    name, steps = _learning(model)
    (memory,) = model.network.memories.values()
    executor, rows = session.executor, memory.size if memory.kind == "replay" else 1
    executor.set_rows(rows, np.arange(rows, dtype=np.uint64))
    for buffer, held in model.program.buffers.items():
        shape = executor.read(buffer).shape if held.role == "sample" else ()
        if held.key == ("batch.rows", ""):
            executor.write(buffer, float(rows))
        elif held.role == "sample":
            fields = len(shape) > 1
            executor.write(buffer, rng.uniform(-1, 1, shape) if fields else np.arange(rows) % 2)
    return lambda: executor.call(name, steps)


def _learning(model: Any) -> tuple[str, int]:
    """The routine of the phase that learns, and its steps."""
    from netdsl.ir.protocol import RunPhase, steps_of

    for step in steps_of(model.network.protocols["train"].body):
        if isinstance(step, RunPhase) and step.learning:
            return step.site, int(step.steps.value)  # type: ignore[attr-defined]
    raise ValueError("nothing learns")


if __name__ == "__main__":
    sys.exit(main())
