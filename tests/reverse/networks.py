"""Random small networks of smooth cells that learn by `bptt`, as specifications."""

from __future__ import annotations

import random
from dataclasses import dataclass

ROWS, IMAGE, CLASSES = 3, 4, 3


FIXED = ("sin(phase.step)", "sample.label", "0.3")  # values that no weight moves

OVER = ("mean(out.v over run)", "sum(out.v over run)")


@dataclass(frozen=True)
class Sample:
    """A specification, the projections that learn in it and the steps of its phase."""

    text: str
    learning: tuple[str, ...]
    steps: int


class _Writer:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def some(self, *options: str) -> str:
        return self.rng.choice(options)

    def number(self) -> str:
        return f"{self.rng.uniform(-0.9, 0.9):.3f}"

    # -- cells --------------------------------------------------------------------------------

    def value(self, reads: list[str], depth: int = 2) -> str:
        """A smooth, bounded function of some values."""
        if depth == 0:
            return self.some(*reads, self.number())
        a, b = self.value(reads, depth - 1), self.value(reads, depth - 1)
        return self.some(
            f"({a} + {b})",
            f"({a} - 0.5 * {b})",
            f"tanh({a}) * sigmoid({b})",
            f"{self.number()} * ({a})",
            f"tanh({a} * {b})",
            f"sin({a})",
            f"({a}) / (2 + ({b})^2)",
        )

    def cell(self, name: str) -> str:
        """In-place states, values of the step before, `let`s, reductions, definitions."""
        lines = ["  input j", "  state v = 0.1", "  state a = 0"]
        reads = ["j", "v", "a", "v@prev", "a@prev"]
        body = [f"  v := 0.6 * v + 0.5 * tanh(j) + 0.3 * {self.value(reads)}"]
        if self.rng.random() < 0.5:
            body.append(f"  let u = {self.value(reads)}")
            reads.append("u")
        if self.rng.random() < 0.4:
            kind = self.some("mean", "sum", "max")
            body.append(f"  v := v - 0.2 * tanh({kind}(a * v))")
        if self.rng.random() < 0.4:
            lines.append(f"  def r = {self.value(['v', 'a'], 1)}")
            reads.append("r")
        if self.rng.random() < 0.4:
            body.append(f"  v := v + 0.1 * detach({self.some(*FIXED)})")
        body.append(f"  a := {self.value(reads)}")
        if self.rng.random() < 0.5:
            body.append(f"  a := a + 0.3 * {self.value([*reads, 'a'])}")
        if self.rng.random() < 0.3:
            body.append("  v := v * (1 + 0.01 * phase.step)")
        return "\n".join([f"neuron {name} {{", *lines, *body, "}"])

    # -- wiring -------------------------------------------------------------------------------

    def synapse(self, name: str, *factors: str) -> str:
        sent = self.some("pre.v", "tanh(pre.v)", "(pre.v + pre.a)", "pre.v * sigmoid(pre.a)")
        factor = self.some("w", "w", "w", "tanh(w)", "0.5 * w")
        post = self.some("", *factors)
        return (
            f"synapse {name} {{ weight w ~ uniform(-0.7, 0.7)\n"
            f"  deliver j += {factor} * {sent}{post}; learn bptt(loss = E) }}"
        )

    def sample(self) -> Sample:
        rng = self.rng
        steps, hidden = rng.randint(1, 7), rng.randint(1, 2)
        parts = ["edition 1", "neuron source { state v = 0; state a = 0 }"]
        names = [f"h{k}" for k in range(hidden)] + ["out"]
        for name in names:
            parts += [self.cell(f"cell_{name}"), self.synapse(f"to_{name}")]
            parts.append(self.synapse(f"back_{name}", " * (1 + 0.1 * post.v)"))
        parts.append(f"population x : source[{IMAGE}]")
        parts += [f"population h{k} : cell_h{k}[{rng.randint(2, 4)}]" for k in range(hidden)]
        parts.append(f"population out : cell_out[{CLASSES}]")
        edges = [("x", "h0", 0)] + [(a, b, 0) for a, b in zip(names, names[1:], strict=False)]
        for _ in range(rng.randint(1, 3)):
            edges.append((rng.choice(names), rng.choice(names), rng.randint(1, 4)))
        for number, (pre, post, delay) in enumerate(edges):
            wait = f"delay {delay} step" if delay else "delay 0"
            kind = "back" if delay else "to"
            shape = self.some("dense", "dense", "sparse(p = 0.7)") if delay else "dense"
            parts.append(
                f"projection W{number} : {pre} -> {post} {shape} {wait} using {kind}_{post}"
            )
        learning = tuple(f"W{number}" for number in range(len(edges)))
        outer = self.some("mean", "sum")
        read = self.some("out.a@run + out.v@run", self.some(*OVER))
        parts.append(f"loss E = {outer}(sum(({read} - onehot(sample.label))^2))")
        parts.append(TAIL.format(steps=steps, learning=", ".join(learning)))
        return Sample("\n".join(parts), learning, steps)


TAIL = """\
allow non_local on bptt because "the gradient itself is tested"
data d {{ source = "digits"; batch = 3; split train = train }}
protocol train {{
  each batch of d.train {{
    reset
    clamp x.v = sample.image
    phase run {steps} steps
    update {learning}
  }}
}}
"""


def sample(seed: int) -> Sample:
    """The network of a seed."""
    return _Writer(seed).sample()
