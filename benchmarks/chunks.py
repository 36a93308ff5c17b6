"""What `bptt` through a long phase takes: all steps stored, or run again in chunks.

    python -m benchmarks.chunks [--steps 2000,20000]

Of 100 spiking units with recurrent weights and 64 samples, in float32, on the native backend: MiB
of the program's buffers, what the process grew to, and CPU seconds of one phase with its update,
each in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

SPEC = """\
edition 1
neuron source {{ state v = 0; p ~ bernoulli(0.1 * v) }}
neuron cell {{ input j; state v = 0; v := 0.95 * v + 0.3 * j
  spike s when v > 1 {{ v := v - 1; refractory 5 steps; surrogate triangle(damp = 0.3) }} }}
neuron leak {{ input j; state y = 0; y := 0.95 * y + j }}
population x : source[64]
population h : cell[100]
population out : leak[10]
synapse from_x {{ weight w ~ normal(0, 0.2); deliver j += w * pre.p; learn bptt(loss = E) }}
synapse from_h {{ weight w ~ normal(0, 0.1); deliver j += w * pre.s; learn bptt(loss = E) }}
projection Wi : x -> h dense delay 0 using from_x
projection Wr : h -> h dense delay 1 step using from_h
projection Wo : h -> out dense delay 0 using from_h
loss E = mean(0.001 * sum((mean(out.y over run) - onehot(sample.label))^2))
allow non_local on bptt because "the reference"
data d {{ source = "digits"; batch = 64; split train = train }}
protocol train {{ each batch of d.train {{
  reset; clamp x.v = sample.image; phase run {steps} steps; update Wi, Wr, Wo }} }}
"""


def measured(steps: int, keep: str) -> str:
    """One row: steps, what is kept, MiB of buffers and of the process, seconds."""
    import netdsl
    from netdsl.runtime.memory import buffer_bytes

    model = netdsl.compile(SPEC.format(steps=steps), "native", keep=keep)
    rng = np.random.default_rng(0)
    model.present(image=rng.uniform(0, 1, (64, 64)), label=rng.integers(0, 10, 64))
    seconds = []
    for _ in range(3):
        model.reset()
        started = time.process_time()
        model.phase("run", "train")
        model.update()
        seconds.append(time.process_time() - started)
    change = np.abs(np.asarray(model.state["Wr.w"])).sum()
    held = sum(buffer_bytes(model.program, model.rows, model.dtype).values()) / 2**20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    chunk = max(routine.chunk for routine in model.program.routines.values())
    sizes = f"{chunk:5d}  {held:8.1f}  {grown:8.1f}"
    return f"{steps:7d}  {keep:<9}  {sizes}  {min(seconds):7.3f}  {change:.5f}"


def main() -> int:
    """Print a row for each number of steps and each way."""
    options = argparse.ArgumentParser()
    options.add_argument("--steps", default="2000,20000")
    options.add_argument("--one", nargs=2, metavar=("STEPS", "KEEP"))
    given = options.parse_args()
    if given.one:
        print(measured(int(given.one[0]), given.one[1]))
        return 0
    print("  steps  keep       chunk  MiB held  MiB grown    CPU s  sum of |Wr.w| behind 3 updates")
    for steps in given.steps.split(","):
        for keep in ("store", "recompute"):
            command = [sys.executable, "-m", "benchmarks.chunks", "--one", steps, keep]
            print(
                subprocess.run(command, capture_output=True, text=True).stdout, end="", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
