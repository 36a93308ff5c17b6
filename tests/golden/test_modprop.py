"""ModProp against its sums over time, taps and types, written out; one tap is NL-MDGL.

The reference takes traces and the forward pass of the recorded network's own program, and shares
nothing with the compiler: it stores the eligibility of every step, and the error is known at once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.golden.case import SPECS, Array, Case
from tests.golden.recurrent import cases
from tests.golden.recurrent_made import (
    HYPER,
    Arrays,
    decays,
    effective,
    forward,
    recurrent,
    traces,
    type_table,
)
from tests.golden.replaying import run_case

BACKENDS = ("numpy", pytest.param("native", marks=pytest.mark.slow))
MU = 6.0  # so that far taps count
FILE = recurrent(11)


def taps(w: Array, inhibit: int, number: int) -> list[Array]:
    """F_1, …: mu^(s-1) times the types' mean of the s-th power, (type of p, type of j); I first."""
    mean = type_table(w, inhibit, nonzero=False)[::-1, ::-1].T  # E first, (target, source) there
    each = np.zeros_like(w)
    kind = (np.arange(len(w)) >= inhibit).astype(int)
    each[:] = mean[kind[:, None], kind[None, :]]
    found, power = [], each
    for s in range(number):
        found.append(MU**s * power[np.ix_((0, inhibit), (0, inhibit))])
        power = power @ each
    return found


def modprop(file: Arrays, number: int) -> Arrays:
    """The loss by the input and recurrent weights as ModProp has it, (pre, post)."""
    weights = effective(file, {k: file[f"theta_{k}_0"] for k in ("in", "rec", "out")})
    run = forward(file, HYPER, weights, file["b_out_0"])
    kind = (np.arange(HYPER["n_rec"]) >= HYPER["n_inh"]).astype(int)
    a = run["L"] * run["psi"]
    sent = np.stack([a[:, :, kind == t].sum(2) for t in (0, 1)], 2)  # (B, T, type)
    earlier = np.concatenate([np.zeros_like(run["z"][:, :1]), run["z"][:, :-1]], 1)
    found = {}
    for part, pre in (("in", file["x"].astype(float)), ("rec", earlier)):
        e = traces(file, HYPER, run, pre)["e"]  # (B, T, post, pre)
        change = np.einsum("btp,btpq->qp", run["L"], e)
        for s, tap in enumerate(taps(weights["rec"], HYPER["n_inh"], number), 1):
            received = sent[:, s:] @ tap[kind].T
            change += (1 - decays(HYPER)[0]) * np.einsum("btp,btpq->qp", received, e[:, :-s])
        found[part] = change
    return found


def case(gradient: Arrays, number: int) -> Case:
    """The recording's first trial, with the gradients that this rule must give."""
    file = FILE | {f"grad_nlmdgl_{part}": g for part, g in gradient.items()}
    [plain] = [c for c in cases(file, HYPER, 1e-12) if c.name == "nlmdgl"]
    settings = {k: v for k, v in plain.settings.items() if k != "rule"}
    settings |= {"taps": number, "mu": MU}
    return replace(plain, spec=SPECS / "modprop.net", settings=settings, name="modprop")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_sums_over_time_taps_and_types(backend: str) -> None:
    expected = modprop(FILE, 3)
    other = FILE["grad_nlmdgl_in"]
    assert np.abs(expected["in"] - other).max() > 0.01 * np.abs(other).max()  # taps matter
    rows = run_case(case(expected, 3), backend, "float64")
    assert {"update W.dw", "update R.dw"} <= {row.name for row in rows}
    assert not [row for row in rows if not row.ok]


def test_one_tap_is_nlmdgl() -> None:
    for part, g in modprop(FILE, 1).items():
        np.testing.assert_allclose(g, FILE[f"grad_nlmdgl_{part}"], rtol=0, atol=1e-15)
    given = {part: FILE[f"grad_nlmdgl_{part}"] for part in ("in", "rec")}
    assert not [row for row in run_case(case(given, 1), "numpy", "float64") if not row.ok]
