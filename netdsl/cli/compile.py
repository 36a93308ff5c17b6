"""`netdsl compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netdsl.cli.options import compile_model, model_options


@click.command("compile", help="Write a spec's generated code, schedule, memory plan and locality "
               "certificate to a folder. Needs neither a C compiler nor a GPU.")  # fmt: skip
@model_options
@click.option("--out", type=click.Path(file_okay=False),
              help="The folder; the default is compiled/SPEC-BACKEND.")  # fmt: skip
def command(out: str | None, **options: Any) -> int:
    """Exit code 0 when written, 1 on an error."""
    from netdsl.codegen.source import SUFFIXES
    from netdsl.runtime.atomic import make_folder, write_text
    from netdsl.runtime.backend import choose

    model = compile_model(**options)
    backend = choose(model.backend)[0]
    name = Path(options["spec"]).stem
    folder = Path(out) if out is not None else Path("compiled") / f"{name}-{backend}"
    source = model.show("kernel")
    files = {
        f"{name}{SUFFIXES[backend]}": source,
        "network.txt": model.show("network"),
        "program.txt": model.show("ir"),
        "schedule.txt": model.show("schedule"),
        "memory.txt": model.show("memory"),
        "certificate.txt": model.certificate.render(),
    }
    make_folder(folder)
    for file, text in files.items():
        write_text(folder / file, text.rstrip("\n") + "\n")
    routines, lines = len(model.program.routines), source.count("\n")
    click.echo(f"{options['spec']}: {backend}, {model.dtype}, {routines} routines, {lines} lines")
    click.echo(f"wrote {', '.join(files)} to {folder}")
    return 0
