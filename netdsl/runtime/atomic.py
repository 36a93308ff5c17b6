"""Writing files so that a reader, a crash or a full disk never sees half of one."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import IO

from netdsl.files.writing import replace_file
from netdsl.runtime.errors import RunDirError


def write_atomic(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Replace ``path`` by what ``write`` puts into the binary stream it is handed.

    Raises RunDirError E0723 if the folder or disk does not allow it; any other exception of
    ``write``, an interrupt included, passes through. The old file stays intact in both cases.
    """
    try:
        replace_file(path, write)
    except OSError as fault:
        raise _cannot_write(path, fault) from fault


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8. Raises RunDirError E0723."""
    write_atomic(path, lambda stream: _write_all(stream, text.encode()))


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing. Raises RunDirError E0723."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        message = f"cannot make the folder `{path}`: {reason}"
        raise RunDirError("E0723", message, "choose another folder, or check its rights") from fault


def _write_all(stream: IO[bytes], data: bytes) -> None:
    stream.write(data)


def _cannot_write(path: Path, fault: OSError) -> RunDirError:
    full = fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    kept = "; the file of that name is as it was before" if path.exists() else ""
    help = "check its rights"
    if full:
        help = "free some space, or choose another folder for runs"
    elif isinstance(fault, FileNotFoundError):
        help = f"make the folder `{path.parent}` first"
    message = f"cannot write `{path}`: {fault.strerror or fault}{kept}"
    return RunDirError("E0723", message, help)
