"""Progress: lines away from a terminal, a bar on one, nothing when quiet."""

from __future__ import annotations

import io

from netdsl.runtime.progress import Progress, format_metrics


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drive(stream: io.StringIO, quiet: bool = False) -> str:
    with Progress(2, 3, rows_per_batch=10, quiet=quiet, stream=stream) as progress:
        for epoch in range(2):
            progress.start_epoch(epoch)
            for batch in range(3):
                progress.batch({"loss": 0.5 / (batch + 1)})
            progress.end_epoch({"dev.accuracy": 0.9 + epoch / 100})
    return stream.getvalue()


def test_one_plain_line_per_epoch_without_a_terminal() -> None:
    lines = drive(io.StringIO()).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("train epoch 1/2")
    assert "samples/s" in lines[1] and "dev.accuracy 0.91" in lines[1]
    assert "\x1b" not in lines[0]


def test_quiet_prints_nothing() -> None:
    assert drive(io.StringIO(), quiet=True) == ""
    assert drive(Terminal(), quiet=True) == ""


def test_a_terminal_gets_a_bar_and_the_lines() -> None:
    shown = drive(Terminal())
    assert "train epoch 2/2" in shown
    assert "3/3" in shown


def test_metrics_as_text() -> None:
    text = format_metrics({"a": 0.123456, "b": 3, "c": 1.5e-7, "d": "x", "e": float("nan")})
    assert text == "a 0.1235  b 3  c 1.50e-07  d x  e nan"
