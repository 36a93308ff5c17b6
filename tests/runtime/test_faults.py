"""Every NaN and infinity is traced to the variable, sample, step and line that made it.

Each cause is a small change of one spec; the line that ends in `# HERE` is the one to be named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.diagnostics import DiagnosticError
from netdsl.runtime import backend as backends
from netdsl.runtime.faults import first_bad
from tests.amounts import short

BACKENDS = ["numpy", *(["native"] if available()[0] else [])]
SPEC = """\
edition 1
dt = 1 ms
{top}
neuron pixel {{
  state v = 0
}}
neuron unit {{
  input j
  state r = 0
  {cell}
}}
modulator m on out {{
  scope population
  {emit}
}}
optimiser plain(rate) {{
  state n = 0
  {optimiser}
}}
rule d {{
  at update {{ {rule} }}
  optimise plain(rate = 0.01)
}}
population img : pixel[6]
population out : unit[4]
projection W : img -> out dense delay {delay} {{
  weight w ~ uniform(0.1, 0.2)
  deliver j += {sent}
  learn d()
}}
data toy {{ source = "toy.npz"; batch = 10; split train = train[0, 40]; split test = test }}
protocol train(epochs = 2) {{
  each epoch {{
    each batch of toy.train {{
      {reset}
      {clamp}
      phase free 4 steps
      update W
      {after}
    }}
    {evaluate}
  }}
}}
protocol test(split) {{ each batch of split {{
  reset
  {test}
  phase free 4 steps
}} }}
readout y = sum(out.r@free)
metric total = mean(y)
"""
PARTS = {
    "top": "",
    "cell": "r := 0.5 * r + 0.5 * j",
    "emit": "emit 1",
    "optimiser": "n := n + g; change = rate * g",
    "rule": "dw = 0.01 * post.r * pre.v * m",
    "delay": "0",
    "sent": "w * pre.v",
    "reset": "reset",
    "clamp": "clamp img.v = sample.image",
    "after": "",
    "evaluate": "evaluate test(toy.test) as dev",
    "test": "clamp img.v = sample.image",
}
FIRST = (0, 0)  # batch, epoch


@dataclass(frozen=True)
class Cause:
    """Parts that differ, and what is to be named: variable, kind, row, step, batch and epoch."""

    parts: dict[str, str]
    path: str
    kind: str = "NaN"
    row: int | None = 0
    step: int | None = 0
    at: tuple[int, int] | None = FIRST
    dtypes: tuple[str, ...] = ("float32", "float64")
    within: str = ""
    extra: dict[str, str] = field(default_factory=dict)


def cell(text: str) -> dict[str, str]:
    return {"cell": text}


CAUSES = {
    "root of a negative": Cause(cell("r := sqrt(j - 100) # HERE"), "out.r"),
    "logarithm of 0": Cause(cell("r := log(0 * r + 0 * j) # HERE"), "out.r", "infinity"),
    "logarithm of a negative": Cause(cell("r := log(j - 100) # HERE"), "out.r"),
    "0 / 0": Cause(cell("r := r / r # HERE"), "out.r"),
    "1 / 0": Cause(cell("r := 1 / r + r # HERE"), "out.r", "infinity"),
    "one sample": Cause(
        cell("r := sqrt(0.5 - (batch.index == 1 and j > 2.5)) # HERE"), "out.r", row=7, at=(1, 0)
    ),
    "late step": Cause(cell("r := sqrt(1.5 - phase.step) # HERE"), "out.r", step=2),
    "late batch": Cause(
        cell("r := sqrt(2.5 - batch.index - 4 * epoch) # HERE"), "out.r", at=(3, 0)
    ),
    "second epoch": Cause(cell("r := sqrt(0.5 - epoch) # HERE"), "out.r", at=(0, 1)),
    "exp": Cause(cell("r := exp(4000 * j) # HERE"), "out.r", "infinity"),
    "float32": Cause(
        cell("r := 1e30 * (1e30 * j) # HERE"), "out.r", "infinity", dtypes=("float32",)
    ),
    "growth": Cause(
        cell("r := 1e4 * (r + 1) # HERE"),
        "out.r",
        "infinity",
        step=None,
        at=None,
        dtypes=("float32",),
        extra={"phase free 4 steps": "phase free 12 steps"},
    ),
    "inf - inf in one line": Cause(cell("r := exp(4000 * j) - exp(4000 * j) # HERE"), "out.r"),
    "behind other statements": Cause(
        cell("state a = 0; state b = 0\n  a := j\n  b := sqrt(a - 100) # HERE\n  r := b + a"),
        "out.b",
    ),
    "a let": Cause(cell("let a = sqrt(j - 100) # HERE\n  let b = a + 1\n  r := b"), "out.a"),
    "overwritten": Cause(
        cell("state a = 0\n  a := sqrt(j - 100) # HERE\n  r := 0.1 * a\n  a := 0"), "out.a"
    ),
    "declared after its user": Cause(
        cell("state b = 0; state a = 0\n  a := sqrt(j - 100) # HERE\n  b := a\n  r := b"), "out.a"
    ),
    "a definition": Cause(cell("def a = sqrt(j - 100) # HERE\n  r := a"), "out.a"),
    "an equation": Cause(
        cell("d r/dt = sqrt(j - 100) / 10 ms # HERE\n  integrate r with euler"), "out.r"
    ),
    "a reduction": Cause(cell("r := r / sum(r) # HERE"), "out.r"),
    "softmax of large numbers": Cause(
        cell("r := exp(4000 * j) / sum(exp(4000 * j)) # HERE"), "out.r"
    ),
    "a maximum": Cause(cell("r := sqrt(0 - max(j)) # HERE"), "out.r"),
    "a trace": Cause(cell("state a = 1\n  a := sqrt(a - 2) # HERE\n  r := a@prev"), "out.a"),
    "the value of the step before": Cause(
        cell("state a = 1\n  r := a\n  a := log(a - 1) # HERE"), "out.a", "infinity"
    ),
    "a delayed edge": Cause(
        cell("r := sqrt(1 - 10 * j) # HERE") | {"delay": "2 step"}, "out.r", step=1
    ),
    "a delivery": Cause({"sent": "w * log(pre.v - 5) # HERE"}, "out.j"),
    # Read at the update alone, it is computed behind the last step.
    "a modulator": Cause({"emit": "emit sqrt(sum(r) - 1000) # HERE"}, "m.out", step=3),
    "a modulator's state": Cause(
        {"emit": "population state k = 0\n  k := k / 2 + sqrt(sum(r) - 1000) # HERE\n  emit k"},
        "m.out.k",
    ),
    "not the side that was not chosen": Cause(
        cell("state a = 0\n  r := (sqrt(j - 100) if r < 0 else\n    1 / r) + r # HERE"),
        "out.r",
        "infinity",
    ),
    "a rule": Cause(
        {"rule": "dw = post.r / (pre.v - pre.v) # HERE\n "}, "W.w", "infinity", row=None, step=None
    ),
    "an optimiser": Cause(
        {"optimiser": "n := n + g\n  change = rate * g / (n - n) # HERE"},
        "W.w",
        "infinity",
        row=None,
        step=None,
    ),
    "a state of an optimiser": Cause(
        {"optimiser": "n := sqrt(n - 1) # HERE\n  change = rate * g + 0 * n"},
        "W.plain.n",
        row=None,
        step=None,
    ),
    "a clamp": Cause({"clamp": "clamp img.v = sqrt(sample.image - 5) # HERE"}, "img.v", step=None),
    "set": Cause({"clamp": "set img.v := log(sample.image - 5) # HERE"}, "img.v", step=None),
    "a global state": Cause(
        {
            "top": "global state beta = 1",
            "cell": "r := beta * j",
            "after": "beta := log(0 - beta) # HERE",
        },
        "beta",
        row=None,
        step=None,
        at=None,
    ),
    "carried from batch to batch": Cause(
        cell("r := sqrt(9.5 - j) + 0 * r # HERE")
        | {"reset": "", "cell": "state a = 0\n  a := a + 1\n  r := sqrt(9.5 - a) # HERE"},
        "out.r",
        step=1,
        at=(2, 0),
    ),
    "no evaluation": Cause(cell("r := sqrt(j - 100) # HERE") | {"evaluate": ""}, "out.r"),
    "only in the evaluation": Cause(
        {"test": "clamp img.v = sqrt(sample.image - 5) # HERE"},
        "img.v",
        step=None,
        within="evaluation `dev`",
    ),
}


def data(folder: Path, **nan: object) -> None:
    """40 samples of 6 pixels; sample 17, row 7 of batch 1, is the only bright one."""
    image = np.full((60, 6), 0.5)
    image[17] = 4
    np.savez(
        folder / "toy.npz",
        train_image=image[:40],
        train_label=np.zeros(40, int),
        test_image=image[40:],
        test_label=np.zeros(20, int),
    )


def spec(cause: Cause, folder: Path) -> tuple[Path, int]:
    text = SPEC.format(**{**PARTS, **cause.parts})
    for old, new in cause.extra.items():
        text = text.replace(old, new)
    lines = text.splitlines()
    at = [number for number, line in enumerate(lines, 1) if "# HERE" in line]
    data(folder)
    path = folder / "spec.net"
    path.write_text(text)
    return path, at[0]


@pytest.mark.varied
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_named(name: str, backend: str, tmp_path: Path) -> None:
    cause = CAUSES[name]
    path, line = spec(cause, tmp_path)
    for dtype in cause.dtypes[:1] if backend == "native" and short() else cause.dtypes:
        with pytest.raises(DiagnosticError) as caught:
            netdsl.compile(path, backend, dtype=dtype).run()
        (found,) = caught.value.diagnostics
        message = found.message
        assert found.code == "E0416"
        assert message.startswith(f"{cause.kind} first seen in `{cause.path}`"), message
        assert f"from line {line}" in message and found.primary.line == line, (message, line)
        if cause.row is not None:
            assert f", sample {cause.row}," in message, message
        else:
            assert "sample" not in message
        if cause.step is not None:
            assert f", step {cause.step} of `free`" in message, message
        if cause.at is not None:
            assert f"batch {cause.at[0]} of epoch {cause.at[1]}" in message, message
        assert cause.within in message


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_python_puts_in_is_named(backend: str, value: float, tmp_path: Path) -> None:
    path, _ = spec(CAUSES["root of a negative"], tmp_path)
    path.write_text(SPEC.format(**PARTS))
    model = netdsl.compile(path, backend)
    model.state["W.w"] = np.full((6, 4), value)
    for run in (model.run, lambda: model.evaluate(split="toy.test")):
        with pytest.raises(DiagnosticError, match="first seen in `W.w`") as caught:
            run()
        assert re.match("NaN|infinity", caught.value.diagnostics[0].message)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_metric_may_be_without_value(backend: str, tmp_path: Path) -> None:
    """What a metric computes of finite values is its own: 0 / 0, or infinities within a line."""
    path, _ = spec(CAUSES["root of a negative"], tmp_path)
    text = SPEC.format(**PARTS | {"cell": "r := 0.5 * r + 0.5 * j / (1 + exp(10000 * (j + 1)))"})
    path.write_text(text + "metric ratio = mean(0 / (y - y))\n")
    found = netdsl.compile(path, backend).run().metrics["dev"]
    assert np.isfinite(found["total"]) and np.isnan(found["ratio"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinity_of_the_last_batch_is_seen(backend: str, tmp_path: Path) -> None:
    """Nothing reads the weights after it, so nothing of it becomes NaN."""
    rule = "dw = 1 / (batch.index + 4 * epoch - 7) + 0 * post.r # HERE\n "
    path, line = spec(Cause({"rule": rule, "evaluate": ""}, "W.w"), tmp_path)
    with pytest.raises(DiagnosticError) as caught:
        netdsl.compile(path, backend).run(test=False)
    assert caught.value.diagnostics[0].message == (
        f"infinity first seen in `W.w`, at an `update`, from line {line} "
        f"(weight from line {line + 7}, batch 3 of epoch 1)"
    )


def test_what_counts_as_bad() -> None:
    good = {"a": np.ones(3), "b": np.full(2, -1e308)}
    assert first_bad(good) is None
    for value, kind in ((np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")):
        assert first_bad({**good, "c": np.array([1, value])}) == ("c", kind)
    assert first_bad({"c": np.array([np.inf, -np.inf])}) == ("c", "infinity")


LAYOUTS = {
    "dense": "dense delay 0",
    "sparse": "sparse(p = 0.7) delay 0",
    "fixed number": "fixed_in(3) delay 0",
    "kernel": "conv(kernel = 2, channels = 2) delay 0",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("backend", [*BACKENDS, "cupy"])
def test_any_layout_any_backend(
    backend: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "cupy" and shim.compiler() is None:
        pytest.skip("no g++ for CUDA on the CPU")
    monkeypatch.setitem(backends.BACKENDS, "cupy", ("netdsl.backends.cupy.shim", "ShimExecutor"))
    data(tmp_path)
    axes, neurons = "row: 2, col: 3", "6"
    if layout == "kernel":
        axes, neurons = "row: 2, col: 3, channel: 1", "row: 1, col: 2, channel: 2"
    shared = 'allow aggregated_weights on W because "a kernel"' if layout == "kernel" else ""
    text = f"""\
