"""`netdsl plot`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("plot", help="Draw learning curves, rasters, weights and codes of a run.")
@click.argument("run", type=click.Path())
@click.option("--out", type=click.Path(), help="Folder of the pictures (default: RUN/plots).")
@click.option("--format", "formats", multiple=True, default=("png",), show_default=True,
              help="png or svg; may be repeated.")  # fmt: skip
@click.option("--best", is_flag=True, help="Draw the best weights in place of the last.")
def command(run: str, out: str | None, formats: tuple[str, ...], best: bool) -> int:
    """Exit code 0 when something was drawn, 1 on an error."""
    from netdsl.runtime.rundir import RunDir
    from netdsl.tools.plots.driver import plot_run

    folder = None if out is None else Path(out)
    made = plot_run(RunDir.open(Path(run)), folder, formats, best)
    for file in made.files:
        click.echo(str(file))
    for name, reason in made.skipped.items():
        click.echo(f"not drawn: {name}: {reason}", err=True)
    return 0
