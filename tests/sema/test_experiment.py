"""Data, protocols, readouts, metrics, and specifications of several files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from netdsl.ir.expr import Apply, Const, Reduce, Ref
from netdsl.ir.protocol import (
    Choose,
    Clamp,
    Evaluate,
    RunPhase,
    SetGlobal,
    SetState,
    SplitRef,
    Update,
)
from netdsl.sema import analyse
from netdsl.sema.scopes.collect import Loaded
from netdsl.syntax.parser import parse_or_raise
from tests.sema.build import codes, network, text


def batch(found, protocol="train"):  # type: ignore[no-untyped-def]
    """The steps of the loop over batches."""
    return found.protocols[protocol].body[0].body[0].body


def test_data_and_splits() -> None:
    more = (
        'data d { source = "x.npz"; batch = 4; eval_batch = 9; shuffle = true; '
        "partial = drop; split dev = train[0, 10]; scale = 2 }"
    )
    data = network(more=more).data["d"]
    assert (data.source, data.batch, data.eval_batch, data.shuffle) == ("x.npz", 4, 9, True)
    assert data.partial == "drop" and data.settings == {"scale": 2}
    assert data.splits["dev"] == ("train", 0, 10) and data.splits["test"] == ("test", None, None)


def test_pairs() -> None:
    more = "pairs p = mixed_image(digits, share = 0.5)"
    pairs = network(more=more).pairs["p"]
    assert (pairs.kind, pairs.data, pairs.settings) == ("mixed_image", "digits", {"share": 0.5})
    assert codes(more="pairs p = wrong_label(digit)") == ["E0101"]


def test_steps_of_a_protocol() -> None:
    top = "control c = 0\nglobal state g = 1"
    steps = """g := g * random_sign(); clamp a.s = sample.image; set b.s := i
      phase one 5 steps { c = g }; when g > 0 { phase two 0 steps }"""
    found = batch(network(top=top, steps=steps))
    _, assign, clamp, set_, phase, choose = found
    assert isinstance(assign, SetGlobal) and assign.target == "g"
    assert clamp == Clamp("a.s", Ref("sample.image"), clamp.site)
    assert isinstance(set_, SetState) and set_.value == Ref("b.i", "own", "settled")
    assert isinstance(phase, RunPhase) and phase.controls == (("c", Ref("g")),)
    assert isinstance(choose, Choose) and isinstance(choose.then[0], RunPhase)
    sites = [s.site for s in (assign, clamp, set_, phase, choose.then[0])]
    assert len(set(sites)) == len(sites)


def test_evaluations_and_checkpoints() -> None:
    more = """protocol test(split) { each batch of split { reset; phase run 5 steps } }
protocol all(epochs = 1) {
  each epoch { evaluate test(digits.test) as dev; checkpoint best by acc on dev }
  restore best
}
readout y = argmax(b.s@run)
metric acc = mean(y == sample.label)"""
    found = network(more=more)
    evaluate, checkpoint = found.protocols["all"].body[0].body
    assert isinstance(evaluate, Evaluate) and evaluate.args == (SplitRef("digits", "test"),)
    assert (checkpoint.metric, checkpoint.on) == ("acc", "dev")
    assert found.protocols["test"].parameters == (("split", None),)
    assert found.protocols["test"].body[0].of == SplitRef("", "", "split")
    assert codes(more=more.replace("acc on dev", "acc on dav")) == ["E0101"]
    assert codes(more=more.replace("digits.test)", "digits.tset)")) == ["E0101"]


def test_readouts_are_inlined_in_metrics() -> None:
    more = """readout n = sum(b.s over run)
readout y = argmax(n)
metric acc = mean(y == sample.label) per batch every 500 batches after update"""
    found = network(more=more)
    counted = Reduce("sum", "phase:run", Ref("b.s"))
    assert found.readouts["n"].value == counted
    metric = found.metrics["acc"]
    picked = Reduce("argmax", "population", counted)
    assert metric.value == Reduce("mean", "batch", Apply("eq", (picked, Ref("sample.label"))))
    assert metric.every == 500 and metric.per_batch


def test_metrics_of_weights() -> None:
    value = network(more="metric size = mean(W.w^2)").metrics["size"].value
    assert value == Reduce("mean", "population", Apply("pow", (Ref("W.w"), Const(2))))
    assert codes(more="metric size = W.w") == ["E0208"]


def test_records_claims_and_waivers() -> None:
    rules = 'rule r { dw = pre.s; allow weight_transport because "why not" }'
    more = "record b.s every 2 steps on test limit 4 samples\nclaim r : local, multi(2)"
    found = network(rules=rules, more=more, body="learn r()", steps="phase p 1 step learning")
    (record,) = found.recorders
    assert (record.variable, record.every, record.on, record.limit) == ("b.s", 2, "test", 4)
    assert found.claims[0].properties == ("local", "multi(2)")
    assert found.waivers[0].level == "weight-transport" and found.waivers[0].target == "r"


def test_updates() -> None:
    rules = "rule r { at update { dw = pre.s@run } }"
    found = network(rules=rules, body="learn r()", steps="phase run 5 steps; update W")
    assert isinstance(batch(found)[-1], Update) and batch(found)[-1].projections == ("W",)
    assert codes(rules=rules, body="learn r()", steps="phase run 5 steps; update V") == ["E0101"]


USING = 'edition 1\nuse "base.net" with n = 7\nparam m = 2\n'
BASE = text(top="param n : count = 3\nparam m = 1", more="population c : unit[n]")


def loader(path: str, beside: str) -> Loaded | None:
    if path == "base.net":
        return Loaded(path, BASE, parse_or_raise(BASE, path))
    if path == "cells/mine.net":
        cells = "edition 1\nneuron mine { state q = 0 }\n"
        return Loaded(path, cells, parse_or_raise(cells, path))
    return None


def derived(written: str):  # type: ignore[no-untyped-def]
    return analyse(parse_or_raise(written), written, "t.net", loader=loader)


def test_one_specification_from_another() -> None:
    found = derived(USING)
    assert found.network is not None
    assert found.network.populations["c"].size == 7 and found.network.params["m"] == 2
    assert found.sources == {"base.net": BASE}


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ('use "base.net" with k = 7\n', "E0110"),
        ('use "other.net"\n', "E0112"),
        ("import cells.mine { yours }\n", "E0112"),
        ("import std.neuron { lift }\n", "E0112"),
    ],
)
def test_other_files_that_are_wrong(written: str, code: str) -> None:
    assert [d.code for d in derived(written).diagnostics if d.severity == "error"] == [code]


def test_import_of_a_file_beside() -> None:
    found = derived("import cells.mine { mine }\npopulation p : mine[2]\n")
    assert found.network is not None and "p.q" in found.network.table


def test_files_elsewhere_are_not_read() -> None:
    for path in ("/etc/passwd", "../x.net", "data.csv"):
        written = f'use "{path}"\n'
        found = analyse(parse_or_raise(written), written, "t.net")
        assert [d.code for d in found.diagnostics] == ["E0112"]


def test_analysis_needs_no_algebra_system() -> None:
    code = (
        "import sys; from netdsl.sema import analyse; from netdsl.syntax.parser import parse; "
        f"analyse(parse({text()!r}).spec); "
        "print([m for m in ('sympy', 'scipy', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