edition 1
neuron pixel {{ state v = 0; state s : bool = false; s := v > 0.2 }}
neuron unit {{ input j; state r = 0; r := 0.5 * r + j }}
rule d {{
  dw = 0.01 * post.r * pre.s /
    (1 if batch.index < 2 else relu(2 - phase.step)) # HERE
}}
population img : pixel[{axes}]
population out : unit[{neurons}]
projection W : img -> out {LAYOUTS[layout]} {{
  weight w ~ uniform(0.1, 0.2); deliver j += w * pre.s; learn d() }}
{shared}
data toy {{ source = "toy.npz"; batch = 10; split train = train[0, 40]; split test = test }}
protocol train {{ each batch of toy.train {{
  reset; clamp img.v = sample.image; phase show 5 steps learning }} }}
"""
    path = tmp_path / "spec.net"
    path.write_text(text)
    with pytest.raises(DiagnosticError) as caught:
        netdsl.compile(path, backend).run(test=False)
    message = caught.value.diagnostics[0].message
    first = r"(infinity|NaN) first seen in `W.w`, step 2 of `show`, from line [56] "
    assert re.match(first, message), message
    assert "batch 2 of epoch 0" in message


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_protocol_without_data(backend: str) -> None:
    text = """\
edition 1
neuron cell { state v = 3; v := sqrt(v - 1) }
population p : cell[4]
protocol train { reset; phase run 10 steps }
"""
    with pytest.raises(
        DiagnosticError, match="NaN first seen in `p.v`, sample 0, step 2 of `run`, from line 2\n"
    ):
        netdsl.compile(text, backend).run()
