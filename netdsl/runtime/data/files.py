"""Opening data files: one place for missing, unreadable, compressed and too large ones.

How much a file will take is reckoned from its header before it is read, so that neither a header
that lies nor an archive that unpacks to more than there is can take the machine's memory. What is
said about a file never quotes it: it may be one that the user did not mean to show.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from netdsl.files.reading import MOST_EXPANSION, NotRegular, open_regular
from netdsl.runtime.errors import DataError
from netdsl.runtime.memory import readable, shortage

_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 26


# Of each element: as a split holds it, and once more while it is scaled.
FLOAT_BYTES = 8


@dataclass(frozen=True)
class Opened:
    """A data file that is open: its bytes, unpacked if it is gzip, and how many there can be."""

    stream: IO[bytes] | gzip.GzipFile
    longest: int
    packed: bool = False

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end."""
        return self.stream.read(count) or b""


@contextmanager
def open_data(path: Path) -> Iterator[Opened]:
    """A data file for reading, decompressed if it is gzip.

    Raises DataError E0702 if it cannot be opened, E0750 if it is no regular file, E0705 if its
    compression is damaged, also while it is read.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if stream.peek(2)[:2] == _GZIP_MAGIC:  # type: ignore[attr-defined]
                yield Opened(gzip.GzipFile(fileobj=stream), size * MOST_EXPANSION, True)
            elif path.suffix == ".gz":
                raise DataError(
                    "E0705",
                    f"`{path}` is named .gz but is not a gzip file",
                    "fetch it again, or take the .gz off its name if it is already unpacked",
                )
            else:
                yield Opened(stream, size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(
            "E0705",
            f"gzip file `{path}` is damaged",
            "it was probably cut off while being fetched; fetch it again",
        ) from None
    except OSError as fault:
        raise cannot_open(path, fault) from None


def read_all(path: Path, copies: int) -> bytes:
    """The content of a data file, if the machine has memory for so many copies of it.

    Raises DataError as `open_data` and `require_room` do.
    """
    found = bytearray()
    with open_data(path) as file:
        if not file.packed:
            require_room(path, file.longest * copies)
        while piece := file.read(_PIECE):
            found += piece
            if file.packed:
                require_room(path, len(found) * copies)
    return bytes(found)


def require_room(path: Path, needed: int) -> None:
    """Raises DataError E0751 when the machine has not so many bytes left for what a file holds."""
    left = shortage(needed)
    if left is not None:
        raise DataError(
            "E0751",
            f"what `{path}` holds would take {readable(needed)}, and the machine has"
            f" {readable(left)} of memory left",
            "keep fewer samples in the file, or cut it into several data sets",
        )


def cannot_open(path: Path, fault: OSError) -> DataError:
    """The error for a file that is missing, may not be read, or is none."""
    if isinstance(fault, NotRegular):
        return DataError(
            "E0750",
            f"data file `{path}` cannot be read: {fault.strerror}",
            "data are read from files; store in one what it gives",
        )
    reason = (
        "does not exist"
        if isinstance(fault, FileNotFoundError)
        else f"cannot be read: {fault.strerror}"
    )
    return DataError("E0702", f"data file `{path}` {reason}", "check the path given to `--data`")
