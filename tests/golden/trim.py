"""Cut long recordings into small files of the same layout.

python -m tests.golden.trim FILE.npz FOLDER     writes NAME_train.npz and NAME_test.npz
python -m tests.golden.trim FILE.npz FOLDER N   writes the first N windows or batches

Of CSDP the first file keeps one training presentation. The second starts from the weights that
training ended with, and keeps the presentation without plasticity. Recordings of the HSIC rule, and
of what it is compared with, are cut behind some of their updates.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def trim(file: Arrays, keep: str, after: str | None = None) -> Arrays:
    """The file with the presentation `keep` alone, begun with the weights left by `after`."""
    hyper = json.loads(str(file["hyper"])) | {"phases": [keep]}
    found = {k: v for k, v in file.items() if k.startswith(("init/", f"{keep}/"))}
    if after is not None:
        for key in [key for key in file if key.startswith(f"{after}/w_")]:
            found[f"init/{key.removeprefix(f'{after}/w_')}"] = file[key][-1]
    found["hyper"] = np.array(json.dumps(hyper))
    return found


def begun(file: Arrays, number: int) -> Arrays:
    """The first windows or batches, with the samples that these are made of."""
    hyper = json.loads(str(file["hyper"]))
    index = next(key for key in ("windows", "batches") if key in file)
    samples, whole = np.unique(file[index][:number]), len(file[index])
    steps = hyper.get("timesteps_per_window", 1)
    found = {"hyper": np.array(json.dumps(hyper | {f"n{index}": number}))}
    for key in file.keys() - {"hyper"}:
        value = file[key]
        if key == index:
            value = np.searchsorted(samples, value[:number])
        elif key in ("X", "Y", "Z"):
            value = value[samples]
        elif len(value) in (whole, whole * steps, whole * steps + 1):
            more = len(value) == whole * steps + 1
            value = value[: (number if len(value) == whole else number * steps) + more]
        found[key] = value
    return found


def main(arguments: list[str]) -> int:
    """Write the parts of a recording."""
    path, folder = Path(arguments[0]), Path(arguments[1])
    with np.load(path) as archive:
        file = {key: archive[key] for key in archive.files}
    if len(arguments) > 2:
        cut: dict[str, Any] = dict(begun(file, int(arguments[2])))
        np.savez_compressed(folder / path.name, **cut)
        return 0
    phases = json.loads(str(file["hyper"]))["phases"]
    name = path.stem.removesuffix("_a")
    train: dict[str, Any] = dict(trim(file, phases[0]))
    test: dict[str, Any] = dict(trim(file, phases[-1], phases[-2]))
    np.savez_compressed(folder / f"{name}_train.npz", **train)
    np.savez_compressed(folder / f"{name}_test.npz", **test)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
