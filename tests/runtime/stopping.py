"""Runs that are stopped half-way."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from netdsl.runtime.training import Training
from tests.cli.command import SPEC, Command

SHORT = SPEC.replace("train[0, 400]", "train[0, 60]").replace("train[400, 600]", "train[60, 100]")
SHORT = SHORT.replace("split test = test", "split test = test[0, 50]")
PRE = (
    SHORT
    + """\
protocol pre(epochs = 3) { each epoch { each batch of digits.train {
  reset; clamp img.v = sample.image; clamp out.target = onehot(sample.label); phase free 4 steps
  update W } } }
"""
)


class Stop:
    """Stops runs after so many training batches, as Ctrl-C would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches = 0
        plain = Training.after_batch

        def after(training: Training, interpreter: Any, batch: Any) -> None:
            plain(training, interpreter, batch)
            if interpreter.place.batches == self.batches:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Training, "after_batch", after)
        monkeypatch.setattr(Training, "room", lambda *_: 1)  # it hears of every batch


def stopped(netdsl: Command, stop: Stop, *args: str | Path, spec: str = SHORT) -> Path:
    """The directory of a run stopped after two of its six batches."""
    stop.batches = 2
    result, run = netdsl.run("--quiet", *args, text=spec)
    stop.batches = -1
    assert result.code == 130, result.err
    return run
