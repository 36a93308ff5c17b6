"""A small network that carries much from one batch to the next, and draws a lot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netdsl
from netdsl.backends.cupy import shim

_TEXT = """\
edition 1
dt = 1 ms
param B : count = {batch}
param E : count = {eval_batch}
neuron src {{ input p; s ~ bernoulli(p); state rate = 0{keep}; rate := 0.9 * rate + 0.1 * s }}
neuron dst {{
  input j; state th = 0{keep}; state v = 0
  v := 0.7 * v + j - th; th := th + 0.01 * v
}}
population a : src[row: 8, col: 8]
population b : dst[10]
global state sgn = 1
global state flip = 1
rule hebb {{ dw = 0.001 * sgn * pre.rate * (1 - post.v); reduce mean over batch }}
projection W : a -> b dense delay 3 steps {{
  weight w ~ uniform(-0.1, 0.1)
  deliver j += w * pre.s
  learn hebb()
}}
projection R : b -> b dense delay 2 steps {{
  weight w ~ uniform(-0.1, 0.1)
  deliver j += w * pre.v
}}
data d {{
  source = "digits"; batch = B; eval_batch = E; shuffle = true
  split train = train[0, 18]; split dev = train[18, 40]; split test = test[0, 30]
}}
pairs streams = wrong_label(d)
protocol train(epochs = 2) {{
  each epoch {{
    each batch of {data}.train {{
      {reset}sgn := sgn * random_sign()
      clamp a.p = sample.image
      phase run 4 steps learning
    }}
    {evaluate}
  }}
}}
protocol test(split) {{
  each batch of split {{
    reset; flip := random_sign(); clamp a.p = sample.image; phase run 4 steps
  }}
  each batch of split {{ reset; clamp a.p = sample.image; phase run 4 steps }}
}}
readout y = argmax(b.v@run)
metric accuracy = mean(y == sample.label)
metric level = mean(sum(b.v@run))
metric shown = mean(sample.shown_label)
"""
EVALUATE = "evaluate test(d.dev) as dev"
SIZES = [(5, 7), (4, 3), (18, 1), (7, 20)]
BACKENDS = ["numpy", "native", *(["shim"] if shim.compiler() is not None else [])]


def text(
    sizes: tuple[int, int] = (5, 7),
    evaluate: str = "",
    reset: str = "",
    data: str = "d",
    keep: str = " keep",
) -> str:
    """The spec, for a batch size of training and one of evaluations."""
    batch, eval_batch = sizes
    return _TEXT.format(
        batch=batch, eval_batch=eval_batch, evaluate=evaluate, reset=reset, data=data, keep=keep
    )


def model(name: str = "numpy", sizes: tuple[int, int] = (5, 7), **more: Any) -> netdsl.Model:
    """The network on a backend."""
    return netdsl.compile(text(sizes, **more), name, dtype="float64", seed=3)


def state(held: netdsl.Model) -> dict[str, Any]:
    """All that lasts, at all rows."""
    return {**held.session.lasting(), **held.session.parameters()}


def write(folder: Path, **more: Any) -> Path:
    """The spec as a file."""
    path = folder / "carrying.net"
    path.write_text(text(**more), encoding="utf-8")
    return path
