"""A small learning network whose parts the examples of the catalogue replace."""

from __future__ import annotations

_TEXT = """\
edition 1
neuron source {{ state s = 0 }}
neuron unit {{ {unit} }}
population a : source[64]
population b : unit[10]
{before}rule hebb {{ {rule} }}
projection W : a -> b {edge} {{
  weight w ~ uniform(-1, 1)
  deliver {deliver}
  learn hebb()
}}
{more}data digits {{ source = "digits"; batch = 20; split train = train; split test = test }}
protocol train {{
  each batch of digits.train {{
    reset
    clamp a.s = sample.image
    {steps}
  }}
}}
"""


def network(
    *,
    unit: str = "input i; state s = 0; s := relu(i)",
    before: str = "",
    rule: str = "dw = 0.01 * pre.s * post.s",
    edge: str = "dense delay 1 step",
    deliver: str = "i += w * pre.s",
    more: str = "",
    steps: str = "phase run 5 steps learning",
) -> str:
    """The text of a whole specification; `before` and `more` are further declarations."""
    ends = {"before": before, "more": more}
    lines = {key: text + "\n" if text else "" for key, text in ends.items()}
    return _TEXT.format(unit=unit, rule=rule, edge=edge, deliver=deliver, steps=steps, **lines)
