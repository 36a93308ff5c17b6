"""Attempts to get past the labels: each must have the label of what it computes."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from netdsl.locality.certificate import RuleCertificate

SPEC = """edition 1
neuron src {{ state s = 0 }}
neuron hid {{ input j; input fb; state r = 0; state q = 0; {hid} }}
neuron out {{ input j; input wc; state r = 0; state e = 0; r := tanh(j); e := 0.5 * e - r }}
neuron relay {{ input wc; input e }}
population x : src[64]
population h : hid[10]
population o : out[10]
population k : relay[10]
projection W2 : h -> o dense delay 0 {{
  weight w ~ normal(0, 0.1); deliver j += w * pre.r; learn r2()
}}
{more}
rule r1 {{ {rule} }}
projection W1 : x -> h dense delay {delay} {{
  weight w ~ normal(0, 0.1); deliver j += w * pre.s; learn r1()
}}
rule r2 {{ dw = post.e * pre.r }}
data digits {{ source = "digits"; batch = 32 }}
protocol train {{ each batch of digits.train {{ {steps} }} }}
"""
RUN = "phase run 2 steps learning"
START = "reset; clamp x.s = sample.image"
FEED = "projection {0} : {1} -> {2} {3} delay 1 step {{ {4} }}"


def certified(
    rule: str = "dw = post.r * pre.s",
    hid: str = "r := tanh(j)",
    more: str = "",
    steps: str = f"{START}; {RUN}",
    delay: str = "0",
) -> tuple[set[str], RuleCertificate]:
    text = SPEC.format(rule=rule, hid=hid, more=more, steps=steps, delay=delay)
    found = check(text, lower=False)
    assert found.certificate is not None, found.diagnostics
    codes = {d.code for d in found.diagnostics if d.severity == "error"}
    return codes, found.certificate["W1"]


@pytest.mark.parametrize(
    ("hid", "verdict", "scope"),
    [
        ("r := tanh(j); q := mean(r)", "three-factor", "population"),
        ("r := tanh(j); q := mean(r) + 0 * q", "three-factor", "population"),
        ("r := tanh(j); q := 0.9 * q + mean(r)", "three-factor", "population"),
        ("let m = mean(j); r := tanh(j); q := m", "three-factor", "population"),
        ("state p = 0; r := tanh(j); p := mean(r); q := p", "three-factor", "population"),
        ("state p = 0; r := tanh(j); p := mean(r); q := 0.9 * q + p", "local", "none"),
        ("r := tanh(j); q := sample.label * r", "three-factor", "global"),
        ("def y = sample.label; r := tanh(j); q := y * r", "three-factor", "global"),
        ("r := tanh(j); q := onehot(sample.label) - r", "three-factor", "neuron"),
    ],
)
@pytest.mark.parametrize("read", ["q", "copy"])
def test_what_a_population_shares(hid: str, verdict: str, scope: str, read: str) -> None:
    _, rule = certified(f"dw = pre.s * post.{read}", f"def copy = q; {hid}")
    assert (rule.verdict, rule.modulator_scope) == (verdict, scope)


@pytest.mark.parametrize(
    ("clamped", "verdict", "scope"),
    [
        ("sample.label", "three-factor", "global"),
        ("onehot(sample.label)", "local", "none"),
        ("2 * onehot(sample.label) - 1", "local", "none"),
        ("mean(h.r)", "three-factor", "population"),
        ("0.5 * h.r", "local", "none"),
    ],
)
@pytest.mark.parametrize("how", ["clamp {} = {}", "set {} := {}"])
def test_what_a_protocol_puts_on_a_population(
    clamped: str, verdict: str, scope: str, how: str
) -> None:
    steps = f"{START}; {how.format('h.fb', clamped)}; {RUN}"
    codes, rule = certified("dw = post.fb * pre.s", steps=steps)
    assert codes == set()
    assert (rule.verdict, rule.modulator_scope) == (verdict, scope)
    assert ("given by data" in " ".join(rule.notes)) == ("sample" in clamped)


@pytest.mark.parametrize("sent", ["sample.label * pre.r", "sample.label", "m * pre.r", "m"])
def test_a_delivery_is_no_way_round_a_modulator(sent: str) -> None:
    more = "modulator m on o to h { scope global; emit sum(e) }\n"
    more += FEED.format("K", "h", "h", "one_to_one", f"deliver fb += {sent}")
    _, rule = certified("dw = post.fb * pre.s", more=more)
    assert (rule.verdict, rule.modulator_scope) == ("three-factor", "global")


@pytest.mark.parametrize(
    "rule",
    [
        "dw = pre.s * (sample.label - mean(sample.label over batch))",
        "state F = 0; F := 0.9 * F + max(sample.label over batch); dw = F * pre.s",
        "dw = pre.s * m",
    ],
)
def test_a_batch_statistic_of_values_is_no_count(rule: str) -> None:
    more = "modulator m on h { scope population; emit mean(sample.label over batch) * sum(r) }"
    codes, found = certified(rule, more=more)
    assert (codes, found.verdict) == ({"E0310"}, "cross-sample")


def test_what_arrived_before_has_travelled_as_far() -> None:
    assert certified("dw = pre.s@prev * post.r", delay="5 steps")[1].time == "delayed(6)"
    assert certified("dw = pre.s * post.r@prev", delay="5 steps")[1].time == "delayed(5)"
    assert certified("dw = pre.s@prev * post.r")[1].time == "delayed(1)"


def test_relays_wash_no_weights() -> None:
    made = [
        FEED.format("D", "h", "o", "dense fixed", "weight w ~ normal(0, 1); deliver wc += w"),
        FEED.format("G", "o", "k", "one_to_one", "deliver wc += pre.wc; deliver e += pre.e"),
        FEED.format("F", "k", "h", "dense", "deliver fb += pre.wc * pre.e"),
    ]
    codes, rule = certified("dw = post.fb * pre.s", more="\n".join(made))
    assert (codes, rule.verdict) == ({"E0311"}, "aggregated-weights")


SPIKE = "spike s when r > 0.1 {{ r := 0; surrogate triangle(damp = 0.3, width = 0.1) }}"


@pytest.mark.parametrize(
    ("factor", "verdict", "scope"),
    [
        ("fb", "local", "none"),
        ("sample.label", "three-factor", "global"),
        ("m", "three-factor", "population"),
        ("mean(fb)", "three-factor", "population"),
    ],
)
def test_a_derivative_reads_its_coefficients(factor: str, verdict: str, scope: str) -> None:
    hid = f"state a = 0; a := {factor} * j; r := 0.9 * r + a; {SPIKE.format()}"
    more = "modulator m on o to h, h cells { emit sum(e) }"
    _, rule = certified("eligibility e of w to post.s; dw = e", hid, more)
    assert (rule.verdict, rule.modulator_scope) == (verdict, scope)


OTHER = FEED.format(
    "V", "x", "h", "dense fixed", "weight w ~ normal(0, 1); deliver fb += w * pre.s"
)
BACK = "projection B : o -> h dense delay 1 step { weight w ~ normal(0, 1); deliver fb += w * pre.e"


def test_replaced_weights() -> None:
    steps = f"{START}; {RUN}; set W1.w := V.w"
    codes, rule = certified("dw = 0 * pre.s", more=OTHER, steps=steps)
    assert (codes, rule.verdict) == ({"E0313"}, "weight-transport")


def test_the_value_of_a_copied_weight_is_the_copy() -> None:
    more = f"{BACK}; learn r3() }}\nrule r3 {{ dw = w * pre.e }}"
    steps = f"{START}; set B.w := transpose(W2.w); {RUN}"
    text = SPEC.format(
        rule="dw = post.r * pre.s", hid="r := tanh(j)", more=more, steps=steps, delay="0"
    )
    found = check(text, lower=False)
    assert found.certificate is not None
    assert found.certificate["B"].verdict == "weight-transport"
    assert found.certificate["W2"].verdict == "local"


def test_a_copy_before_learning_is_an_equal_start() -> None:
    text = SPEC.format(
        rule="dw = post.fb * pre.s", hid="r := tanh(j)", more=f"{BACK} }}", steps="S", delay="0"
    )
    loop = f"each batch of digits.train {{ {START}; {RUN} }}"
    text = text.replace("each batch of digits.train { S }", f"set B.w := transpose(W2.w); {loop}")
    found = check(text, lower=False)
    assert found.ok and found.certificate is not None
    assert found.certificate["W1"].verdict == "local"
    assert "an equal start, not a tie" in " ".join(found.certificate["W2"].notes)


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ("phase run 2 steps; when {} {{ update W1 }}", "cross-sample"),
        ("phase run 2 steps; when epoch > 2 {{ update W1 }} else {{ when {} {{ update W1 }} }}",
         "cross-sample"),
        ("repeat {{ phase run 1 step; update W1 }} until {} limit 5", "cross-sample"),
        ("phase run 2 steps; when {} {{ phase more 1 step }}; update W1", "cross-sample"),
        ("phase run 2 steps; when {} {{ phase more 1 step }}; reset; update W1", "local"),
        ("phase run 2 steps; when {} {{ evaluate check(digits.test) as c }}; update W1", "local"),
        ("phase run 2 steps; when batch.index % 2 == 0 {{ update W1 }}", "local"),
    ],
)  # fmt: skip
def test_a_decision_by_activity_enters_what_is_learnt(steps: str, verdict: str) -> None:
    steps = f"{START}; {steps.format('mean(sum(o.e^2) over batch) > 9')}"
    more = "protocol check(split) { each batch of split { phase run 2 steps } }"
    _, rule = certified("at update { dw = post.r * pre.s }", steps=steps, more=more)
    assert (rule.verdict, bool(rule.notes)) == (verdict, verdict == "cross-sample")


def test_an_epoch_may_be_decided() -> None:
    steps = f"each batch of digits.train {{ {START}; {RUN} }}"
    text = SPEC.format(
        rule="dw = post.r * pre.s", hid="r := tanh(j)", more="", steps="S", delay="0"
    )
    stop = "mean(sum(o.e^2) over batch) < 1"
    text = text.replace(
        "each batch of digits.train { S }", f"repeat {{ {steps} }} until {stop} limit 9"
    )
    found = check(text, lower=False)
    assert found.certificate is not None and found.certificate["W1"].verdict == "local"


@pytest.mark.parametrize(
    ("sent", "verdict"),
    [
        ("w * exp(0 * pre.s)", "aggregated-weights"),
        ("w * (pre.s - pre.s + 1)", "aggregated-weights"),
        ("w * (pre.s == pre.s)", "aggregated-weights"),
        ("w * (pre.s + 1)", "aggregated-weights"),
        ("w", "aggregated-weights"),
        ("w * pre.s^2", "local"),
        ("(0 if self else w) * pre.s", "local"),
        ("w * pre.s * post.r", "local"),
    ],
)
def test_a_sum_of_weights_under_an_idle_factor(sent: str, verdict: str) -> None:
    weights = f"weight w ~ normal(0, 1); deliver fb += {sent}"
    more = FEED.format("B", "h" if "self" in sent else "x", "h", "dense fixed", weights)
    more = more.replace("pre.s", "pre.r") if "self" in sent else more
    assert certified("dw = post.fb * pre.s", more=more)[1].verdict == verdict


CHOSEN = "sum(err[k] * (k == post.index) over k)"


@pytest.mark.parametrize(
    ("rule", "scope"),
    [
        ("dw = err[0] * pre.s", "global"),
        ("dw = sum(err[k] over k) * post.r * pre.s", "global"),
        ("dw = err[0] * (post.index == 3) * pre.s", "global"),
        (f"dw = {CHOSEN} * pre.s", "neuron"),
        (f"let mine = {CHOSEN}; dw = mine * pre.s", "neuron"),
        (f"state mine = 0; mine := 0.9 * mine + {CHOSEN}; dw = mine * pre.s", "neuron"),
        ("dw = (err[0] if post.index == 0 else err[1]) * pre.s", "neuron"),
        ("dw = (err[0] * post.own + err[1]) * pre.s", "neuron"),
        ("dw = (err[0] * post.first + err[1]) * pre.s", "neuron"),
        ("dw = (err[0] * post.r + err[1]) * pre.s", "global"),
        ("state g[10] = 0; g[k] := 0.9 * g[k] + pre.s; dw = sum(g[k] * err[k] over k)", "global"),
    ],
)
def test_each_may_take_its_own_of_what_all_are_told(rule: str, scope: str) -> None:
    more = "modulator err on o { scope global; emit vector e }"
    hid = "param own per neuron ~ normal(0, 1); def first = 1 if index == 0 else 0; r := tanh(j)"
    _, found = certified(rule, hid, more)
    assert (found.verdict, found.modulator_scope) == ("three-factor", scope)


def test_a_delivery_may_take_its_own() -> None:
    made = f"deliver fb += {CHOSEN}"
    more = "modulator err on o to h { scope global; emit vector e }\n"
    _, found = certified(
        "dw = post.fb * pre.s", more=more + FEED.format("K", "h", "h", "one_to_one", made)
    )
    assert (found.verdict, found.modulator_scope) == ("three-factor", "neuron")


ARRAYS = """edition 1
array wiring = "wiring.npz"
neuron src {{ state s = 0 }}
neuron unit {{ input i; input k; state r = 0; r := i }}
population a : src[5]
population b : unit[5]
population c : unit[5]
rule hebb {{ dw = 0.01 * pre.s * post.k }}
projection W : a -> b dense delay 0 {{
  weight w ~ normal(0, 1); deliver i += w * pre.s; learn hebb()
}}
projection U : b -> c dense delay 0 {{ weight w = wiring.w; deliver i += w * pre.r{learns} }}
projection V : c -> b dense fixed delay 1 step {{ weight w = wiring.{of}; deliver k += w * pre.r }}
rule delta {{ dw = 0.01 * pre.r * post.r }}
protocol train {{ reset; clamp a.s = 1; phase run 5 steps learning }}
"""


@pytest.mark.parametrize(
    ("learns", "of", "verdict"),
    [
        ("", "w", "weight-transport"),
        ("", "other", "local"),
        ("; learn delta()", "w", "local"),
    ],
)
def test_two_projections_of_one_array(learns: str, of: str, verdict: str) -> None:
    found = check(ARRAYS.format(learns=learns, of=of), lower=False)
    assert found.certificate is not None, found.diagnostics
    assert found.certificate["W"].verdict == verdict
    if learns:
        assert "an equal start, not a tie" in " ".join(found.certificate["U"].notes)
