"""What has no eligibility says so, where it stands in the way; its neighbour has one."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from netdsl.passes import LoweringError
from netdsl.passes.network.expects import expected
from tests.eligibility.units import derived, text

LEAKY = "input i; state v = 0; v := 0.9 * v + i; "
SPIKING = LEAKY + "spike s when v > 1 { v := 0; surrogate triangle() }"
PLAIN = "phase see 10 steps learning"

# What is refused, its place in the line of the fault, and a neighbour that is not: cells.
PATHS = {
    "sum over the population": (LEAKY + "state s = 0; s := v / sum(v)", "sum(v)",
                                LEAKY + "state s = 0; s := v / detach(sum(v))"),
    "draw": (LEAKY + "def p = sigmoid(v); s ~ bernoulli(p)", "bernoulli(p)",
             LEAKY + "state s = 0; d ~ bernoulli(0.5); s := d * v"),
    "no surrogate": (LEAKY + "spike s when v > 1", "spike s when v > 1", SPIKING),
    "two steps": (LEAKY + "def r = v * i; state s = 0; s := v + r@prev", "i",
                                  LEAKY + "def r = v * v; state s = 0; s := v + r@prev"),
    "a phase": (LEAKY + "state s = 0; s := v - 0.1 * v@see", "v@see",
                LEAKY + "state k = 0; state s = 0; s := v - 0.1 * k; k := k"),
    "on phase": (SPIKING + "; on phase { v := 0.5 * v }", "v := 0.5 * v",
                 SPIKING + "; state k = 0; on phase { k := 1 }"),
    "nothing": ("input i; state v = 0; v := i; state s = 1; s := 0.9 * s", "eligibility", LEAKY +
                "state s = 1; s := 0.9 * s + v"),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
def test_paths(name: str) -> None:
    bad, at, good = PATHS[name]
    spec = text(bad, "s")
    checked = check(spec)
    (found,) = [d for d in checked.diagnostics if d.severity == "error"]
    assert found.code == "E0434"
    line = spec.split("\n")[found.primary.line - 1]
    assert line[found.primary.column - 1 :].startswith(at)
    neighbour = check(text(good, "s"), lower=False)
    assert not [d for d in neighbour.diagnostics if d.severity == "error"]
    assert neighbour.network is not None
    derived(neighbour.network)


@pytest.mark.parametrize("act", ["clamp c.v = 0.1", "set c.v := 0.1"])
def test_values_from_outside(act: str) -> None:
    spec = text(SPIKING, "s").replace(PLAIN, f"{act}; {PLAIN}")
    (found,) = [d for d in check(spec).diagnostics if d.severity == "error"]
    assert found.code == "E0434" and act.split()[0] in found.message


DELIVER = "deliver i += w * pre.s"
RULES = {
    "not the weight": ("eligibility e of w to", "eligibility e of v to"),
    "not of post": ("to post.s", "to pre.s"),
    "earlier": ("to post.s", "to post.s@prev"),
    "an expression": ("to post.s", "to 2 * post.s"),
    "an input": ("to post.s", "to post.i"),
    "post in the delivery": (DELIVER, "deliver i += w * pre.s * post.v"),
    "what is stored": (
        f"dense delay 1 step {{\n  weight w ~ normal(0, 1)\n  {DELIVER}",
        "dense sign + delay 1 step {\n  weight w ~ uniform(0, 1)\n  deliver i += mag * pre.s",
    ),
    "a shared kernel": ("W : a -> c dense", "W : a -> c shared_over(row)"),
}


@pytest.mark.parametrize("name", RULES)
def test_rules(name: str) -> None:
    old, new = RULES[name]
    good = text(SPIKING, "s").replace("cell[2]", "cell[row: 2, ch: 1]")
    bad = good.replace(old, new)
    assert bad != good
    assert [d.code for d in check(bad, lower=False).diagnostics if d.severity == "error"] == [
        "E0433"
    ]
    assert not [d for d in check(good, lower=False).diagnostics if d.severity == "error"]


NAMES = {
    "E0102": "eligibility e of w to post.v",
    "E0115": "state k = 0; e := k",
    "E0106": "at update { dw = e@prev }",
}


@pytest.mark.parametrize("code", NAMES)
def test_names(code: str) -> None:
    more = NAMES[code] if "dw" in NAMES[code] else f"{NAMES[code]}; dw = e"
    found = check(text(SPIKING, "s").replace("dw = e", more), lower=False)
    assert [d.code for d in found.diagnostics if d.severity == "error"] == [code]


def test_signed_weights_count_by_what_they_do() -> None:
    spec = text(SPIKING, "s", "deliver i += (0 if self else w) * pre.s")
    spec = spec.replace("normal(0, 1)", "uniform(0, 1)")
    spec = spec.replace("W : a -> c dense", "W : c -> c dense sign -")
    network = check(spec, lower=False).network
    assert network is not None
    rule = network.projections["W"].rule
    assert rule is not None
    ((path, factor),) = rule.eligibilities[0].factors
    assert path == "c.i" and "W.w" not in str(factor)


HALVES = "expect e == {} within 1e-9\n  dw = e"


def test_what_is_expected_is_compared() -> None:
    spec = text(SPIKING, "v").replace("dw = e", HALVES.format("e + 0 * post.s"))
    network = check(spec, lower=False).network
    assert network is not None
    assert derived(network).projections["W"].rule.expects  # type: ignore[union-attr]
    after = expected(derived(network))
    assert not after.projections["W"].rule.expects  # type: ignore[union-attr]
    wrong = check(spec.replace("0 * post.s", "1e-6 * post.s"), lower=False).network
    assert wrong is not None
    with pytest.raises(LoweringError, match="differ at step") as caught:
        expected(derived(wrong))
    assert caught.value.code == "E0435" and caught.value.span is not None
