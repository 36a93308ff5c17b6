"""Every generated CUDA source is compiled, to machine code or PTX; no GPU is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netdsl.backends.cupy.compiler import COMPILE_OPTIONS
from netdsl.codegen.cuda.program import generate
from netdsl.frontend import check, lower_network
from netdsl.ir.program import Program
from tests.amounts import specs, sweep
from tests.backends.cuda_compiler import CompileError, compile_source, missing
from tests.programs import PROGRAMS
from tests.programs.edges import deliveries

SPECS = sorted((Path(__file__).resolve().parents[2] / "specs").glob("*.net"))
pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "can compile"),
    pytest.mark.slow,
]


def program_of(path: Path) -> Program:
    """The step program of a shipped specification, in full size."""
    return lower_network(check(path, lower=False).require())


@pytest.mark.parametrize("architecture", sweep(["sm_80", "sm_90"], "sm_90".__eq__))
@pytest.mark.parametrize("dtype", sweep(["float32", "float64"], "float64".__eq__))
@pytest.mark.parametrize("name", PROGRAMS)
def test_hand_made_programs(name: str, dtype: str, architecture: str) -> None:
    assert compile_source(generate(PROGRAMS[name](), dtype).source, architecture) > 0


@pytest.mark.parametrize(
    "dtype,architecture",
    [("float32", "sm_90"), pytest.param("float64", "compute_80", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("path", specs(SPECS), ids=lambda path: path.stem)
def test_shipped_specifications(path: Path, dtype: str, architecture: str) -> None:
    unit = generate(program_of(path), dtype)
    assert compile_source(unit.source, architecture) > 0
    declared = re.findall(r"(?m)^KERNEL (?:__launch_bounds__\(\w+\) )?(\w+)\(", unit.source)
    assert declared == [kernel.name for kernel in unit.kernels]


@pytest.mark.parametrize("dtype,architecture", [("float32", "sm_90"), ("float64", "sm_80")])
def test_existing_synapses(dtype: str, architecture: str) -> None:
    assert compile_source(generate(deliveries(), dtype).source, architecture) > 0


def test_arithmetic_is_that_of_the_cpu() -> None:
    assert {"--fmad=false", "--ftz=false"} < set(COMPILE_OPTIONS)


def test_a_mistake_is_reported() -> None:
    with pytest.raises(CompileError, match="undefined|undeclared"):
        compile_source('extern "C" __global__ void f(float *x) { x[0] = y; }', "sm_80")
