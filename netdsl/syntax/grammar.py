"""The LALR tables of the grammar, built once and kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from functools import lru_cache

import lark
from lark import Lark

from netdsl.files.cache import GRAMMARS
from netdsl.files.writing import replace_file
from netdsl.paths import data_path

_OPTIONS = {"parser": "lalr", "lexer": "basic", "propagate_positions": True}
_MOST = 16 << 20  # bytes of tables that stay, of this version and older ones


@lru_cache(maxsize=1)
def load_grammar() -> Lark:
    """The parser of the language.

    Its tables come from the cache when that holds an entry for this grammar, this version of
    lark and this Python; any trouble with the cache only costs the time to build them again.
    """
    text = (data_path("grammars") / "netdsl.lark").read_text(encoding="utf-8")
    version = f"{lark.__version__}/{sys.version_info[:2]}/{sorted(_OPTIONS.items())}"
    key = hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()[:24]
    name = f"{key}.lalr"
    # The tables are a pickle: only what nobody else could have written is read.
    with contextlib.suppress(Exception):
        for file in GRAMMARS.trusted(key):
            return Lark.load(io.BytesIO(file.read_bytes()))
    parser = Lark(text, **_OPTIONS)
    with contextlib.suppress(OSError):
        replace_file(GRAMMARS.open() / name, parser.save, mode=0o600)
        GRAMMARS.trim(_MOST)
    return parser
