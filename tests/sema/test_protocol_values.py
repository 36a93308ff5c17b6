"""What checks, runs: functions of whole arrays are refused where nothing computes them."""

from __future__ import annotations

import pytest

import netdsl
from netdsl.diagnostics.catalogue.example import network
from netdsl.frontend import check

CLAMP = "clamp a.s = sample.image"
HOST = {
    "topk": "topk(s, sample.label, 3)",
    "angle": "angle(s, s)",
    "transpose": "transpose(W.w)",
    "random_sign": "random_sign()",
    "logdet": "logdet(W.w)",
    "argmax": "argmax(sample.image)",
    "count": "count(sample.image)",
    "readout": "guess",
    "over a phase": "sum(b.s over run)",
}
MADE = {
    "softmax": "softmax(sample.image)",
    "max": "max(sample.image)",
    "mean": "mean(sample.image)",
    "onehot": "onehot(sample.label)",
}


def spec(step: str, more: str = "") -> str:
    text = network(more=f"readout guess = argmax(b.s@run)\n{more}", before="global state gg = 1")
    return text.replace(CLAMP, f"{step}; {CLAMP}" if step.startswith(("gg", "when")) else step)


def errors(text: str) -> list[str]:
    return [d.code for d in check(text).diagnostics if d.severity == "error"]


@pytest.mark.parametrize("value", HOST.values(), ids=HOST)
@pytest.mark.parametrize("step", ["clamp a.s = {}", "set a.s := {}"])
def test_what_the_host_computes_is_not_clamped(step: str, value: str) -> None:
    assert errors(spec(step.format(value))) == ["E0209"]


@pytest.mark.parametrize("value", MADE.values(), ids=MADE)
@pytest.mark.parametrize("step", ["clamp a.s = {}", "set a.s := {}"])
def test_what_is_computed_at_the_unit_is(step: str, value: str) -> None:
    text = spec(step.format(value))
    assert errors(text) == []
    weights = []
    for backend in ("numpy", "native"):
        model = netdsl.compile(text, backend, dtype="float64")
        model.run(epochs=1, limit=40, test=False)
        weights.append(model.state["W.w"])
    assert abs(weights[0] - weights[1]).max() < 1e-9


def test_signs_are_drawn_for_global_states_only() -> None:
    assert errors(spec("gg := gg * random_sign()")) == []
    assert errors(spec("when random_sign() > 0 { reset }")) == ["E0209"]
    assert errors(spec(CLAMP, "metric m = random_sign()")) == ["E0209"]


def test_a_determinant_needs_a_square_weight() -> None:
    assert errors(spec(CLAMP, "metric m = logdet(W.w)")) == ["E0203"]


def test_the_largest_over_a_phase_starts_below_all_numbers() -> None:
    text = network(
        unit="input i; state s = 0; s := -1 - relu(i)",
        more="readout m = max(b.s over run)\nmetric top = mean(mean(m))\n"
        "protocol test(split) { each batch of split { reset; clamp a.s = sample.image; "
        "phase run 5 steps } }",
        steps="phase run 5 steps",
    )
    found = [
        netdsl.compile(text, backend, dtype="float64").evaluate("test", "test", limit=20).metrics
        for backend in ("numpy", "native")
    ]
    assert found[0]["top"] < -1
    assert abs(found[0]["top"] - found[1]["top"]) < 1e-9
