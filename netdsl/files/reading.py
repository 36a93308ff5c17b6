"""Reading what a specification or a command line names: regular files, and no more than is wanted.

A device, a pipe or a socket may never end, may wait for ever, or may do something when it is
opened; so what a path leads to is asked first, and again once it is open.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

MOST_EXPANSION = 1032  # of deflate: bytes that one byte can stand for
MOST_TEXT = 4 << 20  # bytes of a spec or of a description in a run directory
# Opening something that waits for a partner must not wait, should it take the place of a file.
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)  # fmt: skip
_KINDS = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class NotRegular(OSError):
    """The path leads to a device, a pipe or a socket."""


class TooLong(OSError):
    """The file holds more than may be read of it."""


def open_regular(path: str | Path) -> IO[bytes]:
    """A regular file, opened for reading.

    Raises NotRegular for anything else but a folder, and OSError as `open` does.
    """
    require_regular(os.stat(path), path)  # noqa: PTH116 (texts are paths here, too)
    handle = os.open(path, _FLAGS)
    try:
        require_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bytes(path: str | Path, most: int = MOST_TEXT) -> bytes:
    """The content of a regular file. Raises OSError: NotRegular, or TooLong beyond `most` bytes."""
    with open_regular(path) as stream:
        found = stream.read(most + 1) or b""
    if len(found) > most:
        raise TooLong(errno.EFBIG, f"it holds more than {most >> 20} MiB", str(path))
    return found


def read_text(path: str | Path) -> str:
    """The text of a regular file in UTF-8. Raises OSError or UnicodeDecodeError."""
    return read_bytes(path).decode("utf-8")


def require_regular(found: os.stat_result, path: str | Path) -> None:
    """Raises NotRegular, or IsADirectoryError for a folder."""
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for test, name in _KINDS if test(found.st_mode)), "something else")
    raise NotRegular(errno.EINVAL, f"it is {kind}, not a file", str(path))
