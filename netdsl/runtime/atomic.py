"""Writing files so that a reader, a crash or a full disk never sees half of one.

The content goes to a temporary file in the same folder, is forced to disk, and takes the name of
the old file in one step. If anything fails the old file is as it was and the temporary is gone.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from netdsl.runtime.errors import RunDirError


def write_atomic(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Replace ``path`` by what ``write`` puts into the binary stream it is handed.

    Raises RunDirError E0723 if the folder or disk does not allow it; any other exception of
    ``write``, an interrupt included, passes through. The old file stays intact in both cases.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as fault:
        raise _cannot_write(path, fault) from fault
    finally:
        # After the replacement nothing has this name any more.
        if temporary is not None:
            temporary.unlink(missing_ok=True)


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


def _umask() -> int:
    # There is no way to read the mask without setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where the system allows a folder to be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


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
