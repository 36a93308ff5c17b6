"""Every recording under data/, on every backend that this machine has, in both number types."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.amounts import sweep
from tests.golden.__main__ import main, table
from tests.golden.replaying import run_cases
from tests.golden.systems import SYSTEMS, open_cases

DATA = Path(__file__).parent / "data"
FILES = sorted(DATA.glob("*.npz"))


def system_of(path: Path) -> str:
    """The system that a file's name begins with; the longest name that fits."""
    return max((s for s in SYSTEMS if path.stem.startswith(s)), key=len)


def backends() -> list[str]:
    """Backends that can run here: NumPy, and the native one where there is a compiler."""
    from netdsl.runtime.backend import choose

    return sorted({"numpy", choose("auto")[0]})


def is_short(run: tuple[str, Path]) -> bool:
    """Several specifications are compiled for one file of `mdgl`, and large ones for the others;
    some have the operations of another."""
    backend, system = run[0], system_of(run[1])
    large = system.startswith("hsic") or system in (
        "csdp_unsupervised",
        "corinfomax_sparse",
        "bp_mse",
    )
    return system != "mdgl" and (backend == "numpy" or not large)


RUNS = sweep(product(backends(), FILES), is_short)


def test_every_system_has_a_recording() -> None:
    assert {system_of(path) for path in FILES} == set(SYSTEMS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run[1].stem}-{run[0]}")
def test_recording(run: tuple[str, Path], dtype: str) -> None:
    backend, path = run
    rows = run_cases(open_cases(system_of(path), path, dtype), backend, dtype)
    beyond = [row for row in rows if not row.ok]
    assert rows and not beyond, "\n" + table(beyond)


def test_a_wrong_file_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["ep", str(DATA / "pc_a.npz")]) == 2
    assert "algorithm" in capsys.readouterr().err
    assert main(["ep", str(tmp_path / "none.npz")]) == 2


def test_rounding_excuses_no_wrong_weight(tmp_path: Path) -> None:
    """In float32 a weight that is off by 1e-4 still fails."""
    import numpy as np

    with np.load(DATA / "ep_a.npz") as archive:
        file = {key: archive[key] for key in archive.files}
    file["W2_after"] = file["W2_after"].copy()
    file["W2_after"][1, 0, 0] += 1e-4
    np.savez(tmp_path / "ep_b.npz", **file)
    assert main(["ep", str(tmp_path / "ep_b.npz"), "--dtype", "float32"]) == 1


def test_a_wrong_weight_is_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A recording with one weight changed must fail: what is not compared proves nothing."""
    import numpy as np

    with np.load(DATA / "ep_a.npz") as archive:
        file = {key: archive[key] for key in archive.files}
    file["W2_after"] = file["W2_after"].copy()
    file["W2_after"][1, 0, 0] += 1e-6
    np.savez(tmp_path / "ep_b.npz", **file)
    assert main(["ep", str(tmp_path / "ep_b.npz")]) == 1
    assert "BEYOND" in capsys.readouterr().out
