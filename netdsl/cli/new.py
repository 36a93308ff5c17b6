"""`netdsl new`."""

from __future__ import annotations

from pathlib import Path

import click

from netdsl.cli.examples import copy_spec, shipped


@click.command("new", help="Write a spec to start from (a copy of an example).")
@click.argument("file", type=click.Path())
@click.option("--like", default="csdp", show_default=True, help="The example to copy.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(file: str, like: str, force: bool) -> int:
    """Exit code 0 when written, 1 on an error."""
    specs = shipped()
    source = specs.get(like.removesuffix(".net"))
    if source is None:
        raise click.UsageError(f"there is no example `{like}`; there are {', '.join(specs)}")
    target = Path(file)
    if target.suffix != ".net":
        target = target.with_name(target.name + ".net")
    copy_spec(source, target, force)
    return 0
