"""Cells with hundreds of variables: loops stay short enough for a C compiler, results the same."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import numpy as np
import pytest

from netdsl.api import Model
from netdsl.backends.native import available, compiler
from netdsl.codegen.c import split as c_split
from netdsl.codegen.c.program import generate
from netdsl.frontend import check, lower_network

C = pytest.mark.skipif(not available()[0], reason="no C compiler")


def plain(states: int) -> str:
    """Independent equations."""
    lines = (f"  state r{i} = 0\n  r{i} := 0.5 * r{i} + {i} + j" for i in range(states))
    return spec("\n".join(lines))


def spec(body: str, more: str = "", size: int = 37) -> str:
    return f"""edition 1
dt = 1 ms
neuron cell {{
  input j
{body}
}}
population a : cell[{size}]
{more}
protocol train {{ phase run 3 steps }}
"""


def compartments(count: int) -> str:
    """Compartments in a row with gates that depend on their voltage, and what all of them share."""
    lines = ["  state drive = 0", "  drive := 0.5 * drive + j + 0.1", "  noise ~ uniform(0, 1)"]
    lines += ["  let all = mean(v0 over population)", "  let shared = exp(-drive) + noise"]
    for i in range(count):
        lines += [f"  state v{i} = {0.1 * i:.3f}", f"  state m{i} = 0.2", f"  state h{i} = 0.3"]
    for i in range(count):
        near = f"v{(i + 1) % count} - v{i}"
        lines += [
            f"  let a{i} = 0.1 * exp(-v{i} / 4) + 0.01 * shared",
            f"  let b{i} = 0.3 / (1 + exp(-0.1 * ({near})))",
            f"  m{i} := m{i} + 0.1 * (a{i} * (1 - m{i}) - b{i} * m{i})",
            f"  h{i} := h{i} + 0.1 * (b{i} * (1 - h{i}) - a{i} * h{i})",
            f"  v{i} := v{i} + 0.1 * ({near}) + m{i}^3 * h{i} * (all - v{i}) + 0.01 * drive",
        ]
    lines.append("  spike s when noise > 0.7 + 0.1 * v1 { drive := 0.5 * drive }")
    link = "dense delay 1 step { weight w ~ uniform(0, 0.1); deliver j += w * pre.s }"
    return spec("\n".join(lines), f"population b : cell[23]\nprojection P : a -> b {link}")


def long_expression(terms: int) -> str:
    one = [f"sin({i} * r + {i}) * max(r, {i})" for i in range(terms)]
    parts = " + ".join(f"({' + '.join(one[i : i + 10])})" for i in range(0, terms, 10))
    return spec(f"  state r = 0.5\n  state q = 1\n  r := 0.5 * r + j + 0.1\n  q := {parts}")


def source(text: str) -> str:
    program = lower_network(check(text, lower=False).require(), (), ())
    return generate(program, "float32").source


def loops(code: str) -> list[str]:
    """Bodies of the loops over neurons of generated operations."""
    return re.findall(r"#pragma omp simd[^\n]*\n\n    for \(int k[^\n]*\n(.*?)\n    }", code, re.S)


@pytest.mark.parametrize("text", [plain(200), compartments(70), long_expression(300)])
def test_loops_stay_short(text: str) -> None:
    found = loops(source(text))
    assert found
    for body in found:
        no_work = r"/\*|_line\[k\]|= \w+\[k\];"  # comments, and what only loads or hands on
        lines = [line for line in body.splitlines() if not re.search(no_work, line)]
        assert len(lines) <= 2 * c_split.STATEMENTS
        assert sum(len(re.findall(r"[*/+-] |\w\(", line)) for line in lines) < 500


TEXTS = [plain(90), compartments(12), compartments(70), long_expression(80)]


@pytest.mark.slow
@C
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_in_parts(text: str, dtype: str) -> None:
    states = sorted(set(re.findall(r"state (\w+)", text)))
    ends = "ab" if "population b" in text else "a"
    watched = [f"{end}.{name}" for name in states for end in ends]
    network = check(text, lower=False).require()
    program = lower_network(network, watched, ())

    def run(backend: str, **options: str) -> dict[str, np.ndarray]:
        model = Model(network, program, backend, 3, dtype, options=options)
        model.present(x=np.zeros((3, 1)))
        model.reset()
        model.step(3, phase="run")
        return {name: model.state[name] for name in watched}

    wanted, limit = run("numpy"), 1e-11 if dtype == "float64" else 2e-5
    for strategy in ("dense", "gather"):
        found = run("native", strategy=strategy)
        for name in watched:
            np.testing.assert_allclose(found[name], wanted[name], limit, limit, err_msg=name)


@pytest.mark.slow
@C
def test_time_to_compile_grows_with_the_cell(tmp_path: Path) -> None:
    """Processor time of the compiler: four times as many equations, nowhere near 16 times it."""

    def seconds(states: int) -> float:
        text = tmp_path / f"{states}.c"
        text.write_text(source(plain(states)))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        compiler.compile_object(compiler.find(), text, tmp_path / f"{states}.so", fast_math=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime

    assert seconds(160) < 8 * max(seconds(40), 0.2)
