"""`netdsl compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netdsl.cli.options import compile_model, model_options


@click.command("compile", help="Compile a spec, and print its size or write the generated code.")
@model_options
@click.option("--out", type=click.Path(), help="File for the generated code.")
def command(out: str | None, **options: Any) -> int:
    """Exit code 0 when compiled, 1 on an error."""
    from netdsl.runtime.atomic import write_text
    from netdsl.runtime.memory import readable

    model = compile_model(**options)
    source = model.show("kernel")
    if out is not None:
        write_text(Path(out), source)
        click.echo(f"wrote {out}")
    routines = len(model.program.routines)
    lines = source.count("\n")
    size = readable(model.session.executor.nbytes())
    click.echo(
        f"{options['spec']}: {model.backend}, {model.dtype}, {routines} routines,"
        f" {lines} lines, {size} for {model.rows} samples at a time"
    )
    return 0
