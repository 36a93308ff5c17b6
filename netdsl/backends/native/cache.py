"""Compiled objects in the user's cache folder, named by what they were made from.

A file is `KEY-DIGEST.so`: KEY is the hash of source, options, compiler and CPU, DIGEST that of the
file itself, so that a damaged file is recognised before it is loaded, and one atomic rename
publishes an entry whatever other processes do. The source lies beside it as `KEY.c`. Code for GPUs
is `KEY-DIGEST.cubin`, made from `KEY.cu`. What was used least recently goes when there are more
bytes than NETDSL_CACHE_SIZE allows.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from netdsl.backends.native import environment
from netdsl.codegen.errors import BackendError
from netdsl.files.cache import KERNELS, Entry, Untrusted
from netdsl.files.writing import temporary_folder

# Of an object: that of its source.
_SOURCES = {".so": ".c", ".cubin": ".cu"}
_MOST = 512.0  # MiB; NETDSL_CACHE_SIZE overrides


def folder() -> Path:
    """Where compiled objects are kept."""
    return KERNELS.folder


def key_of(*parts: str) -> str:
    """The name of what is made from `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def entries() -> list[Entry]:
    """Compiled objects, most recently used first."""
    return [entry for entry in KERNELS.entries() if entry.path.suffix in _SOURCES]


def clear() -> int:
    """Delete all files of the cache; returns how many. Files that others deleted are no error."""
    return len(KERNELS.clear())


def find(key: str, suffix: str = ".so") -> Path | None:
    """The intact object of a key, if nobody else could have put it there; damaged ones are
    deleted."""
    for path in KERNELS.trusted(f"{key}-"):
        if path.suffix != suffix:
            continue
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
) -> tuple[Path, str]:
    """Make an object and publish it; returns its path and why it is not in the cache ("" if it is).

    `make(source_file, object_file)` compiles. Where the cache cannot be written, or others could
    write to it, the object is in a temporary folder, which the caller deletes after loading it.
    Raises BackendError E0813 when there is no room for that either.
    """
    most = environment.positive("NETDSL_CACHE_SIZE", _MOST, "MiB") * 2**20
    try:
        made = _build_in(KERNELS.open(), key, source, make, suffix)
        KERNELS.trim(most)
        return made, ""
    except Untrusted as fault:
        reason = f"{folder()} {fault.strerror}"
    except OSError:
        reason = f"{folder()} cannot be written"
    try:
        place = Path(tempfile.mkdtemp(prefix="netdsl-"))
        try:
            return _build_in(place, key, source, make, suffix), reason
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    except OSError as error:
        raise BackendError(
            "E0813",
            f"neither the cache folder nor a temporary one can be written: {error}",
            "free some space, set NETDSL_CACHE to another folder, or use --backend numpy",
        ) from error


def _build_in(
    place: Path, key: str, source: str, make: Callable[[Path, Path], None], suffix: str
) -> Path:
    with temporary_folder(place, f"{key}-") as at:
        text, made = at / f"{key}{_SOURCES[suffix]}", at / f"{key}{suffix}"
        text.write_text(source, encoding="utf-8")
        make(text, made)
        # A compiler gives the rights that the user's mask leaves, perhaps to a whole group.
        text.chmod(0o600)
        made.chmod(0o700)
        final = place / f"{key}-{_digest(made.read_bytes())}{suffix}"
        text.replace(place / text.name)
        made.replace(final)
        return final


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
