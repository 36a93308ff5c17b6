"""Running a golden case and judging what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netdsl.tools.replay import Difference, ReplayReport, replay
from tests.golden.case import Array, Case, Derived, report_keys
from tests.golden.conditioning import ALLOWED, movement

if TYPE_CHECKING:
    from netdsl.runtime.model import Model

NEAR_TIE = 2e-7  # distance of potential and threshold below which float32 may decide either way

FLOOR = 1e-14  # what is smaller is rounding of numbers around 1


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    largest: float
    relative: float
    tolerance: float
    first: str
    ok: bool
    note: str = ""


def compiled(case: Case, backend: str, dtype: str) -> Model:
    """The model that a case's trace is replayed on."""
    import netdsl

    model = netdsl.compile(
        case.spec,
        backend=backend,
        dtype=dtype,
        set=dict(case.settings),
        observe=observed(case),
        feed=fed(case),
    )
    model.choice = case.choice
    return model


def run_cases(cases: tuple[Case, ...], backend: str, dtype: str) -> list[Row]:
    """Replay all cases of a file; one row for every variable that is compared."""
    return [
        replace(row, name=f"{case.name} {row.name}".strip())
        for case in cases
        for row in run_case(case, backend, dtype)
    ]


def run_case(case: Case, backend: str, dtype: str) -> list[Row]:
    """Replay a case on a backend; one row for every variable that is compared."""
    model = compiled(case, backend, dtype)
    try:
        keep = (*case.keep, *case.shares)
        report = replay(model, case.trace, tolerance=case.tolerance, keep=keep)
    finally:
        model.close()
    compared = {k: d for k, d in report.differences.items() if d.missing or d.tolerance < np.inf}
    rows = [_row(case, key, found) for key, found in compared.items()]
    rows += [_derived(entry, report) for entry in case.derived]
    rows = _one_by_one(rows, case, report)
    rows = _explain(rows, case, report, dtype)
    if not all(row.ok for row in rows) and (dtype == "float32" or case.shares):
        rows = _conditioned(rows, case, dtype)
    return rows


def _one_by_one(rows: list[Row], case: Case, report: ReplayReport) -> list[Row]:
    """Judge anew, presentation by presentation, what is beyond its tolerance for all."""

    def judged(row: Row) -> Row:
        share = case.shares.get(row.name)
        if row.ok or share is None:
            return row

        def within(actual: Array, recorded: Array) -> bool:
            gap = np.abs(np.reshape(actual, np.shape(recorded)) - recorded)
            top = float(np.abs(recorded).max(initial=0.0))
            return bool(np.all(gap <= share * top + FLOOR))

        keys = (report_keys(presentation) for presentation in case.trace.presentations)
        expected = [found[row.name] for found in keys if row.name in found]
        arrays = report.values.get(row.name, ())
        if len(arrays) != len(expected) or not all(map(within, arrays, expected)):
            return row
        return replace(row, ok=True, note=f"within {share:.0e} of the largest of each time")

    return [judged(row) for row in rows]


def _conditioned(rows: list[Row], case: Case, dtype: str) -> list[Row]:
    """Allow what rounding the file's numbers already does in float64."""
    moved = movement(case, tuple(row.name for row in rows if not row.ok), dtype)

    def judged(row: Row) -> Row:
        allowed = ALLOWED * moved.get(row.name, 0.0)
        if row.ok or row.name in case.spikes or row.largest > allowed:
            return row
        note = f"float64 moves by {moved[row.name]:.1e} when the file's numbers are rounded"
        return replace(row, tolerance=allowed, ok=True, note=note)

    return [judged(row) for row in rows]


def observed(case: Case) -> list[str]:
    """Paths whose values a program must keep so that they can be compared."""
    paths: dict[str, None] = {}
    for presentation in case.trace.presentations:
        for key in (*presentation.expect, *presentation.final, *presentation.update):
            paths[key.rpartition("/")[2]] = None
        for key in presentation.final:  # what a phase leaves, also one of no steps
            phase, _, path = key.rpartition("/")
            paths[path if "@" in path else f"{path}@{phase}"] = None
    return list(paths)


