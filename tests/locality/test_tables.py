"""Verdicts of rules behind tables over cell types and structure read backwards."""

from __future__ import annotations

import pytest

from netdsl.api import Model
from netdsl.frontend import Checked, check
from netdsl.passes import lower
from netdsl.tools.perturb import perturb_model

NUMBERS, MEANS = "[[1, 2], [3, 4]]", "block_mean(R.w over present)"
BACK = "gain[post.type, pre.type] * pre.a"
SPEC = """
edition 1
celltype E sign +
celltype I sign -
neuron src {{ state s = 0 }}
neuron cell {{
  input i; input m; input far
  state s = 0; s := 0.1 * relu(i)
  state a = 0; a := 0.1 * s + 0.01 * m
  state got = 0; got := far
}}
rule hebb {{ dw = 0.001 * pre.s * post.{read} }}
population x : src[64] types {{ E: 50; I: 14 }} shuffled
population rec : cell[20] types {{ I: 3; E: 17 }}
population out : cell[6] types {{ I: 3; E: 3 }}
projection W : x -> rec dense sign by pre delay 0 {{
  weight w ~ uniform(0, 0.2)
  deliver i += w * pre.s
  learn hebb()
}}
projection R : rec -> out sparse(p = 0.5) sign by pre delay 1 step {{
  weight w ~ uniform(-0.3, 1)
  deliver i += w * pre.s
}}
table gain[pre type, post type] = {table}
projection Mb : out -> rec {kind} of R delay 1 step {{ deliver m += {sent} }}
projection On : rec -> rec one_to_one delay 1 step {{ deliver far += pre.a }}
{allow}
data digits {{ source = "digits"; batch = 20; split train = train }}
protocol train {{
  each batch of digits.train {{
    reset
    clamp x.s = sample.image
    phase run 5 steps learning
  }}
}}
"""
AGGREGATED = 'allow aggregated_weights on Mb because "means"'
TRANSPORT = 'allow weight_transport on Mb because "the weights themselves"'


def checked(
    table: str = NUMBERS,
    kind: str = "mask_transpose",
    sent: str = BACK,
    allow: str = "",
    read: str = "m",
) -> Checked:
    return check(SPEC.format(table=table, kind=kind, sent=sent, allow=allow, read=read))


def verdicts(found: Checked) -> list[str]:
    assert found.certificate is not None
    return [rule.verdict for rule in found.certificate.rules]


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ({}, "local"),
        ({"read": "got"}, "local"),
        ({"sent": "0.1 * pre.a"}, "local"),
        ({"table": MEANS, "allow": AGGREGATED}, "aggregated-weights"),
        ({"table": MEANS, "allow": AGGREGATED, "read": "got"}, "aggregated-weights"),
        ({"kind": "transpose", "sent": "w * pre.a", "allow": TRANSPORT}, "weight-transport"),
    ],
)
def test_verdicts(parts: dict[str, str], verdict: str) -> None:
    found = checked(**parts)
    assert [d for d in found.diagnostics if d.severity == "error"] == []
    assert verdicts(found) == [verdict]
    assert found.certificate is not None
    if not parts:
        note = "what arrives through `Mb` (which synapses `R` has, backwards, from `out`)"
        assert note in found.certificate.render()


def test_a_relay_washes_no_means() -> None:
    for read in ("m", "got"):
        found = checked(table=MEANS, read=read)
        assert {d.code for d in found.diagnostics if d.severity == "error"} == {"E0311"}


@pytest.mark.parametrize("table", [NUMBERS, MEANS])
def test_updates_see_no_more_than_that(table: str) -> None:
    network = checked(table, allow=AGGREGATED if table == MEANS else "").require()
    report = perturb_model(Model(network, lower(network), "numpy", 0, "float64", rows=4))
    assert report.ok
    assert all(trial.changed and trial.moved for trial in report.trials)
