"""Modulators that reach other populations, and those on none, against whole arrays in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.frontend import check

SPEC = """edition 1
dt = 1 ms
neuron source { input p; state z = 0; z := 0.5 * z + p }
neuron cell { input j; state v = 0; v := 0.5 * v + j; def r = relu(v) }
neuron gated { input j; state v = 0; v := 0.5 * v + j + 0.01 * reward }
population x : source[4]
population h : cell[5]
population out : gated[3]
modulator reward on out to h, out cells, dopamine {
  population state e = 0
  population state slow = 0.5
  d slow/dt = (mean(v) - slow) / (10 ms)
  integrate slow
  e := 0.9 * e + 0.1 * mean(v)
  emit mean(v) - e + 0.001 * dopamine + 0.1 * slow
}
modulator err on out { scope global; emit vector 1 - v }
modulator dopamine {
  scope global
  input pulse
  state level = 0
  d level/dt = -level / (200 ms)
  integrate level
  level := level + pulse + 0.1 * sum(h.r) + 0.01 * reward
  emit level
}
rule third {
  reads pre.z, post.r, reward, err, dopamine
  dw = 0.01 * reward * pre.z * post.r + 0.02 * sum(err[k] * (k + 1) over k) * pre.z
  subtract 0.0001 * dopamine * pre.z
  after update { w := w * (1 - 0.001 * dopamine) }
}
rule hebb { dw = 0.01 * pre.r * post.v * reward }
projection W : x -> h dense delay 0 {
  weight w ~ uniform(-1, 1); deliver j += w * pre.z; learn third()
}
projection V : h -> out dense delay 1 step {
  weight w ~ uniform(-1, 1); deliver j += w * pre.r * (1 + 0.1 * dopamine); learn hebb()
}
data digits { source = "digits"; batch = 2; split train = train }
protocol train { each batch of digits.train {
  reset
  clamp x.p = (1 + index) * (1 + sample.label)
  set dopamine.pulse := 1 + sample.label
  phase early 4 steps learning
  set dopamine.pulse := mean(out.v)
  phase late 3 steps learning
} }
readout shown = h.r@early
metric m = mean(mean(shown))
"""


def expected(w: np.ndarray, u: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """What the last step ends with."""
    z, v, o = np.zeros((2, 4)), np.zeros((2, 5)), np.zeros((2, 3))
    e = level = reward = dopamine = np.zeros((2, 1))
    slow = np.full((2, 1), 0.5)
    pulse = 1 + label
    for step in range(7):
        if step == 4:
            pulse = o.mean(1, keepdims=True)
        elif step:
            pulse = np.zeros((2, 1))
        sent = np.maximum(v, 0)
        z = 0.5 * z + (1 + np.arange(4)) * (1 + label)
        v = 0.5 * v + z @ w
        r = np.maximum(v, 0)
        o = 0.5 * o + sent @ u * (1 + 0.1 * dopamine) + 0.01 * reward
        slow = o.mean(1, keepdims=True) + (slow - o.mean(1, keepdims=True)) * np.exp(-0.1)
        e = 0.9 * e + 0.1 * o.mean(1, keepdims=True)
        reward = o.mean(1, keepdims=True) - e + 0.001 * dopamine + 0.1 * slow
        error = ((1 - o) * np.arange(1, 4)).sum(1, keepdims=True)
        level = level * np.exp(-1 / 200)
        level = level + pulse + 0.1 * r.sum(1, keepdims=True) + 0.01 * reward
        dopamine = level
        dw = 0.01 * z.T @ (reward * r) + (0.02 * z.T @ error)
        w = w + dw - 0.0001 * (z.T @ dopamine)
        w = w * (1 - 0.001 * dopamine.mean())
        u = u + 0.01 * sent.T @ (o * reward)
    return {"W.w": w, "V.w": u, "out.v": o, "dopamine.level": level, "reward.out": reward[:, 0]}


@pytest.mark.parametrize("backend", ["numpy", "native", "shim"])
def test_numbers_reach_where_they_are_sent(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "shim":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda _: shim.ShimExecutor)
    model = netdsl.compile(SPEC, backend, dtype="float64", rows=2)
    start = [model.state[name].copy() for name in ("W.w", "V.w")]
    labels = model.samples("train", 2)["label"].astype(float)[:, None]
    assert labels[0] != labels[1]
    for _ in range(2):  # `reset` begins anew, modulators included
        model.state["W.w"], model.state["V.w"] = start
        model.run(epochs=1, limit=2, test=False)
        for name, value in expected(*start, labels).items():
            np.testing.assert_allclose(model.state[name], value, rtol=1e-10, err_msg=name)


RESET = """edition 1
neuron unit { input p; state v = 0; v := v + p }
population a : unit[2]
modulator m on a { population state n = 1; n := n + 1; emit n }
modulator c { scope global; input p; state n = 10; n := n + 1 + p; emit n }
projection W : a -> a dense delay 1 step { weight w = 0; deliver p += w * pre.v; learn rule_of() }
rule rule_of { dw = 0 * m * c@prev }
data digits { source = "digits"; batch = 1; split train = train }
protocol train { each batch of digits.train {
  reset
  phase one 2 steps learning
  reset %s
  phase two 3 steps learning
} }
"""


@pytest.mark.parametrize(
    ("named", "m", "c"), [("m", 4, 15), ("c", 6, 13), ("a", 4, 15), ("m, c", 4, 13)]
)
def test_reset_names_a_modulator(named: str, m: float, c: float) -> None:
    model = netdsl.compile(RESET % named, "numpy", dtype="float64")
    model.run(epochs=1, limit=1, test=False)
    assert model.state["m.a.n"] == m
    assert model.state["c.n"] == c


CRITIC = """edition 1
neuron pixel { state r = 0 }
neuron actor { input j; state xi = 0; xi ~ normal(0, 0.3); def y = sigmoid(j + xi) }
neuron judge { input value; input target }
population x : pixel[64]
population h : actor[12]
population out : actor[10]
population critic : judge[1]
modulator reward on critic to h, out { emit mean(target - value) }
modulator rpe {
  scope global; input pulse; state level = 0; level := 0.9 * level + pulse; emit level
}
rule explore { reads pre.sent, post.xi, reward; dw = 0.1 * reward * pre.sent * post.xi }
rule dopamine { reads pre.sent, post.xi, rpe; dw = 0.1 * rpe * pre.sent * post.xi }
rule local_one { dw = 0.1 * pre.sent * post.y }
synapse plain { weight w ~ xavier_uniform(); deliver j += w * pre.r }
projection W : x -> h dense delay 0 using plain { learn explore() }
projection V : h -> out dense delay 0 {
  weight w ~ xavier_uniform(); deliver j += w * pre.y; learn %s()
}
projection U : out -> critic dense delay 0 { weight w = 0.1; deliver value += w * pre.y }
data digits { source = "digits"; batch = 20; split train = train }
protocol train { each batch of digits.train {
  reset; clamp x.r = sample.image; clamp critic.target = sample.label == 3
  set rpe.pulse := mean(out.y)
  phase try 4 steps learning } }
