"""Updates beside the gradient: rules that are exact, and rules that are wrong on purpose."""

from __future__ import annotations

import json

import pytest

import netdsl
from netdsl.backends.native import available
from netdsl.runtime.errors import RunFault
from netdsl.tools.alignment import Alignment
from tests.cli.command import Command

SPIKING = """\
edition 1
dt = 1 ms
param kappa = 0.8
neuron source { state p = 0; state n = 0; n := p }
neuron cell {
  input i; state v = 0
  v := 0.9 * v + 0.1 * i - 0.3 * s@prev
  spike s when v > 0.3 { surrogate triangle(damp = 0.3, width = 0.3) }
  state y = 0
  y := kappa * y + (1 - kappa) * s
  input error
}
neuron class { input o; state target = 0; def err = softmax(o) - target }
population x : source[64]
population rec : cell[6]
population out : class[10]
rule eprop() {
  reads pre.n, post.s, post.error
  eligibility e of w to post.s
  state F = 0
  F := kappa * F + (1 - kappa) * e
  at update { dw = -post.error * F }
  reduce mean over batch
}
rule readout() {
  reads pre.y, post.err; at update { dw = -pre.y * post.err } reduce mean over batch
}
projection W : x -> rec sparse(p = 0.5) delay 0 {
  weight w ~ normal(0.5, 1); deliver i += w * pre.n; learn eprop()
}
projection V : rec -> out dense delay 0 {
  weight w ~ normal(0, 1); deliver o += w * pre.y; learn readout()
}
projection B : out -> rec transpose of V delay 1 step { deliver error += w * pre.err }
allow weight_transport on B because "exact"
loss E = mean(cross_entropy(softmax(out.o@trial), sample.label))
data digits { source = "digits"; batch = 4; split train = train }
protocol train {
  each batch of digits.train {
    reset
    clamp x.p = sample.image
    clamp out.target = onehot(sample.label)
    phase trial 8 steps learning
    update W, V
  }
}
"""
BACKENDS = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
]


def aligned(text: str, backend: str = "numpy", **how: object) -> Alignment:
    model = netdsl.compile(text, backend, dtype="float64")
    return model.align(**{"batches": 2, **how})  # type: ignore[arg-type]


def wrong(old: str, new: str) -> Alignment:
    assert old in SPIKING
    return aligned(SPIKING.replace(old, new))


@pytest.mark.parametrize("backend", BACKENDS)
def test_eprop_is_exact_without_recurrent_paths(backend: str) -> None:
    found = aligned(SPIKING, backend)
    assert not found.warnings and not found.refused
    for name in ("W", "V"):
        for point in found.points(name):
            assert point.gradient > 0 and point.distance < 1e-12
            assert point.cosine == pytest.approx(1) and point.ratio == pytest.approx(1)


def test_dropped_factor() -> None:
    found = wrong("+ (1 - kappa) * e", "+ e")
    assert found.mean("W", "cosine") == pytest.approx(1)
    assert found.mean("W", "ratio") == pytest.approx(5)
    (warning,) = found.warnings
    assert warning.code == "L0611" and "5 times the norm" in warning.message
    assert warning.primary.line == SPIKING[: SPIKING.index("learn eprop()")].count("\n") + 1


def test_wrong_sign() -> None:
    found = wrong("dw = -post.error * F", "dw = post.error * F")
    assert found.mean("W", "angle") == pytest.approx(180, abs=1e-3)
    (warning,) = found.warnings
    assert warning.code == "L0611" and "against the gradient" in warning.message


def test_missing_filter() -> None:
    found = wrong("F := kappa * F + (1 - kappa) * e", "F := F + (1 - kappa) * e")
    assert 0.3 < found.mean("W", "cosine") < 0.999
    assert found.mean("W", "distance") > 0.2
    assert found.mean("V", "cosine") == pytest.approx(1)


def test_reduction_is_that_of_the_rule() -> None:
    found = wrong("F }\n  reduce mean over batch", "F }\n  reduce sum over batch")
    assert found.mean("W", "ratio") == pytest.approx(1)
    loss = "2 * mean(cross_entropy(softmax(out.o@trial), sample.label)) / 8"
    assert aligned(SPIKING, loss=loss).mean("W", "ratio") == pytest.approx(4)


def test_no_signal() -> None:
    still = wrong("dw = -post.error * F", "dw = -post.error * F * (post.s - post.s)")
    (warning,) = still.warnings
    assert warning.code == "L0610" and "its update is 0 in all 2 batches" in warning.message
    flat = aligned(SPIKING, loss="mean(mean(relu(rec.v@trial - 1000)))")
    (warning,) = flat.warnings
    assert warning.code == "L0610" and "`W` does not move the loss" in warning.message
    assert flat.refused["V"].code == "E0807" and "the loss does not" in flat.refused["V"].message
    assert flat.json()["projections"]["W"]["batches"][0]["cosine"] is None
    json.dumps(flat.json(), allow_nan=False)


