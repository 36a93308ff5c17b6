"""`netdsl explain`."""

from __future__ import annotations

import click


@click.command("explain", help="Explain a diagnostic code: cause, a bad and a good example.")
@click.argument("code", required=False)
@click.option("--list", "listed", is_flag=True, help="List all codes with their titles.")
def command(code: str | None, listed: bool) -> int:
    """Exit code 0, or 1 when there is no such code."""
    from netdsl.diagnostics.catalogue import catalogue, explain

    if listed:
        click.echo("\n".join(f"{e.code}  {e.title}" for _, e in sorted(catalogue().items())))
        return 0
    if code is None:
        raise click.UsageError("name a code, as in `netdsl explain E0101`, or give --list")
    page = explain(code)
    if page is None:
        from netdsl.diagnostics import did_you_mean

        hint = did_you_mean(code.upper(), catalogue())
        click.echo(f"there is no code `{code}`" + (f"; {hint}" if hint else ""), err=True)
        return 1
    click.echo(page)
    return 0
