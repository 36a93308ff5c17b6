"""Files replaced in one step, and temporary ones that are known to be dead when their maker is.

Whoever makes a temporary file or folder holds a lock on it, which the system takes away when the
process ends, however it ends. What nobody holds was left behind and may go.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from netdsl.files.reading import require_regular

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

# Where locks say nothing, as on some network drives: seconds after which nobody can be at work.
_LONG_AGO = 24 * 3600.0


def replace_file(path: Path, write: Callable[[IO[bytes]], None], mode: int | None = None) -> None:
    """Replace `path` by what `write` puts into the binary stream it is handed.

    The content goes to a temporary file in the same folder, is forced to disk, and takes the name
    in one step; after any exception, of `write` or of the system (OSError), the old file is as it
    was and the temporary is gone. `mode`: the rights of the file (default: as for any new one).
    """
    with contextlib.suppress(FileNotFoundError):
        require_regular(path.stat(), path)  # a device would become a file
    prefix = f".{path.name}."
    name = re.compile(re.escape(prefix) + r"\w{8}\.tmp")
    remove_abandoned(p for p in _inside(path.parent) if name.fullmatch(p.name))
    temporary, stream, lock = _temporary_file(path.parent, prefix)
    try:
        with stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask() if mode is None else mode)
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)  # after the replacement nothing has this name any more
        _let_go(lock)


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder of mode 0700 that is removed afterwards. Raises OSError."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = os.open(made, os.O_RDONLY) if fcntl is not None else None
        if lock is None or _held(lock, made):
            break
        _let_go(lock)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        _let_go(lock)


def remove_abandoned(paths: Iterable[Path]) -> int:
    """Remove those temporary files and folders that nobody holds; returns how many."""
    return sum(_remove_if_abandoned(path) for path in paths)


def _remove_if_abandoned(path: Path) -> bool:
    try:
        if fcntl is None:
            return _is_old(path) and _remove(path)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _remove(path)
    except BlockingIOError:
        return False
    except OSError:
        return _is_old(path) and _remove(path)
    finally:
        os.close(handle)


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _LONG_AGO


def _remove(path: Path) -> bool:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True


def _temporary_file(folder: Path, prefix: str) -> tuple[Path, IO[bytes], int | None]:
    """A new file, its stream, and what holds the lock on it longer than the stream is open."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=".tmp")
        if fcntl is None:
            return Path(name), os.fdopen(handle, "wb"), None
        if _held(handle, Path(name)):
            return Path(name), os.fdopen(handle, "wb"), os.dup(handle)
        os.close(handle)


def _held(handle: int, path: Path) -> bool:
    """Lock a new temporary; False when another process took it for an abandoned one before."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _let_go(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


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
