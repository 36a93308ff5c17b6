"""Seconds and memory of one CSDP training batch, beside a dense JAX program of the same equations.

python -m benchmarks.csdp                       784-400-100, 100 images
python -m benchmarks.csdp --sizes 784,3000,600 --batch 500 --repeats 3
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace

import numpy as np

from benchmarks.common import (
    SPECS,
    Array,
    compare,
    forget_peak,
    images,
    measure,
    parser,
    peer,
    trainer,
)

STEPS = 50


def main(arguments: list[str] | None = None) -> int:
    """Measure every candidate in a process of its own and print the table."""
    options = _options(arguments)
    if options.only:
        print(json.dumps(_candidate(options)))
        return 0
    names = [*options.backends.split(","), *([] if options.no_peer else ["jax"])]
    sizes = "-".join(map(str, options.sizes))
    title = f"CSDP {sizes}, {options.batch} images, T = {STEPS}, one thread"
    print(compare("benchmarks.csdp", names, arguments, title, "jax"))
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--sizes", default="784,400,100", help="pixels and both hidden layers")
    made.add_argument("--batch", type=int, default=100, help="images; rows are twice as many")
    made.add_argument("--no-peer", action="store_true")
    options = made.parse_args(arguments)
    options.sizes = [int(n) for n in options.sizes.split(",")]
    return options


def _rows(options: Namespace) -> dict[str, Array]:
    x, label = images(options.batch, options.sizes[0], options.mnist)
    wrong = (label + np.random.default_rng(1).integers(1, 10, len(label))) % 10
    ones, zeros = np.ones(len(x), np.float32), np.zeros(len(x), np.float32)
    return {
        "image": np.concatenate([x, x]),
        "label": np.concatenate([label, label]),
        "shown_label": np.concatenate([label, wrong]),
        "positive": np.concatenate([ones, zeros]),
    }


def _candidate(options: Namespace) -> dict[str, float]:
    fields = _rows(options)
    pixels, n1, n2 = options.sizes
    forget_peak()
    if options.only == "jax":
        jax = peer("jax")
        from benchmarks.peers.csdp_jax import Network

        sizes = {"img": pixels, "h1": n1, "h2": n2, "ctx": 10, "out": 10, "rec": pixels}
        network = Network(sizes, steps=STEPS, eta=0.001, lam=6e-5)
        shown = jax.nn.one_hot(fields["shown_label"], 10)
        x, positive = jax.numpy.asarray(fields["image"]), fields["positive"][:, None]
        return measure(lambda: network.train(x, shown, positive), options.repeats)
    import netdsl

    settings = {"rows": pixels, "cols": 1, "n1": n1, "n2": n2, "B": options.batch, "T": STEPS}
    model = netdsl.compile(
        SPECS / "csdp.net", backend=options.only, set=settings, rows=2 * options.batch
    )
    return measure(trainer(model, fields), options.repeats)


if __name__ == "__main__":
    sys.exit(main())
