"""Tests, in the order of the compiler's phases."""

import os

# Test processes run beside each other, one for each core: threads of libraries would only wait for
# one another, at the expense of the others. NumPy, which reads these, is not imported yet.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
