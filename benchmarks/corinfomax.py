"""Seconds of one training batch of CorInfoMax, EP and PC, beside PyTorch with matrix products.

python -m benchmarks.corinfomax --mnist FOLDER
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

import numpy as np

from benchmarks.common import (
    SPECS,
    compare,
    forget_peak,
    images,
    measure,
    parser,
    peer,
    trainer,
)

SYSTEMS = {"corinfomax": "CorInfoMax", "ep": "EquilibriumPropagation", "pc": "PredictiveCoding"}
PIXELS, HIDDEN, CLASSES = 784, 500, 10


def main(arguments: list[str] | None = None) -> int:
    """Measure every candidate in a process of its own and print one table per system."""
    options = _options(arguments)
    if options.only:
        print(json.dumps(_candidate(options)))
        return 0
    for system in options.systems.split(","):
        names = [f"{system}:{name}" for name in (*options.backends.split(","), "torch")]
        title = f"{system} {PIXELS}-{HIDDEN}-{CLASSES}, batch {options.batch}, one thread"
        print(compare("benchmarks.corinfomax", names, arguments, title, "torch"))
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    made = parser(__doc__ or "")
    made.set_defaults(repeats=50)
    made.add_argument("--systems", default=",".join(SYSTEMS))
    made.add_argument("--batch", type=int, default=20)
    return made.parse_args(arguments)


def _candidate(options: Namespace) -> dict[str, float]:
    system, _, candidate = options.only.partition(":")
    x, label = images(options.batch, PIXELS, options.mnist)
    forget_peak()
    if candidate == "torch":
        return _torch(system, x, label, options)
    import netdsl

    settings = {"rows": PIXELS, "cols": 1, "n1": HIDDEN, "B": options.batch}
    spec = SPECS / f"{system}.net"
    model = netdsl.compile(spec, backend=candidate, set=settings, rows=options.batch)
    return measure(trainer(model, {"image": x, "label": label}), options.repeats, warm=5)


def _torch(system: str, x: Any, label: Any, options: Namespace) -> dict[str, float]:
    torch = peer("torch")
    torch.set_num_threads(1)
    from benchmarks.peers import settling_torch

    network = getattr(settling_torch, SYSTEMS[system])((PIXELS, HIDDEN, CLASSES))
    images_, targets = torch.from_numpy(x), torch.from_numpy(np.eye(CLASSES, dtype=np.float32))
    shown = targets[torch.from_numpy(label)]
    with torch.no_grad():
        return measure(lambda: network.train(images_, shown), options.repeats, warm=5)


if __name__ == "__main__":
    sys.exit(main())
