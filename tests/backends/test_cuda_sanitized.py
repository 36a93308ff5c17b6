"""Every kernel on the CPU: races, barriers, bounds and memory that nobody wrote.

Blocks and threads run in shuffled orders, over scratch memory full of nonsense, and once more under
the address and undefined-behaviour sanitizers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from netdsl.backends.cupy import shim
from netdsl.backends.cupy.shim import ShimDevice
from netdsl.codegen.cuda.plan import Extent, Kernel, Launch
from tests.amounts import SPECS as FEW_SPECS
from tests.amounts import sweep
from tests.backends.cuda_everything import FORMS, MADE, SPECS, run, small_program

ROOT = Path(__file__).resolve().parents[2]
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NAMES = [*MADE, *(path.stem for path in SPECS)]
COUNTERS = {"globals_start_phase", "globals_next_step", "globals_end_of_phase"}
pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")


@pytest.mark.parametrize("name", sweep(NAMES, lambda name: name in {*MADE, *FEW_SPECS}))
def test_no_order_and_no_nonsense_matters(name: str) -> None:
    build = MADE.get(name)
    path = next((path for path in SPECS if path.stem == name), SPECS[0])
    program = build() if build else small_program(path)
    missing: set[str] = set()
    for form in FORMS:
        state, ran, kernels = run(program, form)
        missing = (missing or kernels) - ran
        others, _, _ = run(program, form, threads=5, order=7, scratch=0xFF)
        for buffer, values in state.items():
            np.testing.assert_array_equal(values, others[buffer], f"{form} {buffer}")
    assert missing <= COUNTERS  # a program without phases has no use for these


SOURCE = """
struct net { int64_t *out, *progress; };
extern "C" __global__ void dependent(struct net *net) {
  net->out[blockIdx.x] = blockIdx.x == 0 ? 1 : net->out[blockIdx.x - 1] + 1;
}
extern "C" __global__ void unordered(struct net *net) {
  __shared__ int64_t first;
  if (threadIdx.x == 0) first = 5;
  net->out[threadIdx.x] = first;
  __syncthreads();
}
extern "C" __global__ void unwritten(struct net *net) {
  __shared__ int64_t sum;
  __syncthreads();
  if (threadIdx.x == 0) net->out[0] = sum;
}
extern "C" __global__ void divergent(struct net *net) {
  if (threadIdx.x < 2) __syncthreads();
}
"""


def outcome(kernel: str, order: int) -> list[int]:
    device = ShimDevice(4, order)
    device.load(SOURCE, [Kernel(kernel, kernel)])
    out = np.zeros(4, np.int64)
    net = np.array([out.ctypes.data, 0], np.int64)
    blocks = (4 if kernel == "dependent" else 1, 1)
    device.launch(Launch(kernel, 0, 4, Extent()), blocks, net.ctypes.data)
    return [int(value) for value in out]


@pytest.mark.parametrize("kernel", ["dependent", "unordered"])
def test_an_order_that_matters_is_noticed(kernel: str) -> None:
    assert len({tuple(outcome(kernel, order)) for order in (0, 1, 2, 3)}) > 1


def test_shared_memory_holds_nonsense() -> None:
    assert outcome("unwritten", 0)[0] == -1


def test_a_divergent_barrier_is_noticed() -> None:
    with pytest.raises(Exception, match="do not meet at a barrier"):
        outcome("divergent", 0)


@cache
def libraries() -> str:
    """What must be loaded before Python for the sanitizers, "" where they are missing."""
    found = []
    for name in ("libasan.so", "libubsan.so"):
        command = [shim.compiler() or "g++", f"-print-file-name={name}"]
        path = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        if not Path(path).is_absolute():
            return ""
        found.append(path)
    return ":".join(found)


def sanitized(code: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "LD_PRELOAD": libraries(),
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return subprocess.run(
        [sys.executable, "-c", code, *SANITIZE],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


MISTAKE = """
from tests.backends import cuda_everything
from netdsl.backends.cupy import shim
build = shim.build
shim.build = lambda source: build(source.replace({!r}, {!r}))
cuda_everything.main()
"""
needs_sanitizers = pytest.mark.skipif(
    not libraries() or not sys.platform.startswith("linux"), reason="no sanitizers"
)


@pytest.mark.slow
@needs_sanitizers
def test_within_bounds() -> None:
    done = sanitized("from tests.backends.cuda_everything import main; main()")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[:4000]
    assert done.stdout.endswith("all ran\n")


@pytest.mark.slow
@needs_sanitizers
@pytest.mark.parametrize(
    "right,wrong,said",
    [("k < SIZE;", "k <= SIZE;", "use-after-poison"),
     ("counts[part][cell % COLUMNS] = count;", "counts[part + 1][cell % COLUMNS] = count;",
      "global-buffer-overflow|out of bounds"),
     ("(int64_t)i * N", "(i * 0x7fffffff) * N", "signed integer overflow")],
)  # fmt: skip
def test_a_mistake_is_noticed(right: str, wrong: str, said: str) -> None:
    done = sanitized(MISTAKE.format(right, wrong))
    assert done.returncode != 0
    assert any(words in done.stderr for words in said.split("|")), done.stderr[:2000]
