"""`netdsl fetch`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("fetch", help="Fetch a data set (mnist, fashion, kmnist or an OpenML name). This is "
               "the only command that uses the network.")  # fmt: skip
@click.argument("name")
@click.option(
    "--out", type=click.Path(), help="NPZ file to write (default: the user's data folder)."
)
def command(name: str, out: str | None) -> int:
    """Exit code 0 when stored, 1 on an error."""
    from netdsl.runtime.data import fetch_openml_npz

    path = fetch_openml_npz(name, None if out is None else Path(out))
    click.echo(f"stored {path}")
    return 0
