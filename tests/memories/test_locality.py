"""What is proved of rules that learn with a memory."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from tests.memories.specs import STORED, WAIVED, spec

ON = "modulator g on b { scope neuron; emit "
SUM = f"{ON} sum(z[q] * gauss(z, z[q], 1) over q in past) }}"
THROUGH = SUM.replace("modulator g", "modulator k") + "\n"
WINDOW = {"memory": "window[4] of a.s, b.z, b.u", "steps": STORED, "dw": "pre.s * g", "more": ""}


def finding(text: str) -> tuple[str, str, str, list[str]]:
    """Verdict, sample level and scope of the rule, and codes of errors."""
    found = check(text)
    codes = [d.code for d in found.diagnostics if d.severity == "error"]
    assert found.certificate is not None, codes
    (rule,) = found.certificate.rules
    return rule.verdict, rule.sample, rule.modulator_scope, codes


@pytest.mark.parametrize(
    ("modulators", "verdict", "sample"),
    [
        (SUM, "cross-sample", "cross-sample"),
        (f"{ON} z[newest] }}", "cross-sample", "cross-sample"),
        (f"{ON} z - mean(z[q] over q in batch) }}", "cross-sample", "cross-sample"),
        (f"{ON} z * m }}", "three-factor", "batch-reduced"),
        (f"{THROUGH}{ON} k * z }}", "cross-sample", "cross-sample"),
    ],
)  # fmt: skip
def test_replay(modulators: str, verdict: str, sample: str) -> None:
    crosses = verdict == "cross-sample"
    more = WAIVED if crosses else ""
    assert finding(spec(modulators, more=more)) == (verdict, sample, "neuron", [])
    wanted = ["E0310"] if crosses else []
    assert finding(spec(modulators, more=""))[3] == wanted


def test_the_memory_may_be_named() -> None:
    named = 'allow cross_sample on past because "a test"'
    assert finding(spec(SUM, more=named))[3] == []


def test_window() -> None:
    assert finding(spec(SUM, **WINDOW)) == ("three-factor", "window(4)", "neuron", [])
    claimed = WINDOW | {"more": "claim learned : three-factor(neuron), window(4)"}
    assert finding(spec(SUM, **claimed))[3] == []
    both = f"{ON} z - z[newest] + mean(z[q] over q in batch) }}"
    assert finding(spec(both, **WINDOW))[0] == "cross-sample"


def test_states_of_slots_are_history() -> None:
    found = check(spec(SUM, dw="sample.newest * pre.s * g * post.z"))
    assert found.certificate is not None
    (rule,) = found.certificate.rules
    levels = {read.name: str(read.label.sample) for read in rule.details}
    assert levels["post.z"] == "history" and levels["g"] == "cross-sample"
    notes = " ".join(rule.notes)
    assert "sum over the slots of `past`" in notes


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ("clamp a.s = sample.image; phase run 1 step learning", ["E0551"]),
        ("clamp a.s = sample.image; phase run 1 step learning; push past", ["E0551"]),
        ("when past.full { phase run 1 step learning }; clamp a.s = sample.image; push past", []),
        ("push past; when past.full { reset memory past; phase run 1 step learning }", ["E0551"]),
        ("clamp a.s = sample.image; phase run 1 step; push past", []),
    ],
)
def test_slots_are_read_where_there_are_all(steps: str, codes: list[str]) -> None:
    assert finding(spec(SUM, **WINDOW | {"steps": steps}))[3] == codes


def test_a_cell_reads_slots_where_there_are_all() -> None:
    mean = "modulator g on b to b cells { scope population; emit mean(mean(z[q] over q in past)) }"
    text = spec(mean, **WINDOW | {"dw": "pre.s * post.z"}).replace(
        "def m =", "def c = g\n  def m ="
    )
    again = "protocol test(split) { each batch of split { phase see 1 step } }"
    assert finding(text)[3] == []
    assert finding(text + again)[3] == ["E0551"]
