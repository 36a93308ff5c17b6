"""`netdsl compare-runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("compare-runs", help="One figure and one table of a metric of several runs. Runs of "
               "one spec that differ only in their seed are averaged.")  # fmt: skip
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option("--metric", default="accuracy", show_default=True)
@click.option("--split", default="", help="Label of the evaluation (default: the last one logged).")
@click.option("--out", type=click.Path(), default=".", show_default=True)
@click.option("--format", "formats", multiple=True, default=("png",), show_default=True)
def command(
    runs: tuple[str, ...], metric: str, split: str, out: str, formats: tuple[str, ...]
) -> int:
    """Exit code 0 when drawn, 1 on an error."""
    from netdsl.runtime.rundir import RunDir
    from netdsl.tools.plots.driver import compare_runs

    groups: dict[str, list[Any]] = {}
    for run in runs:
        held = RunDir.open(Path(run))
        groups.setdefault(_group(held), []).append(held)
    label = split or _last_split(next(iter(groups.values()))[0], metric)
    files, table = compare_runs(groups, metric, label, Path(out), formats)
    click.echo(table)
    for file in files:
        click.echo(str(file))
    return 0


def _group(run: Any) -> str:
    """Runs of one spec with the same settings, whatever their seed, are one group."""
    params = run.params()
    sets = " ".join(f"{path}={value}" for path, value in params.get("set", {}).items())
    return f"{params.get('name', run.path.name)} {sets}".strip()


def _last_split(run: Any, metric: str) -> str:
    """The label with the most rows of a metric: a curve rather than a single test."""
    counts: dict[str, int] = {}
    for row in run.metrics():
        if metric in row:
            label = str(row.get("split", ""))
            counts[label] = counts.get(label, 0) + 1
    return max(counts, key=lambda label: counts[label], default="")
