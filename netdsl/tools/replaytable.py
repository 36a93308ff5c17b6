"""Replay reports as tables, and what a trace asks of a compilation."""

from __future__ import annotations

from netdsl.tools.replay import Difference, ReplayReport, Trace


def observed(trace: Trace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(observe, feed): variables that a trace compares and draws that it supplies."""
    observe: dict[str, None] = {}
    feed: dict[str, None] = {}
    for presentation in trace.presentations:
        for part in (presentation.expect, presentation.final, presentation.update):
            observe.update({key.rpartition("/")[2]: None for key in part})
        feed.update({key.rpartition("/")[2]: None for key in presentation.feed})
    return tuple(observe), tuple(feed)


def table(report: ReplayReport) -> str:
    """One line per variable: largest difference, where, and the first place beyond tolerance."""
    width = max([len(key) for key in report.differences] + [8])
    head = f"{'variable':<{width}}  {'largest':>9}  {'relative':>9}  {'tolerance':>9}  verdict"
    lines = [head]
    for key, found in report.differences.items():
        lines.append(
            f"{key:<{width}}  {found.largest:9.2e}  {found.relative:9.2e}"
            f"  {found.tolerance:9.1e}  {_verdict(found)}"
        )
    bad = sum(not found.ok for found in report.differences.values())
    count = len(report.differences)
    lines.append(f"{count - bad} of {count} variables within tolerance")
    return "\n".join(lines)


def _verdict(found: Difference) -> str:
    if found.missing:
        return f"not compared: {found.missing}"
    if found.first is None:
        return "ok"
    names = ("presentation", "step") if found.kind == "step" else ("presentation",)
    place = ", ".join(f"{name} {at}" for name, at in zip(names, found.first, strict=False))
    rest = found.first[len(names) :]
    element = f", element {list(rest)}" if rest else ""
    return f"beyond from {place}{element}"
