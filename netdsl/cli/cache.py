"""`netdsl cache`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("cache", help="List what netdsl keeps in the user's cache folder, or clear it.")
@click.option("--clear", is_flag=True, help="Remove compiled kernels and tables (not data).")
def command(clear: bool) -> int:
    """Exit code 0 when done."""
    from netdsl.paths import cache_path
    from netdsl.runtime.memory import readable

    folder = cache_path()
    files = (
        [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []
    )
    kept = [path for path in files if path.relative_to(folder).parts[0] != "data"]
    total = sum(path.stat().st_size for path in kept)
    if clear:
        removed = sum(_remove(path) for path in kept)
        click.echo(f"removed {removed} files, {readable(total)}, from {folder}")
        return 0
    for path in files:
        click.echo(f"{readable(path.stat().st_size):>10}  {path.relative_to(folder)}")
    click.echo(f"{len(files)} files in {folder}")
    return 0


def _remove(path: Path) -> int:
    """1 when removed; another process may have been faster, or hold it open."""
    try:
        path.unlink()
    except OSError:
        return 0
    return 1
