"""Runs the command line in this process, and a small spec for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from netdsl.cli.main import main

SPEC = """\
edition 1
# A delta rule on the built-in digits.
param n : count = 10
param rate = 0.05
neuron pixel { state v = 0 }
neuron unit { input j; input target; state r = 0; r := r + 0.5 * (j - r) }
population img : pixel[row: 8, col: 8]
population out : unit[n]
rule delta { at update { dw = rate * (post.target - post.r) * pre.v }; reduce mean over batch }
projection W : img -> out dense delay 0 {
  weight w ~ uniform(-0.1, 0.1)
  deliver j += w * pre.v
  learn delta()
}
data digits { source = "digits"; batch = 20; shuffle = true; split train = train[0, 400]
  split dev = train[400, 600]; split test = test }
protocol train(epochs = 2) {
  each epoch {
    each batch of digits.train {
      reset
      clamp img.v = sample.image
      clamp out.target = onehot(sample.label)
      phase free 4 steps
      update W
    }
    evaluate test(digits.dev) as dev
    checkpoint best by accuracy on dev
  }
}
protocol test(split) {
  each batch of split { reset; clamp img.v = sample.image; phase free 4 steps }
}
readout y = argmax(out.r@free)
metric accuracy = mean(y == sample.label)
record out.r every 1 step on test limit 3 samples
"""


@dataclass
class Result:
    code: int
    out: str
    err: str


class Command:
    """Calls the command line and takes what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys, self.folder = capsys, folder

    def __call__(self, *args: str | Path) -> Result:
        self._capsys.readouterr()
        code = main([str(arg) for arg in args])
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Result(code, captured.out, captured.err)

    def spec(self, text: str = SPEC, name: str = "toy.net") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: str | Path, text: str = SPEC) -> tuple[Result, Path]:
        """Run the small spec on NumPy; the result and the run directory."""
        runs = self.folder / "runs"
        result = self("run", self.spec(text), "--backend", "numpy", "--out", runs, *args)
        found = sorted(runs.iterdir()) if runs.is_dir() else []
        return result, found[-1] if found else runs
