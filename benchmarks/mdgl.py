"""Seconds and memory of an iteration of MDGL, e-prop and BPTT, beside JAX of the same graph.

An iteration is a batch of new trials, forward, gradient, Adam and rewiring.

python -m benchmarks.mdgl                              the published size
python -m benchmarks.mdgl --rules eprop --backends native,numpy
python -m benchmarks.mdgl --stored                     also JAX with stored traces, where they fit
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from benchmarks.common import SPECS, compare, forget_peak, measure, parser, peer

SMALL_ROWS, SMALL_STEPS = 8, 200  # where a trace of every synapse and step can be stored


def main(arguments: list[str] | None = None) -> int:
    """Measure every candidate in a process of its own and print one table per rule."""
    options = _options(arguments)
    if options.only:
        print(json.dumps(_candidate(options)))
        return 0
    for rule in options.rules.split(","):
        names = [f"{rule}:{name}" for name in (*options.backends.split(","), "jax")]
        title = f"{rule}, 40 inputs, 100 units, batch 64, 2000 steps, one thread"
        print(compare("benchmarks.mdgl", names, arguments, title, "jax"))
    if options.stored:
        names = ["small-eprop:jax", "small-stored:jax stored"]
        title = f"e-prop in JAX, batch {SMALL_ROWS}, {SMALL_STEPS} steps, one thread"
        print(compare("benchmarks.mdgl", names, arguments, title, "jax"))
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    made = parser(__doc__ or "")
    made.set_defaults(backends="native", repeats=10)
    made.add_argument("--rules", default="eprop,mdgl,bptt")
    made.add_argument("--stored", action="store_true", help="also the form with stored traces")
    return made.parse_args(arguments)


def _candidate(options: Namespace) -> dict[str, float]:
    rule, _, candidate = options.only.partition(":")
    if candidate.startswith("jax"):
        peer("jax")
        from benchmarks.peers.mdgl_jax import Network, Sizes

        small = rule.startswith("small-")
        sizes = Sizes(rows=SMALL_ROWS, steps=SMALL_STEPS) if small else Sizes()
        forget_peak()
        network = Network(rule.removeprefix("small-"), sizes)
        return measure(lambda: network.train(), options.repeats, warm=2)
    forget_peak()
    import netdsl

    model = netdsl.compile(SPECS / "mdgl.net", backend=candidate, set={"rule": rule})
    return measure(_iteration(model), options.repeats, warm=2)


def _iteration(model: Any) -> Any:
    """A function that draws a batch of trials and learns from it, as the protocol says."""
    from netdsl.ir.protocol import Each, steps_of
    from netdsl.runtime.engine import Interpreter

    steps = steps_of(model.network.protocols["train"].body)
    batch = next(s for s in steps if isinstance(s, Each) and s.kind == "batch")
    interpreter = Interpreter(model.session, model.datasets)
    return lambda: interpreter.block((batch,))


if __name__ == "__main__":
    sys.exit(main())
