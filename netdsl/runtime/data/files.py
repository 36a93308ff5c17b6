"""Opening data files: one place for missing, unreadable and compressed ones."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from netdsl.runtime.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """The content of ``path``, decompressed if it is gzip.

    Raises DataError E0702 if it cannot be opened, E0705 if its compression is damaged.
    """
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise cannot_open(path, fault) from None
    if not raw.startswith(_GZIP_MAGIC):
        if path.suffix == ".gz":
            raise DataError(
                "E0705",
                f"`{path}` is named .gz but is not a gzip file",
                "fetch it again, or take the .gz off its name if it is already unpacked",
            )
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as fault:
        raise DataError(
            "E0705",
            f"gzip file `{path}` is damaged: {fault}",
            "it was probably cut off while being fetched; fetch it again",
        ) from None


def cannot_open(path: Path, fault: OSError) -> DataError:
    """The error for a file that is missing or may not be read."""
    reason = (
        "does not exist"
        if isinstance(fault, FileNotFoundError)
        else f"cannot be read: {fault.strerror}"
    )
    return DataError("E0702", f"data file `{path}` {reason}", "check the path given to `--data`")
