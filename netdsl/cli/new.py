"""`netdsl new`."""

from __future__ import annotations

from pathlib import Path

import click

from netdsl.cli.examples import copy_spec, specs_folder


@click.command("new", help="Write a spec to start from (a copy of an example).")
@click.argument("file", type=click.Path())
@click.option("--like", default="csdp", show_default=True, help="The example to copy.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(file: str, like: str, force: bool) -> int:
    """Exit code 0 when written, 1 on an error."""
    source = specs_folder() / f"{like.removesuffix('.net')}.net"
    if not source.exists():
        have = ", ".join(path.stem for path in sorted(specs_folder().glob("*.net")))
        raise click.UsageError(f"there is no example `{like}`; there are {have}")
    target = Path(file)
    if target.suffix != ".net":
        target = target.with_name(target.name + ".net")
    copy_spec(source.read_text(encoding="utf-8"), target, force)
    return 0
