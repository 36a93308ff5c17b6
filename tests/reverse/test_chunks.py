"""A phase that is run again in chunks gives the change that storing all of its steps gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import netdsl
from netdsl.frontend import check
from netdsl.ir.text import parse_program, program_text
from netdsl.passes import LoweringError, lower
from netdsl.runtime.memory import buffer_bytes
from tests.amounts import sweep
from tests.reverse.networks import CLASSES, IMAGE, ROWS, TAIL, Sample, sample
from tests.reverse.test_differences import MISSING, modelled
from tests.reverse.test_online import changes

Floats = NDArray[np.float64]
BACKENDS = ["judge", "numpy", "native", "shim"]

# Draws, spikes with silence behind them, states that only some steps change, a sum over the phase,
# lines of three steps, a number for each sample.
NOISY = """\
edition 1
neuron source { state v = 0; n ~ normal(0, 0.3) }
neuron cell { input j; state v = 0; state a = 0; u ~ uniform(0, 1)
  v := 0.8 * v + j + 0.2 * u
  spike s when v > 0.4 { v := 0; refractory 2 steps; surrogate triangle(damp = 0.5) }
  a := a + mean(v) * tanh(v) if phase.step % 3 == 1 else 0.9 * a }
neuron leak { input j; state y = 0; y := 0.9 * y + tanh(j) * (1 + 0.01 * t) }
population x : source[IMAGE]
population h : cell[6]
population out : leak[CLASSES]
synapse in { weight w ~ uniform(-1, 1); deliver j += w * (pre.v + pre.n); learn bptt(loss = E) }
synapse on { weight w ~ uniform(-1, 1); deliver j += w * (pre.s + pre.a); learn bptt(loss = E) }
projection Wi : x -> h dense delay 0 using in
projection Wr : h -> h sparse(p = 0.6) delay 3 step using on
projection Wo : h -> out dense delay 1 step using on
loss E = mean(0.0002 * sum((mean(out.y over run) + out.y@run - onehot(sample.label))^2))
""".replace("IMAGE", str(IMAGE)).replace("CLASSES", str(CLASSES))
LEARNING = ("Wi", "Wr", "Wo")


def noisy(steps: int) -> Sample:
    return Sample(NOISY + TAIL.format(steps=steps, learning=", ".join(LEARNING)), LEARNING, steps)


def longer(made: Sample, steps: int) -> Sample:
    text = made.text.replace(f"phase run {made.steps} steps", f"phase run {steps} steps")
    return replace(made, text=text, steps=steps)


def learned(
    made: Sample, backend: str, keep: str, dtype: str, by_hand: bool = False
) -> list[Floats]:
    """Changes, states and the clock behind two updates."""
    model = modelled(made, backend, keep, dtype)
    rng = np.random.default_rng(0)
    image, label = rng.uniform(0, 1, (ROWS, IMAGE)), rng.integers(0, CLASSES, ROWS)
    model.present(image=image, label=label)
    for _ in range(2):
        model.reset()
        if by_hand:
            model.step(made.steps - 2, "run", "train")
            model.step(2)
        else:
            model.phase("run", "train")
        model.update()
    found = [np.array(model.state[f"{name}.dw"]) for name in made.learning]
    found += [np.array(model.state[f"{name}.w"]) for name in made.learning]
    found += [np.array(value) for value in model.session.lasting().values()]
    chunks = {routine.chunk for routine in model.program.routines.values()}
    assert (chunks != {0}) == (keep == "recompute")
    model.close()
    return found


def alike(made: Sample, backend: str, dtype: str = "float64", by_hand: bool = False) -> None:
    if MISSING.get(backend):
        pytest.skip(f"{backend} is not there")
    stored = learned(made, backend, "store", dtype)
    again = learned(made, backend, "recompute", dtype, by_hand)
    assert any(np.abs(change).max() > 0 for change in stored[: len(made.learning)])
    for one, other in zip(stored, again, strict=True):
        np.testing.assert_array_equal(one, other)


RANDOM = sweep(
    [(0, 7), (1, 9), (2, 11), (4, 20), (5, 23), (7, 5)], lambda case: case[0] in (1, 4, 7)
)


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_random_networks(case: tuple[int, int]) -> None:
    seed, steps = case
    alike(longer(sample(seed), steps), "numpy")


@pytest.mark.parametrize("backend", BACKENDS)
def test_draws_spikes_and_lines(backend: str) -> None:
    alike(noisy(23), backend, "float32" if backend != "judge" else "float64")


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("steps", range(3, 40, 4))
def test_any_rest(steps: int, backend: str) -> None:
    alike(noisy(steps), backend)
    seed = 24 if steps == 23 else steps  # values of network 23 grow beyond all bounds
    alike(longer(sample(seed), steps), backend)


def test_step_by_step() -> None:
    alike(noisy(19), "numpy", by_hand=True)


def test_the_text_reads_back() -> None:
    program = lower(check(noisy(23).text, lower=False).require(), keep="recompute")
    assert parse_program(program_text(program)) == program


def test_memory_grows_with_the_root() -> None:
    """Of what is kept for the sweep; the rest does not depend on the number of steps."""

    def kept(steps: int, keep: str) -> int:
        program = lower(check(noisy(steps).text, lower=False).require(), keep=keep)
        return sum(buffer_bytes(program, ROWS, "float32").values())

    base = kept(3, "store")
    stored, again = (kept(6400, keep) - base for keep in ("store", "recompute"))
    assert again < stored / 20
    assert 3 < (kept(102_400, "recompute") - base) / again < 5  # of 16 times the steps
    assert kept(102_400, "auto") == kept(102_400, "store")
    assert kept(4_000_000, "auto") == kept(4_000_000, "recompute")


def test_it_is_said() -> None:
    model = netdsl.compile(noisy(100).text, "numpy", keep="recompute")
    assert "run again in chunks of" in model.show("memory")
    model = netdsl.compile(noisy(100).text, "numpy")
    assert "stored at each of 100 steps: that takes 0.0 MiB" in model.show("memory")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("update Wi", "clamp x.v = 0; update Wi"), "changes `x.v`"),
        (("update Wi, Wr, Wo", "update Wi; update Wr, Wo"), "several `update`s"),
    ],
)
def test_what_cannot_be_run_again_is_stored(change: tuple[str, str], why: str) -> None:
    network = check(noisy(23).text.replace(*change), lower=False).require()
    with pytest.raises(LoweringError, match=why) as caught:
        lower(network, keep="recompute")
    assert caught.value.code == "E0806"
    assert not any(routine.chunk for routine in lower(network).routines.values())


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_run(backend: str) -> None:
    """Also where many batches would be run in one call."""
    if MISSING.get(backend):
        pytest.skip(f"{backend} is not there")
    text = noisy(12).text.replace(f"source[{IMAGE}]", "source[64]").replace("[3]", "[10]")
    text = text.replace(
        "uniform(-1, 1); deliver j += w * (pre.v", "uniform(-0.1, 0.1); deliver j += w * (pre.v"
    )
    found = []
    for keep in ("store", "recompute"):
        model = netdsl.compile(text, backend, keep=keep)
        model.run(limit=9, test=False)
        found.append({name: np.array(model.state[f"{name}.w"]) for name in LEARNING})
        model.close()
    for name in LEARNING:
        np.testing.assert_array_equal(found[0][name], found[1][name])


def test_rules_that_are_declared_online() -> None:
    """Those that run in reverse."""
    found = [
        changes("mdgl", "reverse", "numpy", ("W.dw", "R.dw"), keep=keep)
        for keep in ("store", "recompute")
    ]
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][name])
