"""Single rules: each way of reading something gets its label or its error."""

from __future__ import annotations

from typing import Any

import pytest

from netdsl.ir.expr import Const, Ref
from netdsl.ir.network import Loss
from netdsl.ir.protocol import RunPhase, SetGlobal, SetState, Update
from netdsl.locality import Certificate, certify
from tests.networks import Builder


def base(delay: int = 2) -> Builder:
    """a -> c, with a population d beside them."""
    b = Builder()
    for name in ("a", "c", "d"):
        b.population(
            name, body=("u = u + i", "spike s: u > 1", "z = z * 0.9 + s", "q = q * 0.9 + u"),
            input="i fb", state="u", spike="s", trace="z:s q:u", keep=("q",),
            defs={"normed": "u - mean(u)", "rate": "u / batch.rows"},
        )  # fmt: skip
    b.projection("P", "a", "c", "i: w * pre.s", delay=delay)
    b.projection("Q", "c", "d", "i: w * pre.s", delay=1)
    return b


def label(dw: str, b: Builder | None = None, **settings: Any) -> Certificate:
    b = b or base()
    b.learn("P", "rule", dw, **settings)
    return certify(b.network())


def codes(certificate: Certificate) -> list[str]:
    return [d.code for d in certificate.diagnostics]


@pytest.mark.parametrize(
    ("dw", "space", "time", "sample", "verdict"),
    [
        ("pre.s", "pre", "delayed(2)", "batch-reduced", "local"),
        ("post.s", "post", "instant", "batch-reduced", "local"),
        ("post.s__prev", "post", "delayed(1)", "batch-reduced", "local"),
        ("w * pre.s * post.u", "pre+post", "delayed(2)", "batch-reduced", "local"),
        ("-0.1 * w", "synapse", "instant", "batch-reduced", "local"),
        ("1 + epoch", "constant", "instant", "batch-reduced", "local"),
        ("0 * pre.u + post.s", "pre-internal", "delayed(2)", "batch-reduced", "conditional"),
        ("pre.z * post.s", "pre+post", "delayed(2)", "batch-reduced", "local"),
        ("pre.q", "pre-internal", "delayed(2)", "batch-reduced", "conditional"),
        ("post.rate", "post", "instant", "batch-size-dependent", "local"),
        ("post.s / batch.rows", "post", "instant", "batch-size-dependent", "local"),
        ("post.normed", "modulator", "instant", "batch-reduced", "three-factor"),
        ("post.s * sample.positive", "modulator", "instant", "batch-reduced", "three-factor"),
    ],
)
def test_labels(dw: str, space: str, time: str, sample: str, verdict: str) -> None:
    certificate = label(dw)
    rule = certificate["P"]
    assert (rule.space, rule.time, rule.sample) == (space, time, sample)
    assert (rule.phase, rule.verdict) == ("single", verdict)
    assert codes(certificate) == []


def test_another_population_does_not_compile() -> None:
    certificate = label("pre.s * d.s")
    (found,) = certificate.diagnostics
    assert found.code == "E0301"
    assert found.primary.column == 9
    assert found.help is not None
    assert "d -> c" in found.help
    assert certificate["P"].verdict == "non-local"


def test_no_waiver_excuses_another_population() -> None:
    b = base()
    b.allow("non_local", "rule")
    assert sorted(codes(label("d.s", b))) == ["E0301", "E0320"]


def test_foreign_modulator() -> None:
    b = base()
    b.modulator("good", "d", "population", "sum(z)")
    b.learn("P", "rule", "post.s")
    edge = b.projections["P"]
    assert edge.rule is not None
    b.learn("P", "rule", "pre.s * good.d")
    assert codes(certify(b.network())) == ["E0301"]


@pytest.mark.parametrize("section", ["dw", "subtract", "after", "lets"])
def test_every_part_of_a_rule_is_read(section: str) -> None:
    settings: dict[str, Any] = {section: {"k": "d.s"} if section == "lets" else ("d.s",)}
    dw = settings.pop("dw", ("post.s",))[0]
    assert codes(label(dw, **settings)) == ["E0301"]


