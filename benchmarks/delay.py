"""Seconds and memory of steps with a long delay: what a delay line costs.

python -m benchmarks.delay                      100 steps of delay, 1000 units, 64 samples
python -m benchmarks.delay --delay 1000 --backends native
python -m benchmarks.delay --before ../main     alternating with the netdsl of another folder
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace

import numpy as np

from benchmarks.common import compare, forget_peak, measure, parser

STEPS = 200
# The projection is one to one, so that the line is most of what a step costs.
SPEC = """edition 1
dt = 1 ms
param N : count = {units}
param K : count = {delay}
neuron source {{ state v = 0.1 keep; v := 0.9 * v + 0.01 }}
neuron screen {{ input j; state v = 0 keep; v := j }}
population x : source[N]
population z : screen[N]
projection P : x -> z one_to_one delay K steps {{ deliver j += pre.v }}
data d {{ source = "digits"; batch = {batch} }}
protocol train {{ each batch of d.train {{ phase run {steps} steps }} }}
"""


def main(arguments: list[str] | None = None) -> int:
    """Measure every candidate in a process of its own and print the table."""
    options = _options(arguments)
    if options.only:
        print(json.dumps(_candidate(options)))
        return 0
    names = options.backends.split(",")
    reference = names[0]
    if options.before:
        names = [name for one in names for name in (f"{one} before", one)]
        reference = names[0]
    title = (
        f"{STEPS} steps, a delay of {options.delay}, {options.units} units, {options.batch} rows"
    )
    print(compare("benchmarks.delay", names, arguments, title, reference))
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--delay", type=int, default=100, help="steps")
    made.add_argument("--units", type=int, default=1000)
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--before", default="", help="a folder with a netdsl to compare with")
    return made.parse_args(arguments)


def _candidate(options: Namespace) -> dict[str, float]:
    backend, _, before = options.only.partition(" ")
    if before:
        sys.path.insert(0, options.before)
    forget_peak()
    import netdsl

    text = SPEC.format(units=options.units, delay=options.delay, batch=options.batch, steps=STEPS)
    model = netdsl.compile(text, backend)
    model.present(image=np.zeros((options.batch, 64)), label=np.zeros(options.batch))
    return measure(lambda: model.phase("run"), options.repeats)


if __name__ == "__main__":
    raise SystemExit(main())
