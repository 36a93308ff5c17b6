"""Runs of one spec over values of its parameters: which there are, doing them, and what came out.

A sweep's folder holds `sweep.json` (what was asked), `results.jsonl` (a line for each run that
ended, as it ends), `sweep.csv` (one row each) and `runs/` (their run directories).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from netdsl.runtime.atomic import make_folder, write_text
from netdsl.runtime.errors import RunDirError, RunFault

MOST_RUNS = 100_000
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER}):({_NUMBER})\s*(\S.*)?")
_UNITED = re.compile(rf"({_NUMBER})\s*(\S.*)?")


@dataclass(frozen=True)
class Over:
    """A parameter and the values that it takes, as texts that `--set` would take."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One run: the values of the swept parameters and the seed."""

    values: tuple[tuple[str, str], ...]
    seed: int

    @property
    def name(self) -> str:
        """As a line of output says it."""
        return " ".join([*(f"{path}={value}" for path, value in self.values), f"seed={self.seed}"])


@dataclass(frozen=True)
class Settings:
    """What all runs have in common; `sets` and `data` by name, as on the command line. `options`:
    further ones of `netdsl.compile`."""

    spec: str
    backend: str = "auto"
    dtype: str = "float32"
    sets: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    protocol: str | None = None
    epochs: int | None = None
    limit: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: `metrics` by label and name, or a `fault`."""

    run: Run
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    directory: str = ""
    fault: str = ""


class SweepError(ValueError):
    """A sweep that cannot be: what is wrong, and a way out."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(f"{message}: {help}")


def over_of(text: str) -> Over:
    """`tau=10,20,40 ms`, `n=100:400:100` (both ends taken), `rule=eprop,mdgl`.

    A unit at the end is that of all numbers without one. Raises SweepError.
    """
    path, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not path or not values:
        raise SweepError(f"`{text}` names no values", "write --over 'tau=10,20,40 ms'")
    ranged = _RANGE.fullmatch(values)
    if ranged is not None:
        return Over(path, _range(ranged, text))
    parts = [part.strip() for part in values.split(",")]
    if not all(parts):
        raise SweepError(f"`{text}` has an empty value", "write --over 'tau=10,20,40 ms'")
    last = _UNITED.fullmatch(parts[-1])
    unit = last[2] if last is not None else None
    bare = [re.fullmatch(_NUMBER, part) is not None for part in parts]
    given = [f"{p} {unit}" if unit and b else p for p, b in zip(parts, bare, strict=True)]
    if len(set(given)) < len(given):
        raise SweepError(f"`{text}` has a value twice", "name each value once")
    return Over(path, tuple(given))


def _range(found: re.Match[str], text: str) -> tuple[str, ...]:
    first, last, step = (float(found[i]) for i in (1, 2, 3))
    if step == 0 or (last - first) / step < 0:
        raise SweepError(f"`{text}` never gets to its end", "write FIRST:LAST:STEP")
    count = int((last - first) / step + 1e-9) + 1
    if count > MOST_RUNS:
        raise SweepError(f"`{text}` has {count} values", f"at most {MOST_RUNS}")
    unit = f" {found[4]}" if found[4] else ""
    return tuple(f"{first + k * step:.12g}{unit}" for k in range(count))


def runs_of(over: Sequence[Over], seeds: Sequence[int]) -> list[Run]:
    """All combinations, the seeds of one beside each other. Raises SweepError."""
    paths = [each.path for each in over]
    if len(set(paths)) < len(paths):
        raise SweepError("a parameter is swept twice", "write one --over for each")
    combined = itertools.product(*(each.values for each in over))
    found = [Run(tuple(zip(paths, c, strict=True)), s) for c in combined for s in seeds]
    if len(found) > MOST_RUNS:
        raise SweepError(f"these are {len(found)} runs", f"at most {MOST_RUNS}")
    return found


Do = Callable[
    [Run, Settings, str], Outcome
]  # compiles, trains, tests; the folder is of run directories


