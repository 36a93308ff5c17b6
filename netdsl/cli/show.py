"""`netdsl show`."""

from __future__ import annotations

import click

from netdsl.cli.options import backend_option, set_option
from netdsl.cli.output import pairs_of

KINDS = ("tokens", "ast", "ir", "schedule", "memory", "kernel", "graph")


@click.command("show", help="Print tokens, ast, ir, schedule, memory, kernel or graph of a spec; "
               "NAME picks one population, projection, routine or buffer.")  # fmt: skip
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("spec", type=click.Path())
@click.argument("name", required=False)
@backend_option
@set_option
def command(kind: str, spec: str, name: str | None, backend: str, sets: tuple[str, ...]) -> int:
    """Exit code 0 when printed, 1 on an error."""
    from netdsl.show import show_text

    if kind in ("tokens", "ast"):
        click.echo(show_text(kind, spec, name))
        return 0
    import netdsl

    click.echo(netdsl.compile(spec, backend, set=pairs_of(sets, "--set")).show(kind, name))
    return 0
