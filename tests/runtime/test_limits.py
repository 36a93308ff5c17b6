"""What `limit` counts: samples or batches of a loop, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.runtime.engine import Hooks, Interpreter, Options
from netdsl.sema import analyse
from netdsl.syntax.parser import parse_or_raise

TEXT = """edition 1
neuron unit {{ input i; def y = i }}
population a : unit[64]
data digits {{
  source = "digits"; batch = {batch}; shuffle = {shuffle}; split train = train[0, 50]
}}
task made(batch = {batch}, size = 40) {{ draw u[64] ~ uniform(0, 1) }}
protocol train(epochs = 1) {{
  each epoch {{ {loop} {{ clamp a.i = sample.{field}; phase see 1 step }} }}
}}
"""


class Seen(Hooks):
    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.promised = 0

    def start_epoch(self, epoch: int, batches: int, rounds: int = 0) -> None:
        self.promised = batches

    def after_batch(self, interpreter, batch) -> None:  # type: ignore[no-untyped-def]
        self.batches.append(batch.samples)


def seen(loop: str, batch: int = 16, shuffle: str = "true", options: Options | None = None) -> Seen:
    field = "u" if "made" in loop else "image"
    text = TEXT.format(loop=loop, batch=batch, shuffle=shuffle, field=field)
    held = netdsl.compile(text, "numpy", rows=batch)
    found = Seen()
    interpreter = Interpreter(held.session, held.datasets, found, options)
    interpreter.run(held.network.protocols["train"])
    assert found.promised == len(found.batches)  # what the progress bar is told
    return found


@pytest.mark.parametrize(
    ("loop", "sizes"),
    [
        ("each batch of digits.train limit 20 samples", [16, 4]),
        ("each batch of digits.train limit 2 batches", [16, 16]),
        ("each batch of digits.train limit 2", [16, 16]),
        ("each batch of digits.train limit 2 * 8 samples", [16]),
        ("each batch of digits.train limit 500 samples", [16, 16, 16, 2]),
        ("each batch of digits.train limit 9 batches", [16, 16, 16, 2]),
        ("each batch of digits.train limit 0 samples", []),
        ("each sample of digits.train limit 3 samples", [1, 1, 1]),
        ("each sample of digits.train limit 3", [1, 1, 1]),
        ("each batch of made limit 20 samples", [16, 4]),
        ("each batch of made limit 3 batches", [16, 16, 16]),
        ("each batch of made", [16, 16, 8]),
    ],
)
def test_a_limit_counts_what_it_says(loop: str, sizes: list[int]) -> None:
    assert [len(batch) for batch in seen(loop).batches] == sizes


def test_the_samples_of_a_limit_are_the_first_of_the_order() -> None:
    whole = np.concatenate(seen("each batch of digits.train").batches)
    some = np.concatenate(seen("each batch of digits.train limit 20 samples", batch=7).batches)
    np.testing.assert_array_equal(some, whole[:20])
    fewer = seen("each batch of digits.train limit 20 samples", options=Options(limit=5)).batches
    np.testing.assert_array_equal(fewer[0], whole[:5])


@pytest.mark.parametrize(
    "loop",
    [
        "each batch of digits.train limit 3 epochs",
        "each sample of digits.train limit 3 batches",
        "each batch of digits.train limit 3 batches + 2 samples",
    ],
)
def test_a_limit_of_something_else_is_refused(loop: str) -> None:
    text = TEXT.format(loop=loop, batch=4, shuffle="true", field="image")
    (found,) = [d for d in analyse(parse_or_raise(text)).diagnostics if d.severity == "error"]
    assert found.code == "E0201" and "counts" in found.message
