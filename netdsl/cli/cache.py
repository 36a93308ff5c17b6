"""`netdsl cache`."""

from __future__ import annotations

import click


@click.command("cache", help="List what netdsl keeps in the user's cache folder, or clear it.")
@click.option("--clear", is_flag=True, help="Remove compiled kernels and tables (not data).")
def command(clear: bool) -> int:
    """Exit code 0 when done. Files that netdsl did not make are neither listed nor removed."""
    from netdsl.files.cache import GRAMMARS, KERNELS, distrust
    from netdsl.paths import cache_path
    from netdsl.runtime.data import data_cache
    from netdsl.runtime.memory import readable

    folder, stores = cache_path(), (KERNELS, GRAMMARS)
    if clear:
        removed = [entry for store in stores for entry in store.clear()]
        total = readable(sum(entry.size for entry in removed))
        click.echo(f"removed {len(removed)} files, {total}, from {folder}")
        return 0
    found = [entry for store in stores for entry in store.entries()]
    for entry in found:
        click.echo(f"{readable(entry.size):>10}  {entry.path.relative_to(folder)}")
    click.echo(f"{len(found)} files, {readable(sum(e.size for e in found))}, in {folder}")
    for store in stores:
        if store.folder.exists() and (reason := distrust(store.folder)):
            click.echo(f"not used: {store.folder} {reason}")
    for path in sorted(data_cache().glob("*.npz")):
        click.echo(f"{readable(path.stat().st_size):>10}  {path} (data)")
    return 0
