"""Protocols that run others, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.frontend import check
from netdsl.runtime.errors import RunFault
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.training import Settings
from netdsl.syntax.fmt import format_source
from tests.cli.command import Command
from tests.runtime.test_engine import StopAfter

SPEC = """\
edition 1
neuron pixel {{ input p; s ~ bernoulli(p) }}
neuron cell {{ input j; state v = 0 keep; v := 0.9 * v + j; def r = tanh(v) }}
neuron class {{ extends cell; def e = onehot(sample.label) - r }}
population img : pixel[64]
population h : cell[8]
population out : class[10]
rule hebb {{ dw = 0.01 * pre.s * post.r; reduce mean over batch }}
rule delta {{ dw = 0.1 * pre.r * post.e; reduce mean over batch }}
projection W : img -> h dense delay 0 {{
  weight w ~ normal(0, 0.5); deliver j += w * pre.s; learn hebb()
}}
projection V : h -> out dense delay 0 {{ weight w = 0; deliver j += w * pre.r; learn delta() }}
data digits {{
  source = "digits"; batch = 8; shuffle = true
  split train = train[0, 16]; split test = test[0, 10]
}}
protocol pretrain(split, epochs = 2) {{
  each epoch {{
    each batch of split {{ reset; clamp img.p = sample.image; phase warm 3 steps learning W }}
  }}
}}
protocol train(epochs = 2) {{
  {run}
  evaluate test(digits.test) as start
  each epoch {{
    each batch of digits.train {{
      reset; clamp img.p = sample.image; phase show 3 steps learning V
    }}
    evaluate test(digits.test) as test
  }}
}}
protocol test(split) {{
  each batch of split {{ reset; clamp img.p = sample.image; phase show 3 steps }}
}}
protocol first {{ run pretrain(digits.train) }}
metric accuracy = mean(argmax(out.r@show) == sample.label)
{more}
"""
RUN = "run pretrain(digits.train)"


def text(run: str = RUN, more: str = "") -> str:
    return SPEC.format(run=run, more=more)


def model(run: str = RUN, more: str = "", **options: Any) -> netdsl.Model:
    return netdsl.compile(text(run, more), "numpy", seed=2, **options)


def errors(run: str = RUN, more: str = "") -> set[str]:
    return {d.code for d in check(text(run, more)).diagnostics if d.severity == "error"}


def test_one_after_the_other(tmp_path: Path) -> None:
    """What is run first is as it is by itself; then its projections stand still."""
    whole, first = model(), model()
    whole.run(out=tmp_path, quiet=True)
    first.run("first", test=False)
    np.testing.assert_array_equal(whole.state["W.w"], first.state["W.w"])
    assert (first.state["V.w"] == 0).all() and (whole.state["V.w"] != 0).any()
    rows = RunDir.open(next(tmp_path.iterdir())).metrics()
    assert [(row["epoch"], row["split"]) for row in rows] == [
        (2, "start"), (3, "test"), (4, "test"), (4, "test"),
    ]  # fmt: skip


def test_how_often() -> None:
    """`epochs` of a `run` are its own, `--epochs` those of the protocol that is run."""
    more, twice = model("run pretrain(digits.train, epochs = 3)"), model(f"{RUN}; {RUN}")
    more.run(epochs=0, test=False)
    again = model(set={"pretrain.epochs": 3})
    again.run("first", test=False)
    np.testing.assert_array_equal(more.state["W.w"], again.state["W.w"])
    twice.run(epochs=0, test=False)
    four = model(set={"pretrain.epochs": 4})
    four.run("first", test=False)
    np.testing.assert_array_equal(twice.state["W.w"], four.state["W.w"])
    with pytest.raises(RunFault, match=r"--set pretrain\.epochs=5"):
        model().run("first", epochs=5)


def test_loops_that_follow_have_draws_of_their_own() -> None:
    """An epoch of a later loop is no repetition of that of an earlier one."""
    loop = "each epoch limit 2 { each batch of digits.train { reset; clamp img.p = sample.image"
    loop += "; phase warm 3 steps learning W } }"
    two, one = model(f"{loop}; {loop}"), model(loop.replace("limit 2", "limit 4"))
    for held in (two, one):
        held.run(test=False)
    np.testing.assert_array_equal(two.state["W.w"], one.state["W.w"])


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 6, 7])
def test_goes_on_from_anywhere(batches: int, tmp_path: Path) -> None:
    run = "run pretrain(digits.train, epochs = 2); run second"
    more = "protocol second { run pretrain(digits.train, epochs = 1) }"
    whole = model(run, more)
    first = whole.run(out=tmp_path / "whole")
    stopping = StopAfter(model(run, more), Settings(out=tmp_path / "runs"))
    stopping.batches = batches
    stopped = stopping.run()
    assert stopped.interrupted and stopped.directory and first.directory
    again = model(run, more)
    again.run(resume=stopped.directory)
    for name, value in whole.session.parameters().items():
        np.testing.assert_array_equal(again.state[name], value)
    for name in ("metrics.jsonl", "weights.npz"):
        assert (stopped.directory / name).read_bytes() == (first.directory / name).read_bytes()


def test_rows_and_lines_name_the_protocol(netdsl: Command, tmp_path: Path) -> None:
    spec = tmp_path / "s.net"
    held = text().replace("learning W }}", "learning W }}").replace(
        "phase warm 3 steps learning W }\n", "phase warm 3 steps learning W }\n"
        "    evaluate test(digits.test) as test\n"
    )  # fmt: skip
    spec.write_text(held)
    done = netdsl("run", spec, "--backend", "numpy", "--out", tmp_path / "runs")
    assert done.code == 0 and "pretrain epoch 2/2" in done.err and "train epoch 1/2" in done.err
    rows = RunDir.open(next((tmp_path / "runs").iterdir())).metrics()
    assert [row.get("protocol") for row in rows] == ["pretrain"] * 2 + [None] * 4


WRONG = [
    ("each epoch { run pretrain(digits.train) }", "", "E0533"),
    ("repeat { run pretrain(digits.train) } until epoch > 1", "", "E0533"),
    ("clamp img.p = 0; run pretrain(digits.train)", "", "E0533"),
    ("run train", "", "E0533"),
    (RUN, "protocol a { run b }\nprotocol b { evaluate c }\nprotocol c { run a }", "E0533"),
    ("run pretrain", "", "E0110"),
    ("run pretain(digits.train)", "", "E0101"),
    ("run pretrain(digits.tain)", "", "E0101"),
    ("run pretrain(digits.train, epoch = 3)", "", "E0101"),
    ("run other(rate = 3)", "protocol other(rate = 1) { evaluate test(digits.test) }", "E0533"),
    ("evaluate first as x", "", "E0523"),
]


@pytest.mark.parametrize(("run", "more", "code"), WRONG)
def test_refused(run: str, more: str, code: str) -> None:
    assert errors(run, more) == {code}


def test_not_reached_by_a_clamp_of_another_block() -> None:
    assert not errors("when epoch > 3 { clamp img.p = 0 }; run pretrain(digits.train)")


def test_a_decision_reaches_what_is_run() -> None:
    """A protocol that runs where activity decides makes its rules read what decides."""
    line = "when mean(mean(h.r) over batch) > 0 {{ {} }}"
    more = "protocol pulse { phase warm 3 steps learning W }"
    assert errors(line.format("phase warm 3 steps learning W")) == {"E0310"}
    assert errors(line.format("run pulse"), more) == {"E0310"}
    assert not errors("run pulse", more)


def test_formatted() -> None:
    line = "run   pretrain( digits.train ,epochs=3 )"
    assert "  run pretrain(digits.train, epochs = 3)\n" in format_source(text(line))


def test_evaluated_from_the_present_state_for_each_sample() -> None:
    """An evaluation of a copied state leaves what follows as it would have been."""
    loop = """
    each epoch {{
      each sample of digits.train {{
        clamp img.p = sample.image; phase warm 2 steps learning W
        {evaluate}
      }}
    }}"""
    more = "protocol again { phase warm 2 steps }\n"
    metric = "metric mean_v = mean(mean(h.v)) on again"
    found = []
    for line in ("", "evaluate again from present state as again"):
        held = model(loop.format(evaluate=line), more + (metric if line else ""))
        found.append(held.run(epochs=1, test=False).metrics)
        found.append(held.session.lasting())
    assert found[2]["again"]["mean_v"] != 0
    for name, value in found[1].items():
        np.testing.assert_array_equal(found[3][name], value, name)
