"""`netdsl run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netdsl.cli.options import compile_model, model_options


@click.command("run", help="Run a spec's `train` protocol, then `test`; save to a run directory.")
@model_options
@click.option("--seeds", type=int, default=1, help="Run this many seeds, one after the other.")
@click.option("--epochs", type=int, help="In place of the protocol's own.")
@click.option("--limit", type=int, help="Use so many training samples in an epoch.")
@click.option("--protocol", default="train", show_default=True)
@click.option("--out", type=click.Path(), default="runs", show_default=True,
              help="Folder in which the run directory is made.")  # fmt: skip
@click.option("--resume", type=click.Path(), help="Continue the run in this directory.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    seeds: int, epochs: int | None, limit: int | None, protocol: str, out: str,
    resume: str | None, quiet: bool, **options: Any,
) -> int:  # fmt: skip
    """Exit code 0 when done, 1 on an error, 130 when stopped."""
    _require(epochs, "--epochs", 0)
    _require(limit, "--limit", 1)
    _require(seeds, "--seeds", 1)
    first = options.pop("seed")
    if resume is not None and seeds > 1:
        raise click.UsageError("--resume continues one run; leave --seeds out")
    for seed in range(first, first + seeds):
        if resume is not None:
            options, seed, epochs, limit = _continued(Path(resume), options, epochs, limit)
        model = compile_model(**options, seed=seed)
        if seeds > 1:
            click.echo(f"seed {seed}")
        result = model.run(
            protocol, epochs=epochs, limit=limit, out=out, resume=resume, quiet=quiet
        )
        _report(result)
        if result.interrupted:
            return 130
    return 0


def _require(value: int | None, name: str, least: int) -> None:
    if value is not None and value < least:
        raise click.UsageError(f"{name} must be at least {least}, not {value}")


def _continued(
    run: Path, options: dict[str, Any], epochs: int | None, limit: int | None
) -> tuple[dict[str, Any], int, int | None, int | None]:
    """Options of a run that is taken up again: its own, where the command line gives none."""
    from netdsl.runtime.rundir import RunDir

    held = RunDir.open(run).params()
    sets = tuple(f"{path}={value}" for path, value in held.get("set", {}).items())
    data = tuple(f"{name}={path}" for name, path in held.get("data", {}).items())
    options = {
        **options,
        "sets": (*sets, *options["sets"]),
        "data": (*data, *options["data"]),
        "dtype": held["dtype"],
        "backend": held["backend"] if options["backend"] == "auto" else options["backend"],
    }
    return (
        options,
        int(held["seed"]),
        held["epochs"] if epochs is None else epochs,
        held["limit"] if limit is None else limit,
    )


def _report(result: Any) -> None:
    from netdsl.runtime.progress import format_metrics

    for label, metrics in result.metrics.items():
        click.echo(f"{label}: {format_metrics(metrics)}")
    where = result.directory
    if result.interrupted:
        click.echo(f"stopped; what was learned is in {where}")
        click.echo(f"continue with: netdsl run {where}/spec.net --resume {where}")
    elif where is not None:
        click.echo(f"saved to {where}")
