"""`netdsl bench`."""

from __future__ import annotations

from typing import Any

import click

from netdsl.cli.options import compile_model, model_options


@click.command(
    "bench",
    help="Time a training batch of a spec, or a run of one without data, by routine and, on "
    "native, by kernel.",
)
@model_options
@click.option("--batches", type=int, default=3, show_default=True)
def command(batches: int, **options: Any) -> int:
    """Exit code 0 when measured, 1 on an error."""
    from netdsl.runtime.backend import choose
    from netdsl.tools.bench import bench_model

    options["backend"], _ = choose(options["backend"])
    if options["backend"] == "native":
        options["profile"] = True
    click.echo(bench_model(compile_model(**options), max(1, batches)))
    return 0
