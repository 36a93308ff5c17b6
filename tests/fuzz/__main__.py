"""`python -m tests.fuzz COUNT [SEED]`: examine mutants and print what is wrong with them."""

from __future__ import annotations

import collections
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from tests.fuzz.examine import examine
from tests.fuzz.mutate import ROOT, mutants


def main(count: int, seed: int) -> int:
    answers: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for file in (ROOT / "specs").glob("*.net"):
            shutil.copy(file, folder)
        for mutant in mutants(seed, count):
            try:
                answers[examine(mutant.text, Path(folder) / "mutant.net")] += 1
            except Exception as fault:
                place = traceback.extract_tb(fault.__traceback__)[-1]
                where = f"{Path(place.filename).name}:{place.lineno}"
                answers["faults"] += 1
                print(f"{mutant.origin}\n  {type(fault).__name__}: {str(fault)[:300]} ({where})")
    print(dict(answers))
    return 1 if answers["faults"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
