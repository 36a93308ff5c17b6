"""Cell types, tables over them and structure read backwards, against NumPy by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netdsl.api import Model
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.frontend import check
from netdsl.passes import lower
from netdsl.runtime import backend as backends
from netdsl.runtime.errors import RunFault
from tests.backends import test_cuda_golden

Array = NDArray[np.float64]
BACKENDS = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
    pytest.param(
        "shim",
        marks=[
            pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU"),
            pytest.mark.slow,
        ],
    ),
]
FORMS = [
    ("dense", "", "", "present", "masked"),
    ("sparse(p = 0.3)", "sign by pre", "shuffled", "present, no_self", "masked"),
    ("sparse(p = 0.3)", "sign by pre", "shuffled", "present", "edges"),
    ("sparse(p = 0.3)", "", "", "all", "edges"),
    ("dense no_self", "sign by pre", "", "all, no_self", "edges"),
    ("sparse(p = 0.5, draw = pairs_with_replacement)", "sign by pre", "", "present", "masked"),
]
SPEC = """
edition 1
celltype E sign +
celltype I sign -
neuron cell {{
  input i; input m; input q
  state s = 1; s := 0.5 * s + i + (0.25 if type == E else 0)
  state a = 0.5; a := 0.1 * index + 0.2
  state u = 0; u := m
  state z = 0; z := q
}}
rule hebb {{
  dw = 0.05 * (gain[pre.type, post.type] if pre.type != post.type else 1) * pre.s * post.a
}}
population rec : cell[10] types {{ I: 3; E: 7 }} {order}
projection R : rec -> rec {wiring} {sign} delay 1 step {{
  weight w ~ uniform(-0.3, 1)
  deliver i += (0 if self else w) * pre.s
  learn hebb()
}}
table gain[pre type, post type] = block_mean(R.w over {over})
projection Mb : rec -> rec mask_transpose of R delay 0 {{
  deliver m += (0 if self else gain[post.type, pre.type]) * pre.a
}}
projection Tb : rec -> rec transpose of R delay 0 {{ deliver q += (0 if self else w) * pre.a }}
allow aggregated_weights on gain because "means of one type onto another"
protocol train {{ phase run 3 steps learning }}
"""


def model(text: str, backend: str, synapses: str = "auto") -> Model:
    """The model of a text in double precision."""
    network = check(text, lower=False).require()
    return Model(network, lower(network, synapses=synapses), backend, 3, "float64")


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA on the host, under the name `shim`."""
    where = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backends.BACKENDS, "shim", where)


class ByHand:
    """The network of `SPEC`, written out."""

    def __init__(self, state: Any, form: tuple[str, ...]) -> None:
        self.signed, self.over = bool(form[1]), form[3]
        self.type = state["rec.type"].astype(int)
        self.key = "R.mag" if self.signed else "R.w"
        self.stored: Array = state[self.key].copy()
        self.mask = self.stored != 0
        self.sign = np.where(self.type == 1, 1.0, -1.0)[:, None] if self.signed else 1.0
        self.n = len(self.type)
        self.s = np.ones(self.n)
        self.u = self.z = np.zeros(self.n)

    def w(self) -> Array:
        return np.asarray(self.sign * np.maximum(self.stored, 0) if self.signed else self.stored)

    def present(self) -> Array:
        return self.stored > 0 if self.signed else self.mask

    def gain(self) -> Array:
        w, counted = self.w(), np.ones((self.n, self.n), bool)
        if "present" in self.over:
            counted = self.present()
        if "no_self" in self.over:
            counted = counted & ~np.eye(self.n, dtype=bool)
        found = np.zeros((2, 2))
        for pre in range(2):
            for post in range(2):
                block = np.ix_(self.type == pre, self.type == post)
                number = counted[block].sum()
                found[pre, post] = (w * counted)[block].sum() / number if number else 0
        return found

    def step(self) -> None:
        off = ~np.eye(self.n, dtype=bool)
        t, gain, sent = self.type, self.gain(), self.s
        self.s = 0.5 * self.s + sent @ (self.w() * off) + 0.25 * (t == 1)
        a = 0.1 * np.arange(self.n) + 0.2
        pairs = gain[t[:, None], t[None, :]]  # from type to type
        self.u = (pairs * self.present() * off) @ a
        self.z = (self.w() * off) @ a
        factor = np.where(t[:, None] != t[None, :], pairs, 1.0)
        change = self.sign * 0.05 * factor * sent[:, None] * a
        learns = self.mask & (self.stored > 0 if self.signed else True)
        self.stored = self.stored + change * learns


@pytest.mark.parametrize("form", FORMS, ids="-".join)
@pytest.mark.parametrize("backend", BACKENDS)
def test_tables_follow_the_weights(backend: str, form: tuple[str, ...]) -> None:
    wiring, sign, order, over, synapses = form
    text = SPEC.format(wiring=wiring, sign=sign, order=order, over=over)
    held = model(text, backend, synapses)
    hand = ByHand(held.state, form)
    if order:
        assert sorted(hand.type) == [0] * 3 + [1] * 7 and list(hand.type) != sorted(hand.type)
    for _ in range(2):
        held.phase("run")
        for _ in range(3):
            hand.step()
        for key, value in (("rec.s", hand.s), ("rec.u", hand.u), ("rec.z", hand.z)):
            np.testing.assert_allclose(held.state[key][0], value, 1e-12, 1e-12, err_msg=key)
        np.testing.assert_allclose(held.state[hand.key], hand.stored, 1e-12, 1e-12)
    held.close()