def fed(case: Case) -> list[str]:
    """Paths of draws that the trace replaces."""
    keys = [key for p in case.trace.presentations for key in p.feed]
    return list(dict.fromkeys(key.rpartition("/")[2] for key in keys))


def _place(case: Case, place: tuple[int, ...] | None) -> str:
    if place is None:
        return ""
    name = case.trace.presentations[place[0]].name
    return f"{name} at {list(place[1:])}" if place[1:] else name


def _row(case: Case, key: str, found: Difference) -> Row:
    return Row(
        key,
        found.largest,
        found.relative,
        found.tolerance,
        _place(case, found.first),
        found.ok,
        found.missing or (f"{found.unequal} of {found.size} differ" if found.unequal else "equal"),
    )


def _derived(entry: Derived, report: ReplayReport) -> Row:
    kept = [report.values.get(key, ()) for key in entry.keys]
    if not all(kept):
        missing = next(key for key, arrays in zip(entry.keys, kept, strict=True) if not arrays)
        return Row(entry.name, 0, 0, entry.tolerance, "", False, f"`{missing}` was not compared")
    largest, scale, first = 0.0, 0.0, ""
    for number, (arrays, expected) in enumerate(
        zip(zip(*kept, strict=False), entry.expected, strict=False)
    ):
        actual = np.asarray(entry.compute(*arrays), np.float64)
        if expected is None:
            continue
        gap = float(np.abs(actual - expected).max(initial=0.0))
        largest = max(largest, gap)
        scale = max(scale, float(np.abs(expected).max(initial=0.0)))
        if gap > entry.tolerance and not first:
            first = f"presentation {number}"
    relative = largest / scale if scale else largest
    ok = largest <= entry.tolerance
    return Row(entry.name, largest, relative, entry.tolerance, first, ok, "computed")


def _explain(rows: list[Row], case: Case, report: ReplayReport, dtype: str) -> list[Row]:
    """In float32, say where the first different spike comes from a near-tie."""
    first = _first_spike(case, report.differences)
    if dtype != "float32" or first is None:
        return rows
    key, place = first
    gap = near_tie(case, key, place)
    if gap is None or gap >= NEAR_TIE:
        return rows
    note = f"near-tie of {gap:.1e} between potential and threshold"
    return [
        Row(r.name, r.largest, r.relative, r.tolerance, r.first, True, note) if not r.ok else r
        for r in rows
    ]


def _first_spike(
    case: Case, differences: Mapping[str, Difference]
) -> tuple[str, tuple[int, ...]] | None:
    places = [
        (differences[key].first, key)
        for key in case.spikes
        if key in differences and differences[key].first is not None
    ]
    if not places:
        return None
    first, key = min(places, key=lambda pair: (pair[0] or ())[:2])
    return key, first or ()


def near_tie(case: Case, key: str, place: tuple[int, ...]) -> float | None:
    """Distance of the recorded potential from its threshold at a place of the trace.

    A unit that spiked has been reset: its potential is formed anew from the step before and the
    recorded current, by one Euler step.
    """
    presentation, step, *element = place
    expect = case.trace.presentations[presentation].expect
    stem = key.removesuffix(".s")

    def at(variable: str, when: int, start: float | Array) -> float:
        if when < 0:
            return float(np.asarray(start)[element[-1]] if np.ndim(start) else start)
        return float(expect[f"{stem}.{variable}"][(when, *element)])

    if f"{stem}.rise" in expect:  # what a spike takes off comes a step later
        return abs(at("v", step, 0.0) - at("rise", step, 0.0))
    if not {f"{stem}.{x}" for x in ("v", "j", "thr")} <= set(expect):
        return None
    rest = case.trace.init.get(f"{stem.rpartition('/')[2]}.thr0", np.zeros(1))
    share = _milliseconds(case, "tick") / _milliseconds(case, "tau_m")
    before = at("v", step - 1, 0.0)
    potential = before + share * (at("j", step, 0.0) - before)
    return abs(potential - at("thr", step - 1, rest))


def _milliseconds(case: Case, setting: str) -> float:
    return float(str(case.settings[setting]).split()[0])
