"""Every command once, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import COMMANDS
from netdsl.ir.text import parse_program, program_text
from netdsl.passes.pipeline import ABOUT
from netdsl.paths import data_path
from netdsl.runtime.rundir import RunDir
from netdsl.tools.replay import Presentation, Trace
from netdsl.tools.tracefile import write_trace
from tests.cli.command import SPEC, Command


def test_run_eval_plot(netdsl: Command) -> None:
    result, run = netdsl.run("--seed", "3", "--set", "rate=0.08", "--quiet")
    assert result.code == 0, result.err
    assert "test: accuracy" in result.out and f"saved to {run}" in result.out
    held = RunDir.open(run)
    assert held.params()["seed"] == 3
    assert held.params()["set"] == {"rate": "0.08"}
    assert held.spec() == SPEC
    assert len([row for row in held.metrics() if row["split"] == "dev"]) == 2
    again = netdsl("eval", run)
    assert again.code == 0
    assert again.out.split("(")[0].strip() in result.out
    assert netdsl("eval", run, "--best", "--split", "digits.dev").code == 0
    drawn = netdsl("plot", run, "--format", "svg")
    assert drawn.code == 0
    assert "learning-curves.svg" in drawn.out and "fields-W.svg" in drawn.out


def test_epochs_limit_and_seeds(netdsl: Command) -> None:
    result, _ = netdsl.run("--epochs", "1", "--limit", "40", "--seeds", "2", "--quiet")
    assert result.code == 0
    runs = sorted((netdsl.folder / "runs").iterdir())
    assert [RunDir.open(run).params()["seed"] for run in runs] == [0, 1]
    compared = netdsl("compare-runs", *runs, "--split", "dev")
    assert compared.code == 0
    assert "accuracy" in compared.out and "compare-accuracy.png" in compared.out


def test_resume_of_a_finished_run_keeps_its_weights(netdsl: Command) -> None:
    _, run = netdsl.run("--quiet")
    before = RunDir.open(run).weights()
    again = netdsl("run", run / "spec.net", "--resume", run, "--quiet")
    assert again.code == 0, again.err
    after = RunDir.open(run).weights()
    np.testing.assert_array_equal(before["W.w"], after["W.w"])


def test_check_text_and_json(netdsl: Command) -> None:
    spec = netdsl.spec()
    text = netdsl("check", spec)
    assert text.code == 0 and "no errors" in text.out and "learns delta" in text.out
    found = json.loads(netdsl("check", spec, "--format", "json").out)
    assert found["schema"] == 1 and found["diagnostics"] == []
    keys = ["rule", "projection", "space", "modulator_scope", "time", "sample", "phase", "verdict"]
    assert list(found["rules"][0])[:8] == keys
    bad = netdsl.spec(SPEC.replace("* pre.v }", "* pre.q }"))
    failed = netdsl("check", bad, "--format", "json")
    assert failed.code == 1
    assert json.loads(failed.out)["diagnostics"][0]["line"] == 9


@pytest.mark.parametrize("name", ["train.4", "out", "W"])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_show_one_kernel(netdsl: Command, name: str, backend: str) -> None:
    spec = netdsl.spec()
    whole = netdsl("show", "kernel", spec, "--backend", backend)
    part = netdsl("show", "kernel", spec, name, "--backend", backend)
    assert part.code == 0 and name.replace(".", "_") in part.out
    assert len(part.out) < len(whole.out)


@pytest.mark.parametrize(
    "kind",
    [
        "tokens",
        "ast",
        "network",
        "ir",
        "passes",
        "schedule",
        "memory",
        "kernel",
        "graph",
    ],
)
def test_show(netdsl: Command, kind: str) -> None:
    result = netdsl("show", kind, netdsl.spec(), "--backend", "numpy")
    assert result.code == 0, result.err
    assert len(result.out.splitlines()) > 4


def test_show_one_part(netdsl: Command) -> None:
    spec = netdsl.spec()
    assert netdsl("show", "ast", spec, "W").out.startswith("ProjectionDecl")
    assert "Projection" in netdsl("show", "ir", spec, "W").out
    missing = netdsl("show", "ast", spec, "Ww")
    assert missing.code == 1 and "did you mean `W`" in missing.err


def test_show_programs(netdsl: Command) -> None:
    spec = netdsl.spec()
    whole = netdsl("show", "ir", spec, "--backend", "numpy").out
    assert program_text(parse_program(whole)) == whole
    first = netdsl("show", "ir", spec, "--after", "lower").out
    assert first != whole and parse_program(first)
    assert netdsl("show", "ir", spec, "W.w").out.startswith("buffer W.w synapse weight")
    unknown = netdsl("show", "ir", spec, "--after", "fues")
    assert unknown.code == 1 and "did you mean `fuse`" in unknown.err
    times = netdsl("show", "passes", spec).out
    assert [line.split()[2] for line in times.splitlines()] == list(ABOUT)


def test_fmt(netdsl: Command) -> None:
    spec = netdsl.spec()
    assert netdsl("fmt", spec).code == 0
    first = spec.read_text()
    assert "# A delta rule on the built-in digits." in first
    assert netdsl("fmt", "--check", spec).code == 0
    assert netdsl("fmt", spec).code == 0 and spec.read_text() == first
    loose = netdsl.spec(first.replace("param rate = 0.05", "param rate=0.05"))
    assert netdsl("fmt", "--check", loose).code == 1


def test_new_and_examples(netdsl: Command) -> None:
    listed = netdsl("examples")
    assert listed.code == 0 and "csdp " in listed.out
    assert netdsl("new", "mine").code == 0
    assert (netdsl.folder / "mine.net").read_text() == (data_path("specs") / "csdp.net").read_text()
    assert netdsl("new", "mine").code == 2
    assert netdsl("examples", "ep").code == 0 and Path("ep.net").exists()
    Path("deep").mkdir()
    assert netdsl("examples", "ep_3", "--out", "deep/ep_3.net").code == 0
    assert Path("deep/ep.net").exists()  # the spec that it uses
    assert netdsl("new", "mine_too", "--like", "oja").code == 0
    missing = netdsl("examples", "cdsp")
    assert missing.code == 2 and "did you mean `csdp`" in missing.err


def test_explain(netdsl: Command) -> None:
    page = netdsl("explain", "E0301")
    assert page.code == 0 and page.out.startswith("E0301: ")
    assert netdsl("explain", "E9999").code == 1


def test_list_of_all_codes(netdsl: Command) -> None:
    lines = netdsl("explain", "--list").out.splitlines()
    assert lines == sorted(lines) and len(lines) > 150
    assert "E0001  something stands where it cannot" in lines
    assert netdsl("explain").code == 2


def test_compile_writes_code(netdsl: Command) -> None:
    spec = netdsl.spec()
    for backend, kernel in (("numpy", "def "), ("native", "static "), ("cupy", "__global__")):
        result = netdsl("compile", spec, "--backend", backend, "--out", backend)
        assert result.code == 0 and "routines" in result.out
        (code,) = Path(backend).glob(f"{Path(spec).stem}.*")
        assert kernel in code.read_text()
        assert "learn" in Path(backend, "schedule.txt").read_text()
    assert netdsl("compile", spec).code == 0
    assert list(Path("compiled").iterdir())


def test_replay(netdsl: Command) -> None:
    image = np.random.default_rng(0).random((3, 64))
    weight = np.random.default_rng(1).normal(size=(64, 10))
    states = [np.zeros((3, 10))]
    for _ in range(4):
        states.append(states[-1] + 0.5 * (image @ weight - states[-1]))
    held = Presentation(
        sample={"image": image, "label": np.zeros(3)}, expect={"out.r": np.stack(states[1:])}
    )
    write_trace(Path("trace.npz"), Trace({"W.w": weight}, (held,)))
    spec = netdsl.spec()
    options = (spec, "--trace", "trace.npz", "--backend", "numpy")
    good = netdsl("replay", *options, "--dtype", "float64", "--tolerance", "1e-12")
    assert good.code == 0, good.out + good.err
    bad = netdsl("replay", *options, "--tolerance", "out.r=0")
    assert bad.code == 1 and "beyond from presentation 0, step 0" in bad.out


def test_bench_and_cache(netdsl: Command) -> None:
    result = netdsl("bench", netdsl.spec(), "--backend", "numpy", "--batches", "1")
    assert result.code == 0 and "whole batch" in result.out
    assert netdsl("cache").code == 0


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_every_command(netdsl: Command, command: str) -> None:
    assert "Usage: netdsl " in netdsl(command, "--help").out


@pytest.mark.parametrize(
    "args",
    [
        ("rnu",),
        ("run",),
        ("run", "x.net", "--set", "n"),
        ("run", "x.net", "--epochs", "-1"),
        ("show", "tree", "x.net"),
        ("compare", "x.net", "--backends", "numpy"),
    ],
)
def test_usage_errors_exit_with_2(netdsl: Command, args: tuple[str, ...]) -> None:
    assert netdsl(*args).code == 2


def test_unknown_backend(netdsl: Command) -> None:
    result = netdsl("run", netdsl.spec(), "--backend", "numpi")
    assert result.code == 1
    assert "E0821" in result.err and "did you mean `numpy`" in result.err


def test_an_option_that_the_backend_has_not(netdsl: Command) -> None:
    result = netdsl("run", netdsl.spec(), "--backend", "numpy", "--fast-math")
    assert result.code == 1 and "has no option `fast_math`" in result.err


def test_an_internal_error_is_no_traceback(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **named: object) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr("netdsl.frontend.check", broken)
    result = netdsl("check", netdsl.spec())
    assert result.code == 1
    assert "error[E0899]: internal error: ZeroDivisionError: by chance" in result.err


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from netdsl.cli.main import main; main(['--help']);"
        "print(*[m for m in ('numpy', 'scipy', 'sympy', 'rich', 'lark') if m in sys.modules])"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 3
    assert done.stdout.splitlines()[-1] == ""


def test_a_run_of_a_derived_spec_stands_on_its_own(netdsl: Command) -> None:
    base = netdsl.spec(name="base.net")
    derived = netdsl.spec('edition 1\nuse "base.net" with rate = 0.06\n', "derived.net")
    done = netdsl("run", derived, "--backend", "numpy", "--epochs", "1", "--out", "runs", "--quiet")
    assert done.code == 0, done.err
    base.unlink()
    derived.unlink()
    run = next(Path("runs").iterdir())
    assert run.name.startswith("derived-")
    result = netdsl("eval", run)
    assert result.code == 0, result.err
    assert result.out.split("(")[0].strip() in done.out


def test_check_perturb(netdsl: Command) -> None:
    result = netdsl("check", netdsl.spec(), "--perturb")
    assert result.code == 0, result.err + result.out


def test_compare_two_backends(netdsl: Command) -> None:
    from netdsl.backends.native import available

    if not available()[0]:
        pytest.skip("no C compiler")
    result = netdsl(
        "compare", netdsl.spec(), "--backends", "numpy,native", "--dtype", "float64"
    )  # fmt: skip
    assert result.code == 0, result.out + result.err
    assert "numpy and native agree" in result.out
    beyond = netdsl("compare", netdsl.spec(), "--tolerance", "1e-12", "--dtype", "float32")
    assert beyond.code == 0 or "differ first in `" in beyond.out