def test_closed_reads() -> None:
    certificate = label("pre.s * post.u + w", reads=("pre.s", "post.z"))
    assert codes(certificate) == ["E0302", "L0301"]
    assert codes(label("pre.s", reads=("pre.sent",))) == []
    assert codes(label("post.i", reads=("post.received",))) == []
    assert codes(label("post.u__prev", reads=("post.u",))) == []


@pytest.mark.parametrize(
    ("dw", "code", "verdict"),
    [
        ("sum(post.s)", "E0304", "non-local"),
        ("sum(pre.s, 'pre')", "E0304", "non-local"),
        ("post.s / sum(w, 'pre')", "E0311", "aggregated-weights"),
        ("post.s - mean(post.s, 'batch')", "E0310", "cross-sample"),
        ("Q.w * post.s", "E0313", "weight-transport"),
    ],
)
def test_reductions_and_foreign_weights(dw: str, code: str, verdict: str) -> None:
    certificate = label(dw)
    assert codes(certificate) == [code]
    assert certificate["P"].verdict == verdict


def test_a_batch_sum_of_flags_is_a_count() -> None:
    certificate = label("post.s / sum(sample.positive, 'batch')")
    assert certificate["P"].sample == "batch-size-dependent"
    assert codes(certificate) == []


def test_batch_statistics_in_a_cell_taint_downstream() -> None:
    b = base()
    b.population("a", body=("u = i - mean(i, 'batch')", "spike s: u > 1"), input="i", state="u",
                 spike="s")  # fmt: skip
    certificate = label("post.s", b)
    assert certificate["P"].verdict == "cross-sample"
    assert codes(certificate) == ["E0310"]
    assert "enters `c.i` through projection `P`" in " ".join(certificate["P"].witness)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("w * w", "aggregated-weights"),
        ("w * (pre.s + 1)", "aggregated-weights"),
        ("w * pre.s * (post.u - 1)", "local"),
    ],
)
def test_inputs_without_a_presynaptic_factor_aggregate_weights(value: str, verdict: str) -> None:
    b = base()
    b.projection("N", "a", "c", f"fb: {value}", delay=1)
    assert label("post.fb", b)["P"].verdict == verdict


def test_no_relay_washes_an_aggregate() -> None:
    b = base()
    b.population("a", body=("s = fb",), input="fb", state="s")
    b.projection("N", "d", "a", "fb: w * w", delay=1)
    assert label("post.s", b)["P"].verdict == "aggregated-weights"


def test_delivery_backwards_is_transport() -> None:
    b = base()
    b.projection("N", "c", "d", "c.fb: w * post.u", delay=1)
    assert label("post.fb", b)["P"].verdict == "weight-transport"


def test_copies_are_transport_and_learned_values_carry_no_taint() -> None:
    b = base()
    b.projection("Back", "d", "c", "fb: w * pre.s", delay=1)
    b.protocol("train", SetState("Back.w", b.expr("transpose(Q.w)"), span=b.span()))
    certificate = label("post.fb", b)
    assert certificate["P"].verdict == "weight-transport"
    assert "copied from `Q.w`" in certificate["P"].witness[0]


@pytest.mark.parametrize("learns", [False, True])
def test_an_equal_start_is_a_tie_only_between_fixed_weights(learns: bool) -> None:
    b = base()
    b.projection("Back", "d", "c", "fb: w * pre.s", delay=1, init=Ref("Q.w", "synapse"))
    if learns:
        b.learn("Back", "hebb", "pre.s * post.s")
    certificate = label("post.fb", b)
    assert certificate["P"].verdict == ("local" if learns else "weight-transport")
    if learns:
        assert any("equal start" in note for note in certificate["Back"].notes)


def test_transport_reaches_only_what_it_flows_into() -> None:
    b = base()
    b.population("top", body=("s = i",), input="i", state="s")
    b.projection("R", "d", "top", "i: w * pre.s", delay=1)
    b.projection("Rt", "top", "d", "fb: w * pre.s", delay=1, transpose_of="R")
    b.learn("R", "top_rule", "post.s")
    # d reads its `fb` nowhere: neither d.s nor what follows it is tainted.
    certificate = label("pre.s * post.s", b)
    assert {rule.verdict for rule in certificate.rules} == {"local"}


