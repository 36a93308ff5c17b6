"""What random networks leave out: kernels, parts of populations, lists of synapses, one step."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.passes import LoweringError
from tests.reverse.networks import CLASSES, IMAGE, ROWS, TAIL, Sample
from tests.reverse.test_differences import MISSING, compared, modelled

CELLS = f"""\
edition 1
neuron source {{ state v = 0; state a = 0 }}
neuron cell {{ input j; state v = 0.1; state a = 0; v := 0.5 * v + tanh(j); a := sin(v) }}
population x : source[row: 2, col: 2, ch: 1]
population out : cell[{CLASSES}]
synapse tied {{ weight w ~ uniform(-0.8, 0.8); deliver j += w * pre.v; learn bptt(loss = E) }}
loss E = mean(sum((out.a@run + out.v@run - onehot(sample.label))^2))
"""
KERNELS = """\
population f : cell[row: 2, col: 2, ch: 2]
projection K : x -> f conv(kernel = 3, pad = same) delay 1 step using tied
projection B : std.one -> f shared_over(row, col) delay 0 {
  weight w = 0.1; deliver j += w * pre.s; learn bptt(loss = E) }
projection R : f -> f conv(kernel = 1) delay 2 step using tied
projection W : f -> out dense delay 0 using tied
"""
PARTS = """\
population h : cell[6] types { E: 4; I: 2 }
projection K : x -> h.E dense delay 0 using tied
projection R : h.E -> h.I dense delay 1 step using tied
projection S : h.I -> h.E dense sign - delay 1 step {
  weight w ~ uniform(0.1, 0.8); deliver j += w * pre.v; learn bptt(loss = E) }
projection W : h -> out dense delay 0 using tied
"""
LISTS = """\
population h : cell[40]
projection K : x -> h dense delay 0 using tied
projection R : h -> h sparse(p = 0.05) delay 1 step using tied
projection W : h -> out dense delay 1 step using tied
"""
FORMS = {
    "kernels": (KERNELS, ("K", "B", "R", "W"), 5),
    "parts": (PARTS, ("K", "R", "W"), 4),
    "lists": (LISTS, ("K", "R", "W"), 4),
    "one step": (LISTS.replace("0.05", "0.5").replace("1 step using tied\n", "0 using tied\n", 2)
                 .replace("h -> h sparse(p = 0.5) delay 0", "h -> h sparse(p = 0.5) delay 1 step"),
                 ("K", "W"), 1),
}  # fmt: skip


def made(form: str) -> Sample:
    text, learning, steps = FORMS[form]
    return Sample(CELLS + text + TAIL.format(steps=steps, learning=", ".join(learning)),
                  learning, steps)  # fmt: skip


@pytest.mark.parametrize("backend", ["judge", "numpy", "native", "shim"])
@pytest.mark.parametrize("form", FORMS)
def test_differences(form: str, backend: str) -> None:
    if MISSING.get(backend):
        pytest.skip(f"{backend} is not there")
    compared(made(form), backend, 0)


def test_what_arrives_of_a_reset_state_is_0_and_so_is_the_gradient() -> None:
    sample = made("one step")
    text = sample.text.replace("update K, W", "update K, R, W").replace("v = 0.1", "v = 0")
    model = modelled(Sample(text, ("K", "R", "W"), 1), "numpy")
    model.present(image=np.ones((ROWS, IMAGE)), label=np.arange(ROWS) % CLASSES)
    model.reset()
    model.phase("run", "train")
    model.update()
    assert np.abs(np.array(model.state["K.dw"])).max() > 0
    assert not np.array(model.state["R.dw"]).any()
    model.close()


def test_a_phase_of_unknown_length_is_refused() -> None:
    sample = made("lists")
    text = sample.text.replace("phase run 4 steps", "phase run 1 + batch.index steps")
    with pytest.raises(LoweringError) as caught:
        modelled(Sample(text, sample.learning, 4), "numpy")
    assert caught.value.code == "E0806"
