"""What netdsl keeps in the user's cache folder: files of known names in folders of its own.

What is loaded from there runs, so it must be ours alone: a folder or file that another user owns,
or could have written, is not used. Whatever has another name than ours is not touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netdsl.files.writing import remove_abandoned
from netdsl.paths import cache_path

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# Seconds for which what was made or found stays, so that it is there when it is loaded.
_IN_USE = 60.0


@dataclass(frozen=True)
class Entry:
    """One file of the cache: path, bytes, and when it was last used (seconds since the epoch)."""

    path: Path
    size: int
    used: float


class Untrusted(OSError):
    """Others could have put something into the cache folder; `strerror` says how."""


@dataclass(frozen=True)
class Store:
    """One folder of the cache. `names`: of its files, which begin with the key of what they belong
    to, the group `key`; `temporaries`: of what is being made there."""

    kind: str
    names: re.Pattern[str]
    temporaries: re.Pattern[str]

    @property
    def folder(self) -> Path:
        """Where it is; it may not exist."""
        return cache_path() / self.kind

    def open(self) -> Path:
        """The folder, made if need be, without what dead processes left in it.

        Raises OSError when it cannot be made, Untrusted when others may write to it.
        """
        folder = self.folder
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if reason := distrust(folder):
            raise Untrusted(errno.EPERM, reason, str(folder))
        self.sweep()
        return folder

    def sweep(self) -> int:
        """Remove what dead processes left half made; returns how many."""
        return remove_abandoned(p for p in self._paths() if self.temporaries.fullmatch(p.name))

    def entries(self) -> list[Entry]:
        """Its files, most recently used first."""
        return sorted(self._entries(), key=lambda entry: -entry.used)

    def trusted(self, key: str) -> list[Path]:
        """Its files of a key, as far as nobody else could have written them."""
        if distrust(self.folder):
            return []
        found = (entry.path for entry in self._entries(key))
        return [path for path in found if not distrust(path, parents=False)]

    def clear(self) -> list[Entry]:
        """Delete its files and what was left behind; returns the files that went."""
        self.sweep()
        return [entry for entry in self.entries() if _unlink(entry.path)]

    def trim(self, most: float) -> None:
        """Delete what was used least recently until `most` bytes are left, save what may be about
        to be loaded."""
        groups: dict[str, list[Entry]] = {}
        for entry in self.entries():
            match = self.names.fullmatch(entry.path.name)
            assert match is not None
            groups.setdefault(match["key"], []).append(entry)
        total = 0
        now = time.time()
        for group in groups.values():  # in the order of their latest use
            total += sum(entry.size for entry in group)
            if total > most and now - group[0].used > _IN_USE:
                for entry in group:
                    _unlink(entry.path)

    def _entries(self, key: str = "") -> Iterator[Entry]:
        for path in self._paths():
            if path.name.startswith(key) and self.names.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode):
                        yield Entry(path, status.st_size, status.st_mtime)

    def _paths(self) -> list[Path]:
        try:
            return list(self.folder.iterdir())
        except OSError:
            return []


KERNELS = Store(
    "native",
    re.compile(r"(?P<key>[0-9a-f]{32})(-[0-9a-f]{16})?\.(so|c|cubin|cu)"),
    re.compile(r"[0-9a-f]{32}-[a-z0-9_]{8}"),
)
GRAMMARS = Store(
    "grammar",
    re.compile(r"(?P<key>[0-9a-f]{24})\.lalr"),
    re.compile(r"\.[0-9a-f]{24}\.lalr\.[a-z0-9_]{8}\.tmp|tmp[a-z0-9_]{8}\.tmp"),
)


def distrust(path: Path, parents: bool = True) -> str:
    """How others could have put something into a folder or file; "" when it is ours alone.

    With `parents` also whether others could exchange it for another.
    """
    if not hasattr(os, "getuid"):
        return ""
    try:
        found = path.stat()
        if found.st_uid != os.getuid():
            return "belongs to another user"
        if found.st_mode & _WRITABLE_BY_OTHERS:
            return f"can be written by others (`chmod go-w {path}`)"
        for parent in path.resolve().parents if parents else ():
            mode = parent.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                return f"lies in `{parent}`, where everybody may exchange it"
    except OSError as fault:
        return f"cannot be looked at ({fault.strerror})"
    return ""


def _unlink(path: Path) -> bool:
    """Whether it went: another process may have been faster, or hold it open."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
