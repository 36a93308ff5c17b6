"""`netdsl show`."""

from __future__ import annotations

import click

from netdsl.cli.options import backend_option, form_option, keep_option, set_option
from netdsl.cli.output import pairs_of

KINDS = ("tokens", "ast", "network", "ir", "passes", "schedule", "memory", "kernel", "graph")


@click.command("show", help="Print a form of a spec: tokens, ast, network (names resolved), ir "
               "(the step program, as text that reads back), passes (with milliseconds), schedule, "
               "memory, kernel (generated code) or graph (DOT: populations, modulators, data and "
               "readouts, and what reaches what). NAME picks one population, projection, "
               "routine or buffer.")  # fmt: skip
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("spec", type=click.Path())
@click.argument("name", required=False)
@click.option("--after", metavar="PASS", help="ir: the network or program behind this pass.")
@backend_option
@form_option
@keep_option
@set_option
def command(
    kind: str,
    spec: str,
    name: str | None,
    after: str | None,
    backend: str,
    form: str,
    keep: str,
    sets: tuple[str, ...],
) -> int:
    """Exit code 0 when printed, 1 on an error."""
    from netdsl.tools.show import show_text

    if kind in ("tokens", "ast"):
        click.echo(show_text(kind, spec, name))
        return 0
    import netdsl

    model = netdsl.compile(spec, backend, set=pairs_of(sets, "--set"), form=form, keep=keep)
    click.echo(model.show(kind, name, after=after))
    return 0
