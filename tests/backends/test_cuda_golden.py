"""Golden traces replayed on generated CUDA, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.backends.cupy import shim
from netdsl.runtime import backend
from tests.amounts import sweep
from tests.golden.__main__ import table
from tests.golden.replaying import run_cases
from tests.golden.systems import open_cases
from tests.golden.test_golden import FILES, is_short, system_of

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")


class OneThread(shim.ShimExecutor):
    """Blocks of one thread where that is allowed: without coroutines, which are slow."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, threads=1, **options)  # type: ignore[arg-type]


def short(path: Path) -> bool:
    """As on the native backend."""
    return is_short(("shim", path))


@pytest.mark.parametrize("dtype", sweep(["float64", "float32"], "float64".__eq__))
@pytest.mark.parametrize("path", sweep(FILES, short), ids=lambda path: path.stem)
def test_recording(path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backend.BACKENDS, "shim", (__name__, "OneThread"))
    rows = run_cases(open_cases(system_of(path), path, dtype), "shim", dtype)
    beyond = [row for row in rows if not row.ok]
    assert rows and not beyond, "\n" + table(beyond)
