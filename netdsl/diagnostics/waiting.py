"""A line on what is being done for what takes long before a run begins."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Timer

PATIENCE = 2.0  # seconds
_hushed: ContextVar[bool] = ContextVar("hushed", default=False)


@contextmanager
def slow(what: str) -> Iterator[None]:
    """Say on standard error what is being done if it takes long, and at its end how long it took.

    Nothing is said within `hush`.
    """
    if _hushed.get():
        yield
        return
    began = time.perf_counter()
    timer = Timer(PATIENCE, print, (f"{what} ...",), {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        seconds = time.perf_counter() - began
        if seconds > PATIENCE:
            print(f"{what}: {seconds:.1f} s", file=sys.stderr, flush=True)


@contextmanager
def hush(quiet: bool = True) -> Iterator[None]:
    """Let `slow` say nothing, if `quiet`."""
    token = _hushed.set(quiet or _hushed.get())
    try:
        yield
    finally:
        _hushed.reset(token)