class Sweep:
    """A sweep in its folder. Raises RunDirError E0761 where the folder holds another one's."""

    def __init__(self, folder: Path, over: Sequence[Over], seeds: Sequence[int], how: Settings):
        self.folder, self.how = folder, how
        self.over = tuple(over)
        self.runs = runs_of(over, seeds)
        make_folder(folder)
        self._same_experiment()
        self.outcomes = {o.run: o for o in self._read() if not o.fault}

    def _same_experiment(self) -> None:
        text = self.how.spec
        if "\n" not in text and Path(text).is_file():
            text = Path(text).read_text(encoding="utf-8", errors="replace")
        asked = asdict(self.how) | {"spec": sha256(text.encode()).hexdigest()}
        file = self.folder / "sweep.json"
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            write_text(file, json.dumps(asked, indent=2) + "\n")
            return
        except (OSError, ValueError) as fault:
            raise RunDirError("E0724", f"`{file}` cannot be read: {fault}") from fault
        other = [key for key in asked if before.get(key) != asked[key]]
        if other:
            raise RunDirError(
                "E0761",
                f"`{self.folder}` holds a sweep with another {', '.join(other)}",
                "name another folder with --out",
            )

    def _read(self) -> Iterator[Outcome]:
        """What earlier calls left; a last line that was cut off counts for nothing."""
        try:
            lines = (self.folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                row = json.loads(line)
                values = tuple((str(p), str(v)) for p, v in row.pop("values"))
                yield Outcome(Run(values, row.pop("seed")), **row)
            except (ValueError, KeyError, TypeError):
                continue

    @property
    def left(self) -> list[Run]:
        """Runs that have not ended well."""
        return [run for run in self.runs if run not in self.outcomes]

    def go(self, do: Do, workers: int = 1) -> Iterator[Outcome]:
        """Do what is left, with so many processes at a time; outcomes as they come.

        `do` is sent to other processes by its name where there are several.
        """
        folder = str(self.folder / "runs")
        found = self._alone(do, folder) if workers == 1 else self._together(do, folder, workers)
        for outcome in found:
            self.outcomes[outcome.run] = outcome
            self._note(outcome)
            yield outcome

    def _alone(self, do: Do, folder: str) -> Iterator[Outcome]:
        for run in self.left:
            yield do(run, self.how, folder)

    def _together(self, do: Do, folder: str, workers: int) -> Iterator[Outcome]:
        """A worker that is killed takes down the pool: who ran then is tried once more, alone."""
        left, tried = list(self.left), set[Run]()
        while left:
            at_once = 1 if tried else workers
            pool = ProcessPoolExecutor(at_once, get_context("spawn"))
            running: dict[Future[Outcome], Run] = {}
            try:
                while left or running:
                    while left and len(running) < at_once:
                        run = left.pop(0)
                        running[pool.submit(do, run, self.how, folder)] = run
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        run = running[future]
                        outcome = future.result()
                        del running[future]
                        tried.discard(run)
                        yield outcome
            except BrokenProcessPool:
                for run in running.values():
                    if run in tried:
                        yield Outcome(run, fault="its process was killed")
                lost = [run for run in running.values() if run not in tried]
                tried = set(lost)
                left = [*lost, *left]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _note(self, outcome: Outcome) -> None:
        row = asdict(outcome)
        run = row.pop("run")
        line = json.dumps({**run, **row})
        try:
            with (self.folder / "results.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as fault:
            raise RunDirError("E0723", f"cannot write to `{self.folder}`: {fault}") from fault

    def write_table(self) -> Path:
        """`sweep.csv`: a row for each run in the order asked."""
        done = [self.outcomes[run] for run in self.runs if run in self.outcomes]
        names = dict.fromkeys(name for outcome in done for name in _flat(outcome))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*(o.path for o in self.over), "seed", *names, "seconds", "fault", "run"])
        for o in done:
            flat = _flat(o)
            swept = [value for _, value in o.run.values]
            shown = [flat.get(name, "") for name in names]
            writer.writerow([*swept, o.run.seed, *shown, f"{o.seconds:.3f}", o.fault, o.directory])
        file = self.folder / "sweep.csv"
        write_text(file, text.getvalue())
        return file

    def groups(self, label: str, metric: str) -> dict[tuple[str, ...], list[float]]:
        """The metric of each combination of values, over the seeds that ended well."""
        found: dict[tuple[str, ...], list[float]] = {}
        for run in self.runs:
            outcome = self.outcomes.get(run)
            value = None if outcome is None else outcome.metrics.get(label, {}).get(metric)
            if value is not None:
                found.setdefault(tuple(v for _, v in run.values), []).append(float(value))
        return found

    def choose(self, label: str, metric: str) -> tuple[str, str]:
        """The label and metric asked for, or else `test` (or the last) and `accuracy` (or the
        first). Raises RunFault E0730 where no run has it."""
        have: dict[str, dict[str, None]] = {}
        for outcome in self.outcomes.values():
            for name, found in outcome.metrics.items():
                have.setdefault(name, {}).update(dict.fromkeys(found))
        label = label or ("test" if "test" in have else next(reversed(have), ""))
        offered = have.get(label, {})
        metric = metric or ("accuracy" if "accuracy" in offered else next(iter(offered), ""))
        if metric not in offered:
            there = ", ".join(f"{m} on {name}" for name, found in have.items() for m in found)
            raise RunFault(
                "E0730",
                f"no run has measured {metric or 'anything'} on {label or 'anything'}",
                f"they have {there}" if there else "",
            )
        return label, metric


def _flat(outcome: Outcome) -> dict[str, float]:
    """Metrics by `label.name`."""
    return {
        f"{label}.{metric}": value
        for label, found in outcome.metrics.items()
        for metric, value in found.items()
    }


def number_of(text: str) -> float | None:
    """The number that a value is, without its unit; None for another."""
    found = _UNITED.fullmatch(text)
    return None if found is None else float(found[1])