@pytest.mark.parametrize(
    ("scope", "claimed", "holds"),
    [("global", "population", True), ("population", "population", True),
     ("neuron", "population", False), ("celltype", "neuron", True)],
)  # fmt: skip
def test_three_factor_claims(scope: str, claimed: str, holds: bool) -> None:
    b = base()
    b.modulator("m", None if scope == "global" else "c", scope, "sum(c.z)"
                if scope == "global" else "sum(z)")  # fmt: skip
    b.claim("rule", f"three-factor({claimed})", "causal")
    certificate = label("pre.s * m", b)
    assert certificate["P"].modulator_scope == scope
    assert codes(certificate) == ([] if holds else ["E0330"])


@pytest.mark.parametrize(
    ("written", "expected"),
    [("local", []), ("delayed(2)", []), ("delayed(1)", ["E0330"]), ("batch_reduced", []),
     ("causal", []), ("conditional", ["E0330"]), ("splendid", ["E0331"])],
)  # fmt: skip
def test_claims(written: str, expected: list[str]) -> None:
    b = base()
    b.claim("rule", written)
    assert codes(label("pre.s * post.s", b)) == expected


def test_a_claim_on_nothing() -> None:
    b = base()
    b.claim("rul", "local")
    certificate = label("pre.s", b)
    assert codes(certificate) == ["E0331"]
    assert certificate.diagnostics[0].help == "did you mean `rule`?"


def test_waivers_must_be_of_use() -> None:
    b = base()
    b.allow("weight_transport", "Q")
    b.allow("wait_transport", "Q")
    b.allow("aggregated_weights", "rule", " ")
    assert codes(label("post.s / sum(w, 'pre')", b)) == ["E0320", "E0321", "E0322"]


def test_the_reference_rule_is_non_local() -> None:
    b = base()
    b.losses["E"] = Loss("E", b.expr("mean(sample.label, 'batch')"), b.span())
    b.learn("P", "bptt", loss="E")
    bare = certify(b.network())
    assert codes(bare) == ["E0314"]
    b.allow("non_local", "P", "the reference")
    certificate = certify(b.network())
    assert codes(certificate) == []
    rule = certificate["P"].json()
    assert (rule["verdict"], rule["phase"], rule["space"]) == (
        "non-local", "derivative", "non-local",
    )  # fmt: skip
    assert rule["waivers"] == [{"level": "non-local", "target": "P", "reason": "the reference"}]


def test_phases_count_values_kept_before_the_last() -> None:
    b = base()
    b.protocol("train", RunPhase("free", Const(1)), RunPhase("nudged", Const(1)), Update(("P",)))
    dw = "pre.s__nudged * post.s__nudged - pre.s__free * (post.s__free - post.i__free)"
    certificate = label(dw, b, clock="update")
    assert certificate["P"].phase == "multi(3)"
    assert label("post.s__nudged", b, clock="update")["P"].phase == "single"


def test_controls_hold_no_data() -> None:
    b = base()
    b.protocol("train", SetGlobal("beta", b.expr("mean(c.u)"), span=b.span()))
    assert codes(label("post.s", b)) == ["E0306"]


def test_cells_and_modulators_need_channels() -> None:
    b = base()
    b.population("c", body=("u = d.u",), input="i", state="u", spike="s")
    assert codes(label("post.s", b)) == ["E0303"]
    b = base()
    b.modulator("m", "c", "population", "sum(d.z)")
    assert codes(label("m", b)) == ["E0303"]
    b = base()
    b.modulator("m", None, "global", "d.z")
    assert codes(label("m", b)) == ["E0303"]


def test_json_form() -> None:
    found = label("pre.s * post.s").json()
    assert list(found) == ["schema", "spec", "diagnostics", "rules"]
    assert list(found["rules"][0]) == [
        "rule", "projection", "space", "modulator_scope", "time", "sample", "phase", "verdict",
        "reads", "witness", "notes", "waivers",
    ]  # fmt: skip
