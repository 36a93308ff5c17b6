"""NPZ archives of plain arrays: written in one step, never pickled on either side."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.files.reading import MOST_EXPANSION, open_regular
from netdsl.runtime.atomic import write_atomic
from netdsl.runtime.memory import readable, shortage

Arrays = dict[str, NDArray[Any]]

# A fixed time stamp, so that equal arrays give equal files.
_STAMP = (1980, 1, 1, 0, 0, 0)

_ENCRYPTED = 1
# At most so many bytes stand behind one of the archive, by what packed them.
_EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: MOST_EXPANSION}
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What reading an archive that was cut off or changed ends in: among others a size that no memory
# has, and a member that claims to be encrypted.
_DAMAGES = (
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError, EOFError,
    ValueError, TypeError, KeyError, ArithmeticError, RuntimeError, MemoryError,
)  # fmt: skip


class ArchiveError(ValueError):
    """An archive is damaged, or holds Python objects; the message says which array."""


class TooLarge(ArchiveError):
    """What an archive holds does not fit into memory."""


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


def read_npz(path: Path, beside: int = 0) -> Arrays:
    """All arrays of an archive.

    What they take, and `beside` bytes for each element of theirs, is reckoned before any is read.
    Raises OSError if it cannot be opened or is no regular file, ArchiveError if it is damaged,
    TooLarge if its arrays do not fit into memory.
    """
    arrays: Arrays = {}
    key = ""
    try:
        with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
            needed = 0
            for member in archive.infolist():
                key = _key(member)
                needed += member.file_size + beside * _elements(archive, member)
            _require_room(needed)
            for member in archive.infolist():
                key = _key(member)
                with archive.open(member) as entry:
                    arrays[key] = np.lib.format.read_array(entry, allow_pickle=False)
    except ArchiveError:
        raise
    except _DAMAGES:
        # What NumPy says about a wrong header quotes it; the file may be none of ours.
        where = f"array `{key}` is damaged" if key else "it is no NPZ archive, or cut off"
        raise ArchiveError(where) from None
    return arrays


def _key(member: zipfile.ZipInfo) -> str:
    """The name of an array. Raises ArchiveError for what no archive of arrays holds."""
    if not member.filename.endswith(".npy") or member.flag_bits & _ENCRYPTED:
        raise ArchiveError("it holds other things than arrays")
    key = member.filename.removesuffix(".npy")
    most = member.compress_size * _EXPANSION.get(member.compress_type, 0)
    if member.file_size > most:
        raise ArchiveError(f"array `{key}` cannot have the size that it is said to have")
    return key


def _elements(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """How many elements an array has. Raises ArchiveError unless its header promises what the
    archive holds of it."""
    key = _key(member)
    with archive.open(member) as entry:
        read = _HEADERS.get(np.lib.format.read_magic(entry))
        if read is None:
            raise ArchiveError(f"array `{key}` has a format that is not known here")
        shape, _, dtype = read(entry)
        held = member.file_size - entry.tell()
    if dtype.hasobject:
        raise ArchiveError(f"array `{key}` holds Python objects, which are never loaded")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize != held:
        raise ArchiveError(f"array `{key}` has another size than its header says")
    return count


def _require_room(needed: int) -> None:
    left = shortage(needed)
    if left is not None:
        raise TooLarge(
            f"its arrays take {readable(needed)}, and the machine has {readable(left)} of memory"
            " left"
        )