%s
"""


def test_verdicts_name_scopes_and_what_is_summed_up() -> None:
    found = check(CRITIC % ("dopamine", "claim dopamine : three-factor(global)"))
    assert not [d for d in found.diagnostics if d.severity == "error"]
    rules = found.certificate
    assert rules is not None
    assert (rules["W"].verdict, rules["W"].modulator_scope) == ("three-factor", "population")
    assert (rules["V"].verdict, rules["V"].modulator_scope) == ("three-factor", "global")
    notes = " ".join(rules["V"].notes)
    assert "mean over population of `out.y`" in notes
    assert "mean over population of `critic.target`, `critic.value`" in " ".join(rules["W"].notes)


@pytest.mark.parametrize("claimed", ["three-factor(global)", "local"])
def test_claims_that_are_false(claimed: str) -> None:
    found = check(CRITIC % ("explore", f"claim explore : {claimed}")).diagnostics
    assert [d.code for d in found if d.severity == "error"] == ["E0330"]


MARKS = """edition 1
neuron unit { input j; input fb; state v = 0; v := 0.5 * v + j; state q = 0; q := fb; %s }
population a : unit[4]
population b : unit[4]
projection W : a -> b dense delay 1 step {
  weight w ~ uniform(0, 1); deliver j += w * pre.v; learn r()
}
projection T : b -> a transpose of W delay 1 step { deliver fb += w * pre.v }
%s
rule r { dw = 0.01 * pre.v * %s }
data digits { source = "digits"; batch = 2; split train = train }
protocol train { each batch of digits.train { reset; set a.v := 1; phase run 3 steps learning } }
"""


@pytest.mark.parametrize(
    ("cell", "modulators", "factor", "verdict"),
    [
        ("", "modulator m { scope global; emit sum(a.v) }", "m", "three-factor"),
        ("", "modulator m on a to b { emit mean(v) }", "m", "three-factor"),
        ("", "modulator m on a { scope global; emit vector v }", "sum(m[k] over k)",
         "three-factor"),
        # A mark of weight transport passes through every kind of modulator.
        ("", "modulator m { scope global; emit sum(a.q) }", "m", "weight-transport"),
        ("", "modulator m on a to b { emit mean(q) }", "m", "weight-transport"),
        ("", "modulator m on a { scope global; emit vector q }", "m[1]", "weight-transport"),
        ("", "modulator n on a to m { emit mean(q) }\nmodulator m { scope global; emit n }", "m",
         "weight-transport"),
        ("def z = m", "modulator m on a to a cells, b cells { emit mean(q) }", "post.z",
         "weight-transport"),
        # What a cell copies stays a modulator.
        ("def z = m", "modulator m on a to a cells, b cells { emit mean(v) }", "post.z",
         "three-factor"),
        ("", "modulator m { scope global; emit sample.label }", "m", "three-factor"),
        ("def z = m", "modulator m to a cells, b cells { emit sample.label }", "post.z",
         "three-factor"),
        ("", "modulator m { scope global; emit mean(sum(a.v) over batch) }", "m", "cross-sample"),
    ],
)  # fmt: skip
def test_marks_pass_through_modulators(
    cell: str, modulators: str, factor: str, verdict: str
) -> None:
    found = check(MARKS % (cell, modulators, factor))
    assert found.certificate is not None, [d.message for d in found.diagnostics]
    assert found.certificate["W"].verdict == verdict


REVERSE = """edition 1
neuron source { state z = 0 }
neuron cell {
  input j; state v = 0; v := 0.5 * v + j %s
  state g[2] = 0; g[k] := 0.5 * g[k] + v * (k + 1); def y = g[0] + g[1]
}
population x : source[2]
population h : cell[3]
population out : cell[2]
%s
projection W : x -> h dense delay 0 {
  weight w ~ uniform(-1, 1); deliver j += w * pre.z; learn bptt(loss = E)
}
projection V : h -> out dense delay 1 step {
  weight w ~ uniform(-1, 1); deliver j += w * pre.y %s; learn bptt(loss = E)
}
allow non_local on bptt because "the reference"
loss E = mean(sum((out.y@run)^2))
data digits { source = "digits"; batch = 1; split train = train }
protocol train { each batch of digits.train {
  reset; clamp x.z = 1 + index; phase run 4 steps; update W, V
} }
"""


@pytest.mark.parametrize(
    "parts",
    [
        ("+ 0.1 * m", "modulator m on out to h cells, out cells { emit mean(v) }", ""),
        ("", "modulator m on out { emit mean(v) }", "* (1 + m)"),
        ("+ 0.1 * m", "modulator m to h cells, out cells { state q = 0; q := 0.5 * q + sum(h.v)\n"
         "emit q }", ""),
    ],
    ids=["cells", "delivery", "on none"],
)  # fmt: skip
def test_gradients_pass_through_modulators(parts: tuple[str, str, str]) -> None:
    model = netdsl.compile(REVERSE % parts, "numpy", dtype="float64")

    def loss() -> float:
        model.present(image=np.ones((1, 64)), label=np.zeros(1))
        model.reset()
        model.phase("run")
        return float(((model.state["out.g[0]"] + model.state["out.g[1]"]) ** 2).sum())

    start = {name: model.state[name].copy() for name in ("W.w", "V.w")}
    slopes = {}
    for name, w in start.items():
        moved = w.copy()
        moved[0, 0] += 1e-6
        model.state[name] = moved
        above = loss()
        moved[0, 0] -= 2e-6
        model.state[name] = moved
        slopes[name] = (above - loss()) / 2e-6
        model.state[name] = w
    loss()
    model.update()
    for name, w in start.items():
        found = (w - model.state[name])[0, 0]
        assert found == pytest.approx(slopes[name], rel=1e-6)
