"""Cut long CSDP recordings into small files of the same layout.

python -m tests.golden.trim FILE.npz FOLDER     writes NAME_train.npz and NAME_test.npz

The first keeps one training presentation. The second starts from the weights that training ended
with, and keeps the presentation without plasticity.
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


def main(arguments: list[str]) -> int:
    """Write the two parts of a recording."""
    path, folder = Path(arguments[0]), Path(arguments[1])
    with np.load(path) as archive:
        file = {key: archive[key] for key in archive.files}
    phases = json.loads(str(file["hyper"]))["phases"]
    name = path.stem.removesuffix("_a")
    train: dict[str, Any] = dict(trim(file, phases[0]))
    test: dict[str, Any] = dict(trim(file, phases[-1], phases[-2]))
    np.savez_compressed(folder / f"{name}_train.npz", **train)
    np.savez_compressed(folder / f"{name}_test.npz", **test)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
