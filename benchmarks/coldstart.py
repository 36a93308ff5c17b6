"""Wall seconds of a whole process: import, compile a small csdp.net, run ten steps.

python -m benchmarks.coldstart            from an empty cache of compiled code, and from a full one
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.common import ONE_THREAD, ROOT, parser

PROGRAM = """
import sys, numpy, netdsl
settings = {"n1": 64, "n2": 32, "T": 10, "B": 10}
model = netdsl.compile("specs/csdp.net", backend=sys.argv[1], set=settings, rows=20)
model.present(image=numpy.zeros((20, 64)), label=numpy.zeros(20))
model.phase("show", "train")
"""


def main(arguments: list[str] | None = None) -> int:
    """Print medians per backend."""
    options = parser(__doc__ or "").parse_args(arguments)
    print(f"{'':<24}  empty cache  full cache")
    for backend in options.backends.split(","):
        with tempfile.TemporaryDirectory() as cache:
            full = []
            empty = _process(backend, cache)
            for _ in range(options.repeats):
                full.append(_process(backend, cache))
        print(f"{backend:<24}  {empty:10.2f}s  {statistics.median(full):9.2f}s")
    return 0


def _process(backend: str, cache: str) -> float:
    environment = {**os.environ, **ONE_THREAD, "XDG_CACHE_HOME": cache}
    started = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, backend]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
