"""The LALR tables of the grammar, built once and kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import lark
from lark import Lark

from netdsl.paths import cache_path, data_path

_OPTIONS = {"parser": "lalr", "lexer": "basic", "propagate_positions": True}


@lru_cache(maxsize=1)
def load_grammar() -> Lark:
    """The parser of the language.

    Its tables come from the cache when that holds an entry for this grammar, this version of
    lark and this Python; any trouble with the cache only costs the time to build them again.
    """
    text = (data_path("grammars") / "netdsl.lark").read_text(encoding="utf-8")
    version = f"{lark.__version__}/{sys.version_info[:2]}/{sorted(_OPTIONS.items())}"
    key = hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()[:24]
    file = cache_path() / "grammar" / f"{key}.lalr"
    with contextlib.suppress(Exception):
        if not _foreign(file):
            return Lark.load(io.BytesIO(file.read_bytes()))
    parser = Lark(text, **_OPTIONS)
    with contextlib.suppress(OSError):
        _store(parser, file)
    return parser


def _foreign(file: Path) -> bool:
    """Whether somebody else could have written the entry: it is a pickle, so this matters."""
    if not hasattr(os, "getuid"):
        return False
    info = file.stat()
    return info.st_uid != os.getuid() or bool(info.st_mode & 0o022)


def _store(parser: Lark, file: Path) -> None:
    """Write the entry beside its place, then rename: readers never see half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            parser.save(stream)
        Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
