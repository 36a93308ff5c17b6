"""Random small specifications in which much is remembered: delays, inputs, pulses, phases."""

from __future__ import annotations

from random import Random

_UNIT = """neuron unit {
  input j; input k; input target; input bump
  state v = %(start)s; state u = 0.25; state level ~ uniform(0, 0.5)
  refractory %(hold)d step
  v := 0.5 * v + j + 0.3 * k + bump + 0.1 * level
  x ~ bernoulli(0.4)
  u := 0.8 * u + 0.1 * x + 0.05 * v@prev
  spike s when v > 0.4 { v := v - 0.3 }
  trace z of s { tau = 3 ms; jump = set; decay = linear }
  def e = target - v
  def f = j - 0.5 * v@prev + u
  def g = k + mean(v) + 0.1 * gain
  on phase { u := u + 0.1 * target }
}"""
_SENT = ("v", "u", "s", "z", "x", "e", "f", "g", "target", "j", "s@prev", "e@prev")
_REST = """data digits { source = "digits"; batch = %(batch)d; eval_batch = %(eval_batch)d }
protocol train { each batch of digits.train {
  reset; clamp img.s = sample.image%(scale)s; clamp b.target = onehot(sample.label)
  clamp c.v = 0.2 * sample.label
  set a.bump := sample.label; phase warm %(steps)d steps { gain = 2 }
  set b.bump := 0.5; phase free %(steps)d steps learning; update W
} }
protocol test(split) { each batch of split {
  reset; clamp img.s = sample.image; phase free %(steps)d steps; phase late 2 steps
} }
readout level = sum(b.v@free) + sum(c.u@late) + sum(a.e) + sum(c.g) + good.a
readout counts = sum(count(b.s over free)) + sum(sum(a.f over late))
metric m = mean(level)
metric n = mean(counts)
"""


def spec(seed: int, eval_batch: int = 4, batch: int = 3) -> str:
    """The text of one; the same seed gives the same network whatever the batches."""
    random = Random(seed)
    lines = ["edition 1", "dt = 1 ms", "control gain = 1", "neuron pixel { state s = 0 }"]
    settings = {"start": random.choice(["0", "-0.3", "0.6"]), "hold": random.randint(1, 3)}
    lines += [_UNIT % settings, "population img : pixel[row: 8, col: 8]"]
    lines += [f"population {name} : unit[10]" for name in "abc"]
    lines += ["modulator good on a { scope population; emit mean(v) + 0.1 * mean(j) }"]
    lines += ["rule drift { at update { dw = 0.01 * pre.v * post.f } }"]
    fixed = "weight w ~ normal(0, 0.2)"
    lines += [
        f"projection In : img -> a dense delay {random.choice(['0', '1 step', '3 steps'])} {{ "
        f"{fixed}; deliver j += w * pre.s; learn step() }}",
        "rule step { dw = 0.001 * pre.s * post.z * good }",
        f"projection W : a -> b dense delay {random.randint(1, 4)} steps {{ "
        f"{fixed}; deliver j += w * pre.s; learn drift() }}",
    ]
    for number in range(random.randint(2, 5)):
        pre, post = random.choice("abc"), random.choice("abc")
        sent, into = random.choice(_SENT), random.choice("jk")
        lines.append(
            f"projection P{number} : {pre} -> {post} dense delay {random.randint(1, 4)} steps {{ "
            f"weight w ~ normal(0, 0.1); deliver {into} += w * pre.{sent} }}"
        )
    rest = {
        "batch": batch,
        "eval_batch": eval_batch,
        "scale": random.choice(["", " * (1 + 0.1 * phase.step)"]),
        "steps": random.randint(1, 6),
    }
    return "\n".join([*lines, _REST % rest])
