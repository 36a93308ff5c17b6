"""Where the files that travel with the program are, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_path(kind: str) -> Path:
    """The folder of `grammars`, `templates`, `specs` or `library`.

    The library is part of the package; the others are top-level folders of a checkout and
    `netdsl/_data/KIND` in a wheel. Raises FileNotFoundError when the installation lacks it.
    """
    if kind == "library":
        candidates = [_PACKAGE / "library"]
    else:
        candidates = [_PACKAGE / "_data" / kind, _PACKAGE.parent / kind]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"this installation of netdsl lacks its folder `{kind}`")


def cache_path() -> Path:
    """The user's cache folder for netdsl (it may not exist); `NETDSL_CACHE` overrides it."""
    override = os.environ.get("NETDSL_CACHE")
    if override:
        # Compilers are handed this path: it must not look like one of their options.
        return Path(override).absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path raises without a home)
    return (Path(base) if base else home / ".cache") / "netdsl"
