"""Generated code is the same in every process: a kernel found in the cache is compiled once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each takes seconds; the short run has what they rest on

SPECS = Path(__file__).parents[2] / "specs"


def compiled(spec: str, backend: str, seed: int, out: Path) -> dict[str, str]:
    """What `netdsl compile` writes, in a process whose sets have an order of their own."""
    command = [sys.executable, "-m", "netdsl.cli.main", "compile", str(SPECS / f"{spec}.net")]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    subprocess.run([*command, "--backend", backend, "--out", str(out)], env=environment, check=True)
    return {file.name: file.read_text() for file in sorted(out.iterdir())}


@pytest.mark.parametrize("backend", ["numpy", "native", "cupy"])
@pytest.mark.parametrize("spec", ["csdp", "pc_3", "mdgl", "examples/convolution"])
def test_files_do_not_depend_on_the_process(spec: str, backend: str, tmp_path: Path) -> None:
    first = compiled(spec, backend, 1, tmp_path / "a")
    assert first and first == compiled(spec, backend, 2, tmp_path / "b")
