"""`netdsl fmt`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("fmt", help="Format specs in place; comments stay.")
@click.argument("specs", nargs=-1, required=True, type=click.Path())
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
def command(specs: tuple[str, ...], check: bool) -> int:
    """Exit code 0 when all is well, 1 on an error or, with --check, for a file to be formatted."""
    from netdsl.runtime.atomic import write_text
    from netdsl.syntax.fmt import format_source
    from netdsl.syntax.parser import read_source

    changed = 0
    for spec in specs:
        text = read_source(spec)
        formatted = format_source(text, spec)
        if formatted == text:
            continue
        changed += 1
        if check:
            click.echo(f"{spec} would be formatted")
        else:
            write_text(Path(spec), formatted)
            click.echo(f"{spec} formatted")
    return 1 if check and changed else 0
