"""Seconds of one training batch of a convolutional net by its gradient, beside PyTorch's conv2d.

python -m benchmarks.convolution --sizes digits,mnist,cifar
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
    measure,
    parser,
    peer,
    trainer,
)

# Rows and columns, channels, kernels of the two layers, images in a batch.
SIZES = {
    "digits": (8, 1, 12, 24, 32),
    "mnist": (28, 1, 32, 64, 32),
    "cifar": (32, 3, 32, 64, 32),
    "wide": (32, 3, 128, 256, 8),
}
TORCH = ("torch", "torch-channels-last")


def main(arguments: list[str] | None = None) -> int:
    """Measure every candidate in a process of its own and print one table per size."""
    options = _options(arguments)
    if options.only:
        print(json.dumps(_candidate(options)))
        return 0
    for size in options.sizes.split(","):
        names = [f"{size}:{name}" for name in (*options.backends.split(","), *TORCH)]
        side, channels, first, second, batch = SIZES[size]
        title = (
            f"{size}: {side}x{side}x{channels}, 3x3 kernels {first} and {second}, pooled by 2, "
            f"batch {batch}, one thread"
        )
        print(compare("benchmarks.convolution", names, arguments, title, "torch"))
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    made = parser(__doc__ or "")
    made.set_defaults(repeats=20)
    made.add_argument("--sizes", default=",".join(SIZES))
    return made.parse_args(arguments)


def _candidate(options: Namespace) -> dict[str, float]:
    name, _, candidate = options.only.partition(":")
    side, channels, first, second, batch = SIZES[name]
    rng = np.random.default_rng(0)
    image = rng.random((batch, side * side * channels), np.float32)
    label = rng.integers(0, 10, batch)
    forget_peak()
    if candidate in TORCH:
        shaped = image.reshape(batch, side, side, channels).transpose(0, 3, 1, 2)
        return _torch(shaped, label, (first, second), candidate == TORCH[1], options.repeats)
    import netdsl

    settings = {"rows": side, "cols": side, "ch": channels, "n1": first, "n2": second, "B": batch}
    spec = SPECS / "examples" / "convolution.net"
    model = netdsl.compile(spec, backend=candidate, set=settings, rows=batch)
    return measure(trainer(model, {"image": image, "label": label}), options.repeats, warm=3)


def _torch(
    image: Any, label: Any, kernels: tuple[int, int], last: bool, repeats: int
) -> dict[str, float]:
    torch = peer("torch")
    torch.set_num_threads(1)
    nn, (first, second), side = torch.nn, kernels, image.shape[2]
    layout = torch.channels_last if last else torch.contiguous_format
    net = nn.Sequential(
        *(nn.Conv2d(image.shape[1], first, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(second * (side // 4) ** 2, 10, bias=False)),
    ).to(memory_format=layout)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    images = torch.from_numpy(np.ascontiguousarray(image)).contiguous(memory_format=layout)
    labels = torch.from_numpy(label)

    def batch() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimiser.step()

    return measure(batch, repeats, warm=3)


if __name__ == "__main__":
    sys.exit(main())
