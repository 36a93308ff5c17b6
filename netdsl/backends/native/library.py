"""From a compilation unit to a loaded library: the cache, the compiler, ctypes."""

from __future__ import annotations

import ctypes
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from netdsl.backends.native import cache, compiler
from netdsl.codegen.errors import BackendError
from netdsl.diagnostics.waiting import slow

_LOG = logging.getLogger("netdsl")


@dataclass(frozen=True)
class Loaded:
    """A library, the file it came from, whether that was in the cache, and lines for the user."""

    library: ctypes.CDLL
    path: Path
    cached: bool
    notices: tuple[str, ...] = ()


def load(source: str, *, fast_math: bool = False) -> Loaded:
    """Compile a C file unless the cache has its object, and load it.

    Raises BackendError E0810 to E0814, E0860.
    """
    tool = compiler.find()
    flags = " ".join(
        option for options in compiler.flag_sets(fast_math=fast_math) for option in options
    )
    key = cache.key_of(source, flags, tool.identity, compiler.cpu_identity())
    found = cache.find(key)
    if found is not None:
        try:
            return Loaded(ctypes.CDLL(str(found)), found, True)
        except OSError:
            found.unlink(missing_ok=True)

    notices: list[str] = []

    def make(text: Path, target: Path) -> None:
        with slow(f"compiling with `{tool.name}`"):
            notices.append(compiler.compile_object(tool, text, target, fast_math=fast_math))

    path, reason = cache.build(key, source, make)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise BackendError(
            "E0814",
            f"what the C compiler `{tool.name}` made cannot be loaded: {error}",
            "set CC to another compiler, or use --backend numpy",
        ) from error
    finally:
        if reason:
            shutil.rmtree(path.parent, ignore_errors=True)  # what is loaded stays mapped
    if reason:
        notices.append(f"the cache folder {reason}: compiled in a temporary folder")
    said = tuple(filter(None, notices))
    for notice in said:
        _LOG.warning(notice)
    return Loaded(library, path, False, said)
