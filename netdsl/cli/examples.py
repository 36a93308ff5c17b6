"""`netdsl examples`."""

from __future__ import annotations

import re
from pathlib import Path

import click


@click.command("examples", help="List the specs that come with netdsl, or copy NAME to a file.")
@click.argument("name", required=False)
@click.option("--out", type=click.Path(), help="File to write (default: NAME.net here).")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(name: str | None, out: str | None, force: bool) -> int:
    """Exit code 0 when done, 1 on an error."""
    specs = shipped()
    if name is None:
        for stem, path in specs.items():
            click.echo(f"{stem:<20} {_title(path)}")
        click.echo(f"in {specs_folder()}; copy one with `netdsl examples NAME`")
        return 0
    stem = name.removesuffix(".net")
    if stem not in specs:
        from netdsl.diagnostics import did_you_mean

        hint = did_you_mean(stem, specs)
        raise click.UsageError(f"there is no example `{name}`" + (f"; {hint}" if hint else ""))
    copy_spec(specs[stem], Path(out or f"{stem}.net"), force)
    return 0


def shipped() -> dict[str, Path]:
    """The specs that come along by name: models, then small examples."""
    folder = specs_folder()
    found = [*sorted(folder.glob("*.net")), *sorted(folder.glob("examples/*.net"))]
    return {path.stem: path for path in found}


def specs_folder() -> Path:
    """The folder of the specs in this installation."""
    from netdsl.paths import data_path

    return data_path("specs")


def copy_spec(source: Path, target: Path, force: bool) -> None:
    """Copy a spec, with the files that it uses, and say what to do with it."""
    from netdsl.runtime.atomic import write_text

    if target.exists() and not force:
        raise click.UsageError(f"`{target}` exists; --force overwrites it")
    text = source.read_text(encoding="utf-8")
    for used in re.findall(r'^use "([^"]+)"', text, re.MULTILINE):
        beside = target.parent / used
        if not beside.exists():
            write_text(beside, (source.parent / used).read_text(encoding="utf-8"))
            click.echo(f"wrote {beside}, which it uses")
    write_text(target, text)
    click.echo(f"wrote {target}; run it with `netdsl run {target}`")


def _title(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").rstrip(".")[:78]
    return ""
