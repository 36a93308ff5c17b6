"""Progress of a run: a bar on a terminal, one plain line per epoch anywhere else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from netdsl.runtime.members import spread

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress:
    """Shows how far a run of ``epochs`` epochs of ``batches`` batches is.

    A context manager. ``quiet`` shows nothing at all; ``stream`` is where lines go (standard error
    unless given) and decides, by being a terminal or not, between a bar and lines.
    ``rows_per_batch`` is 0 where there are no samples.
    """

    def __init__(
        self,
        epochs: int,
        batches: int,
        rows_per_batch: int = 1,
        title: str = "train",
        quiet: bool = False,
        stream: IO[str] | None = None,
    ) -> None:
        self._epochs, self._batches, self._rows = epochs, batches, rows_per_batch
        self._title, self._first, self._quiet = title, title, quiet
        self._stream = stream or sys.stderr
        self._epoch, self._done, self._since = 0, 0, time.perf_counter()
        self._rounds = 0
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._latest: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        if not self._quiet and self._stream.isatty():
            self._bar = _make_bar(self._stream)
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._batches, rate="", latest="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def start_rounds(self, protocol: str, count: int) -> None:
        """So many epochs or iterations begin, of a protocol of this name if it is not the first."""
        self._title, self._epochs = protocol or self._first, count

    def start_epoch(self, epoch: int, batches: int | None = None, rounds: int = 0) -> None:
        """Begin ``epoch`` (0-based), or with ``rounds`` as many iterations; ``batches`` replaces
        the number given at first."""
        self._rounds = rounds
        self._epoch, self._done, self._since = epoch, 0, time.perf_counter()
        self._batches = self._batches if batches is None else batches
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, total=self._batches, description=self._heading())

    def batch(self, metrics: Mapping[str, Any] | None = None, count: int = 1) -> None:
        """``count`` batches are done; ``metrics`` are shown beside the bar."""
        self._done += count
        self._latest.update(metrics or {})
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, advance=count, rate=self._rate(), latest=format_metrics(self._latest)
            )

    def end_epoch(self, metrics: Mapping[str, Any] | None = None) -> None:
        """The epoch is done: print its line."""
        self._latest.update(metrics or {})
        seconds = time.perf_counter() - self._since
        parts = [self._heading(), f"{seconds:.1f} s", self._rate(), format_metrics(self._latest)]
        self.note("  ".join(part for part in parts if part))

    def note(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._stream, flush=True)

    def _heading(self) -> str:
        if self._rounds:
            return f"{self._title} {self._rounds} iterations"
        width = len(str(self._epochs))
        return f"{self._title} epoch {self._epoch + 1:>{width}}/{self._epochs}"

    def _rate(self) -> str:
        seconds = time.perf_counter() - self._since
        if not self._done or not self._rows or seconds <= 0:
            return ""
        return f"{self._done * self._rows / seconds:,.0f} samples/s"


def format_metrics(metrics: Mapping[str, Any]) -> str:
    """Metrics as one short text: ``dev.accuracy 0.931  loss 0.0021``; of an ensemble the mean over
    members, then the others of `SPREAD`: ``accuracy 0.93 (median 0.94, sd 0.01, 0.9 to 0.95)``."""
    return "  ".join(f"{key} {_metric(value)}" for key, value in metrics.items())


def _metric(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return _number(value)
    found = {word: _number(number) for word, number in spread(value).items()}
    ends = f"{found['min']} to {found['max']}"
    return f"{_number(np.mean(value))} (median {found['median']}, sd {found['sd']}, {ends})"


def _number(value: Any) -> str:
    if isinstance(value, int) or not hasattr(value, "__float__"):
        return str(value)
    number = float(value)
    if not math.isfinite(number) or number == 0 or 0.01 <= abs(number) < 1e5:
        return f"{number:.4g}"
    return f"{number:.2e}"


def _make_bar(stream: IO[str]) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[latest]}", markup=False),
        console=Console(file=stream),
        transient=True,
    )