BY_TYPE = """
edition 1
neuron cell {
  input i
  state s = 1; s := 0.5 * s + i + index
  state r = 0; r := mean(s by type)
  state q = 0; q := max(s by type) - min(s by type) + sum(s by type)
}
modulator level on rec { scope celltype; let h = mean(s by type); emit 2 * h + (type == I) }
rule hebb { dw = 0.05 * pre.s * level }
population rec : cell[10] types { I: 3; E: 7 } shuffled
projection R : rec -> rec dense delay 1 step { weight w = 0; deliver i += w * pre.s; learn hebb() }
protocol train { reset; phase run 1 steps learning }
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_number_for_each_type(backend: str) -> None:
    held = model(BY_TYPE, backend)
    held.phase("run")
    state, kind = held.state, held.state["rec.type"]
    s = state["rec.s"][0]
    mean = np.array([s[kind == own].mean() for own in kind])
    rest = np.array([np.ptp(s[kind == own]) + s[kind == own].sum() for own in kind])
    np.testing.assert_allclose(state["rec.r"][0], mean, 1e-12)
    np.testing.assert_allclose(state["rec.q"][0], rest, 1e-12)
    change = np.broadcast_to(0.05 * (2 * mean + (kind == 0)), (10, 10))
    np.testing.assert_allclose(state["R.w"], change, 1e-12)
    held.close()


PARTS = """
edition 1
celltype E sign +
celltype I sign -
neuron cell {
  param b per neuron = 0
  input i; input m
  state a = 0.5; a := 0.1 * index
  state u = 0; u := m
  state s = 0.3; s := i + b + gain[E, type]
}
rule slow { at update { dw = 0.01 * pre.s * post.m } }
population rec : cell[row: 2, col: 5] types { I: 3; E: 7 } { b = 0.5 if row < 1 else 0.25 * col }
projection R : rec.E -> rec sparse(p = 0.6) sign by pre delay 1 step {
  weight w ~ uniform(0, 1)
  deliver i += (0 if self else w) * (1 if pre.type == post.type else 0.5) * pre.s
  learn slow()
}
projection O : rec -> rec one_to_one delay 1 step {
  deliver i += (0.1 if pre.type == post.type else 0) * pre.a
}
table gain[pre type, post type] = block_mean(R.w over present, no_self)
projection Mb : rec -> rec.E mask_transpose of R delay 0 {
  deliver m += (0 if self else gain[post.type, pre.type]) * pre.a
}
projection Nl : rec -> rec dense delay 0 { deliver m += gain[E, pre.type] * pre.a }
allow aggregated_weights on Mb, Nl, gain because "means"
protocol train { reset; phase run 2 steps; update R }
"""


@pytest.mark.parametrize("synapses", ["masked", "edges"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_parts_cells_and_updates(backend: str, synapses: str) -> None:
    held = model(PARTS, backend, synapses)
    held.present()
    state = held.state
    mag, kind, index = state["R.mag"].copy(), state["rec.type"], np.arange(10)
    b = np.where(index < 5, 0.5, 0.25 * (index % 5))
    np.testing.assert_allclose(state["rec.b"], b)
    held.phase("run")
    held.update()
    off, alike = index[3:, None] != index, np.where(kind[3:, None] == kind, 1, 0.5)
    blocks = [(mag > 0) & off & (kind == post) for post in (0, 1)]
    gain = np.array([(mag * block).sum() / block.sum() for block in blocks])[kind.astype(int)]
    s, a = np.full(10, 0.3), np.full(10, 0.5)
    for _ in range(2):
        s = s[3:] @ (mag * off * alike) + 0.1 * a + b + gain
        a = 0.1 * index
    m = np.full(10, (gain * a).sum())
    m[3:] += ((mag > 0) * off * gain) @ a
    np.testing.assert_allclose(state["rec.s"][0], s, 1e-12)
    np.testing.assert_allclose(state["rec.u"][0], m, 1e-12)
    wanted = mag + 0.01 * s[3:, None] * m * (mag > 0)
    np.testing.assert_allclose(state["R.mag"], wanted, 1e-12)
    held.close()


def test_types_can_be_given(tmp_path: Path) -> None:
    """From Python and from a state file; what reads them follows."""
    held = model(BY_TYPE, "numpy")
    kind = np.array([0.0] * 3 + [1.0] * 7)
    with pytest.raises(RunFault, match="given 5 neurons of type `I`"):
        held.state["rec.type"] = np.array([0.0] * 5 + [1.0] * 5)
    held.state["rec.type"] = kind
    held.save_state(tmp_path / "state.npz")
    other = model(BY_TYPE, "numpy")
    other.load_state(tmp_path / "state.npz")
    np.testing.assert_array_equal(other.state["rec.type"], kind)
    other.phase("run")
    s = other.state["rec.s"][0]
    wanted = np.where(kind == 0, s[:3].mean(), s[3:].mean())
    np.testing.assert_allclose(other.state["rec.r"][0], wanted)


def test_tables_of_numbers_in_cells() -> None:
    text = """
edition 1
dt = 1 ms
neuron cell {
  state s = 1; d s/dt = -s / tau[type]; integrate s with euler
  state q = 0; q := three[type, type, type]
}
population rec : cell[10] types { I: 3; E: 7 }
table tau[cell type] = [10 ms, 20 ms]
table three[pre type, post type, own type] = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
protocol train { phase run 1 steps }
"""
    held = model(text, "numpy")
    held.phase("run")
    np.testing.assert_allclose(held.state["rec.s"][0], [0.9] * 3 + [0.95] * 7)
    np.testing.assert_array_equal(held.state["rec.q"][0], [1] * 3 + [8] * 7)
