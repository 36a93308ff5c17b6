"""A small network whose modulators are made of the slots of a memory."""

from __future__ import annotations

_TEXT = """edition 1
neuron source {{ state s = 0 }}
neuron unit {{
  input i
  state u = 0 keep
  u := u + 0.5 * i
  def z = tanh(i) + 0.1 * u
  def m = z - mean(z)
}}
population a : source[5]
population b : unit[3]
data digits {{ source = "digits" }}
memory past : {memory}
function gauss(x, y, s) = exp(-mean((x - y)^2) / (2 * s^2))
function near(x) = mean(gauss(x, x[q], 1) over q in past)
{modulators}
rule learned {{ dw = {dw} }}
projection W : a -> b dense delay 0 {{
  weight w ~ uniform(-0.5, 0.5)
  deliver i += w * pre.s
  learn learned
}}
{more}
protocol train(epochs = 1) {{
  each epoch {{
    reset memory past
    each sample of digits.train {{ {steps} }}
  }}
}}
"""
WAIVED = 'allow cross_sample on W because "a test"'
REPLAYED = """
      push past
      when past.full { clamp a.s = sample.image; phase run 1 step learning }
"""
STORED = """
      clamp a.s = sample.image
      push past
      when past.full { phase run 2 steps learning }
"""


def spec(
    modulators: str,
    memory: str = "replay[4] of digits",
    dw: str = "sample.newest * pre.s * g",
    steps: str = REPLAYED,
    more: str = WAIVED,
) -> str:
    """The text of a specification."""
    return _TEXT.format(memory=memory, modulators=modulators, dw=dw, steps=steps, more=more)
