"""`netdsl run`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from netdsl.cli.options import compile_model, duration, given_options, set_options


@click.command("run", help="Run a spec's `train` protocol (or its only one), then `test`; "
               "save to a run directory. "
               "`netdsl run --resume RUN` goes on with a run as it was begun.")  # fmt: skip
@click.argument("spec", type=click.Path(), required=False)
@set_options
@click.option("--seeds", type=int, default=1, help="Run this many seeds, one after the other.")
@click.option("--epochs", "--iterations", "epochs", type=int,
              help="In place of the protocol's own.")  # fmt: skip
@click.option("--limit", type=int, help="Use so many training samples in an epoch.")
@click.option("--protocol", help="The protocol to run.  [default: train, or the only one]")
@click.option("--out", type=click.Path(), default="runs", show_default=True,
              help="Folder in which the run directory is made.")  # fmt: skip
@click.option("--resume", type=click.Path(), help="Continue the run in this directory.")
@click.option("--checkpoint-every", type=duration, metavar="TIME", default="10min",
              show_default=True, help="Save within epochs so often: 30s, 10min, 1h.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    spec: str | None, seeds: int, resume: str | None, out: str, epochs: int | None,
    limit: int | None, seed: int, **options: Any,
) -> int:  # fmt: skip
    """Exit code 0 when done, 1 on an error, 130 when stopped."""
    _require(epochs, "--epochs", 0)
    _require(limit, "--limit", 1)
    _require(seeds, "--seeds", 1)
    how = {name: options.pop(name) for name in ("protocol", "checkpoint_every", "quiet")}
    how.update(epochs=epochs, limit=limit)
    if resume is not None:
        if seeds > 1:
            raise click.UsageError("--resume continues one run; leave --seeds out")
        return _run(_continued(Path(resume), spec, options), resume=resume, **how)
    if spec is None:
        raise click.UsageError("name a SPEC to run, or continue a run with --resume RUN")
    for number in range(seed, seed + seeds):
        model = compile_model(spec, **options, seed=number)
        if seeds > 1:
            click.echo(f"seed {number}")
        code = _run(model, out=out, **how)
        if code:
            return code
    return 0


def _run(model: Any, **how: Any) -> int:
    result = model.run(how.pop("protocol"), **how)
    _report(result)
    return 130 if result.interrupted else 0


def _require(value: int | None, name: str, least: int) -> None:
    if value is not None and value < least:
        raise click.UsageError(f"{name} must be at least {least}, not {value}")


def _continued(run: Path, spec: str | None, options: dict[str, Any]) -> Any:
    """The model of a run that is taken up again: its own, where the command line says nothing."""
    from netdsl.cli.opening import open_run
    from netdsl.cli.output import pairs_of

    return open_run(
        run,
        options["backend"],
        pairs_of(options["data"], "--data"),
        spec=spec,
        sets=pairs_of(options["sets"], "--set"),
        **given_options("dtype", "seed", "form", "keep", "fast_math"),
    )


def _report(result: Any) -> None:
    from netdsl.runtime.progress import format_metrics

    for label, metrics in result.metrics.items():
        if metrics:
            click.echo(f"{label}: {format_metrics(metrics)}")
    where = result.directory
    if result.interrupted:
        click.echo(f"stopped; what was learned is in {where}")
        click.echo(f"continue with: netdsl run --resume {shlex.quote(str(where))}")
    elif where is not None:
        click.echo(f"saved to {where}")
