"""`netdsl align`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from netdsl.cli.options import compile_model, model_options


@click.command("align", help="Compare the updates of a spec's rules with the true gradient of a "
               "loss: cosine, angle and norm ratio by projection.")  # fmt: skip
@model_options
@click.option("--loss", help="Name of a loss, or an expression (default: the only one).")
@click.option("--batches", type=click.IntRange(1), default=4, show_default=True,
              help="Batches compared at each point.")  # fmt: skip
@click.option("--every", type=click.IntRange(0), default=0,
              help="Train by the spec's rules, with a point every so many batches.")  # fmt: skip
@click.option("--points", type=click.IntRange(1), default=10, show_default=True,
              help="How many points there are with --every.")  # fmt: skip
@click.option("--weights", type=click.Path(), help="Start from the weights in this file.")
@click.option("--protocol", default="train", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print all batches as JSON.")
@click.option("--plot", type=click.Path(), help="Draw the figure into this png, svg or pdf file.")
def command(
    loss: str | None, batches: int, every: int, points: int, weights: str | None, protocol: str,
    as_json: bool, plot: str | None, **options: Any,
) -> int:  # fmt: skip
    """Exit code 0 when compared, warnings or not, 1 on an error."""
    from netdsl.cli.output import show_diagnostics
    from netdsl.tools.plots.style import check_formats

    if plot is not None:
        check_formats([Path(plot).suffix[1:]])
    model = compile_model(**options)
    if weights is not None:
        model.load_state(weights)
    found = model.align(loss, batches=batches, every=every, points=points, protocol=protocol)
    click.echo(json.dumps(found.json(), indent=2) if as_json else found.render())
    show_diagnostics(found.warnings, model.sources)
    if plot is not None:
        from netdsl.tools.plots.alignment import alignment_figure
        from netdsl.tools.plots.style import save_figure

        path = Path(plot)
        save_figure(alignment_figure(found), path.parent, path.stem, [path.suffix[1:]])
    return 0
