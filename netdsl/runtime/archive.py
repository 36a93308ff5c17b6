"""NPZ archives of plain arrays: written in one step, never pickled on either side."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.atomic import write_atomic

Arrays = dict[str, NDArray[Any]]

# A fixed time stamp, so that equal arrays give equal files.
_STAMP = (1980, 1, 1, 0, 0, 0)

# What reading an archive that was cut off or changed ends in: among others a size that no memory
# has, and a member that claims to be encrypted.
_DAMAGE = (
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    KeyError,
    RuntimeError,
    OverflowError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)


class ArchiveError(ValueError):
    """An archive is damaged, or holds Python objects; the message says which array."""


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Replace ``path`` by an NPZ archive of ``arrays``.

    Raises RunDirError E0723 if it cannot be written, ValueError for an array of Python objects.
    """

    def write(stream: IO[bytes]) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for key, array in arrays.items():
                member = zipfile.ZipInfo(f"{key}.npy", _STAMP)
                with archive.open(member, "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)

    write_atomic(path, write)


def read_npz(path: Path) -> Arrays:
    """All arrays of an archive. Raises OSError if it cannot be opened, ArchiveError if damaged."""
    arrays: Arrays = {}
    key = ""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                key = member.removesuffix(".npy")
                with archive.open(member) as stream:
                    arrays[key] = np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGE as fault:
        if "pickle" in str(fault):
            text = f"array `{key}` holds Python objects, which are never loaded"
            raise ArchiveError(text) from None
        raise ArchiveError(f"array `{key}` is damaged ({fault})") from None
    except zipfile.BadZipFile as fault:
        raise ArchiveError(str(fault)) from None
    return arrays
