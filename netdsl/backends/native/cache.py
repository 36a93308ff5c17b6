"""Compiled objects in the user's cache folder, named by what they were made from.

A file is `KEY-DIGEST.so`: KEY is the hash of source, options, compiler and CPU, DIGEST that of the
file itself, so that a damaged file is recognised before it is loaded, and one atomic rename
publishes an entry whatever other processes do. The source lies beside it as `KEY.c`. Code for GPUs
is `KEY-DIGEST.cubin`, made from `KEY.cu`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netdsl.codegen.errors import BackendError
from netdsl.paths import cache_path

# Of an object: that of its source.
_SOURCES = {".so": ".c", ".cubin": ".cu"}


@dataclass(frozen=True)
class Entry:
    """One file of the cache: path, bytes, and when it was last used (seconds since the epoch)."""

    path: Path
    size: int
    used: float


def folder() -> Path:
    """Where compiled objects are kept."""
    return cache_path() / "native"


def key_of(*parts: str) -> str:
    """The name of what is made from `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def entries() -> list[Entry]:
    """Compiled objects, most recently used first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder().iterdir():
            with contextlib.suppress(OSError):
                if path.suffix not in _SOURCES:
                    continue
                status = path.stat()
                found.append(Entry(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> int:
    """Delete all files of the cache; returns how many. Files that others deleted are no error."""
    count = 0
    with contextlib.suppress(OSError):
        for path in list(folder().iterdir()):
            with contextlib.suppress(OSError):
                path.unlink()
                count += 1
    return count


def find(key: str, suffix: str = ".so") -> Path | None:
    """The intact object of a key; damaged ones are deleted."""
    try:
        paths = sorted(folder().glob(f"{key}-*{suffix}"))
    except OSError:
        return None
    for path in paths:
        try:
            if _digest(path.read_bytes()) == path.stem.rpartition("-")[2]:
                with contextlib.suppress(OSError):
                    os.utime(path)
                return path
            path.unlink()
        except OSError:
            continue
    return None


def build(
    key: str, source: str, make: Callable[[Path, Path], None], suffix: str = ".so"
) -> tuple[Path, bool]:
    """Make an object and publish it; returns its path and whether it is in the cache.

    `make(source_file, object_file)` compiles. Where the cache cannot be written the object is in a
    temporary folder, which the caller deletes after loading it. Raises BackendError E0813 when
    there is no room for that either.
    """
    try:
        return _build_in(folder(), key, source, make, suffix), True
    except OSError:
        pass
    try:
        place = Path(tempfile.mkdtemp(prefix="netdsl-"))
        return _build_in(place, key, source, make, suffix), False
    except OSError as error:
        raise BackendError(
            "E0813",
            f"neither the cache folder nor a temporary one can be written: {error}",
            "free some space, set NETDSL_CACHE to another folder, or use --backend numpy",
        ) from error


def _build_in(
    place: Path, key: str, source: str, make: Callable[[Path, Path], None], suffix: str
) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{key}-", dir=place, ignore_cleanup_errors=True) as at:
        text, made = Path(at) / f"{key}{_SOURCES[suffix]}", Path(at) / f"{key}{suffix}"
        text.write_text(source, encoding="utf-8")
        make(text, made)
        final = place / f"{key}-{_digest(made.read_bytes())}{suffix}"
        text.replace(place / text.name)
        made.replace(final)
        return final


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