RATE = """\
edition 1
neuron source { state p = 0 }
neuron unit { input z; input goal; def e = goal - z; state sum = 0; sum := sum + e^2 }
population x : source[64]
population y : unit[5]
population extra : unit[5]
rule delta() { dw = 2 * pre.p * post.e }
synapse to { weight w ~ normal(0, 0.1); deliver z += w * pre.p; learn delta() }
projection W : x -> y dense delay 0 using to
projection U : x -> extra dense delay 0 using to
projection G : std.one -> y dense fixed delay 0 {
  weight w ~ normal(0, 1); deliver goal += w * pre.s
}
loss E = sum(sum(y.sum@run) over batch)
data digits { source = "digits"; batch = 3; split train = train }
protocol train { each batch of digits.train {
  reset; clamp x.p = sample.image; phase run 4 steps learning
} }
"""


def test_step_rules_are_added_up_with_weights_held() -> None:
    found = aligned(RATE)
    assert all(point.distance < 1e-12 for point in found.points("W"))
    assert found.refused["U"].code == "E0807"
    assert "no gradient: E0807" in found.render()


def test_random_feedback_over_training() -> None:
    back = "dense fixed delay 1 step { weight w ~ normal(0, 1);"
    text = SPIKING.replace("transpose of V delay 1 step {", back).replace("allow weight", "# ")
    found = aligned(text, batches=1, every=4, points=3)
    assert found.starts == [0, 4, 8] and [m.batch for m in found.measured] == found.starts
    assert all(found.mean("W", "cosine", start) < 0.95 for start in found.starts)
    assert found.mean("V", "distance") < 1e-12
    assert "after batches" in found.render()


def test_training_goes_its_way() -> None:
    """Comparing leaves the run that it looks at as it is."""
    plain, looked = (netdsl.compile(SPIKING, "numpy", dtype="float64") for _ in range(2))
    looked.align(batches=3)
    plain.run(epochs=1, limit=8, test=False)
    assert (looked.state["W.w"] == plain.state["W.w"]).all()


@pytest.mark.parametrize(
    ("code", "old", "new", "loss"),
    [
        ("E0870", "loss E = ", "metric E = ", None),
        ("E0871", "", "", "F"),
        ("E0871", "loss E", "loss F = mean(mean(out.o@trial))\nloss E", None),
        ("E0872", "steps learning\n    update W, V", "steps", None),
    ],
)
def test_faults(code: str, old: str, new: str, loss: str | None) -> None:
    with pytest.raises(RunFault) as fault:
        aligned(SPIKING.replace(old, new) if old else SPIKING, loss=loss)
    assert fault.value.code == code and fault.value.help


def test_command(netdsl: Command, tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text(SPIKING.replace("+ (1 - kappa) * e", "+ e"))
    options = ["--backend", "numpy", "--batches", "1", "--every", "2", "--points", "2"]
    found = netdsl("align", "a.net", *options, "--json", "--plot", "a.png")
    assert found.code == 0 and "warning[L0611]" in found.err and "learn eprop()" in found.err
    told = json.loads(found.out)
    assert [b["batch"] for b in told["projections"]["W"]["batches"]] == [0, 2]
    assert told["loss"] == "E" and told["phase"] == "trial" and told["warnings"]
    assert (tmp_path / "a.png").stat().st_size > 5000
    wrong = netdsl("align", "a.net", "--loss", "mean(mean(out.o@tril))", "--backend", "numpy")
    assert wrong.code == 1 and "--loss:1:" in wrong.err and "^" in wrong.err


@pytest.mark.slow
def test_equilibrium_propagation_comes_close_with_a_small_nudge() -> None:
    """Its theorem: at rest, for a nudge that goes to 0, the contrast is the gradient."""
    spec = Path(__file__).parents[2] / "specs" / "ep.net"
    loss = "mean(sum((out.s@free - onehot(sample.label))^2))"
    cosines = []
    for steps, nudge in ((20, 1), (300, 0.01)):
        sets = {"n1": 30, "T_free": steps, "T_nudged": steps, "beta0": nudge, "eta": 0.3}
        found = netdsl.compile(spec, "numpy", set=sets, dtype="float64").align(loss, batches=1)
        assert found.phase == "free"
        cosines.append([found.mean(name, "cosine") for name in ("W1", "b1", "W2", "b2")])
    assert max(cosines[0]) < 0.95 and min(cosines[1]) > 0.98
    assert found.mean("W1", "ratio") == pytest.approx(1, abs=0.1)
