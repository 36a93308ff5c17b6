"""Recordings of recurrent networks of other shapes; every number that is off is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.amounts import sweep
from tests.golden.__main__ import table
from tests.golden.case import Case, GoldenError
from tests.golden.recurrent import PROJECTIONS, RULES, cases, checked
from tests.golden.recurrent_made import Arrays, forward, recurrent
from tests.golden.replaying import Row, compiled, run_cases
from tests.golden.test_golden import DATA, backends

TINY = {"T": 12, "n_rec": 6, "n_in": 5, "n_regular": 2, "n_adaptive": 4, "n_inh": 3, "rate": 0.4}
SHAPES: dict[str, dict[str, Any]] = {
    "classes": TINY | {"n_out": 3, "B": 2, "n_ref": 2, "beta": 1.2},
    "plain": TINY | {"n_regular": 6, "n_adaptive": 0, "n_inh": 1, "T": 200, "tau_a": 500.0},
    "constants": TINY | {
        "dt": 0.5, "tau_v": 12.0, "tau_out": 12.0, "thr": 0.02, "dampening_factor": 0.5, "B": 4,
        "learning_rate": 0.01, "adam_beta1": 0.8, "adam_beta2": 0.99, "adam_epsilon": 1e-7,
        "l1": 0.1, "reconnect_value": 1e-9,
    },
}  # fmt: skip
GIVEN = ("x", "y", "in_sign", "rec_sign", "beta_vec", "hyperparameters_json", "b_out_0", "mod_adj")


def opened(file: Arrays, dtype: str = "float64") -> tuple[Case, ...]:
    relative = {"float64": 1e-12, "float32": 1e-5}[dtype]
    return cases(file, json.loads(str(file["hyperparameters_json"])), relative)


def of_mode(file: Arrays, *modes: str) -> tuple[Case, ...]:
    return tuple(case for case in opened(file) if case.name in modes)


def beyond(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.ok]


@pytest.mark.parametrize("shape", sweep(SHAPES, "classes".__eq__))
def test_quickly(shape: str) -> None:
    found = run_cases(of_mode(recurrent(1, **SHAPES[shape]), "mdgl"), "numpy", "float64")
    assert len(found) >= 40 and not beyond(found), "\n" + table(beyond(found))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("shape", "backend"),
    [*((s, "numpy") for s in SHAPES), *(("classes", b) for b in backends() if b != "numpy")],
)
def test_all_rules(shape: str, backend: str, dtype: str) -> None:
    file = recurrent(2, **SHAPES[shape])
    found = run_cases(opened(file, dtype), backend, dtype)
    assert {row.name.split()[0] for row in found} == set(RULES)
    assert not beyond(found), "\n" + table(beyond(found))


@pytest.mark.parametrize("modes", sweep([("mdgl",), tuple(RULES)], ("mdgl",).__eq__), ids=len)
def test_every_number_that_is_off_is_noticed(modes: tuple[str, ...]) -> None:
    """In every array that a recording has to show, one number is another: each row says so."""
    file = recurrent(1, **SHAPES["classes"])
    random = np.random.default_rng(0)
    for key, value in file.items():
        if key in GIVEN or key.startswith(("theta_", "sign_", "mask_", "W_", "w_out", "evec_in_s")):
            continue
        value = np.array(value, np.float64)
        at = tuple(random.integers(0, n) for n in value.shape)
        if key.startswith(("evec_a", "e_rec", "e_in")):
            at = (*at[:2], value.shape[2] - 1, *at[3:])  # of a unit that adapts
        at = (...,) if key == "w_type" else at  # each is a variable of its own
        value[at] += 1e-3 * (np.abs(value).max() or 1.0) + 1e-5
        file[key] = value
    found = run_cases(of_mode(file, *modes), "numpy", "float64")
    assert [row.name for row in found if row.ok] == []


@pytest.mark.slow
def test_synapses_in_lists_learn_as_the_program_says() -> None:
    """A network as it is drawn, of which existing synapses alone are stored."""
    shape = TINY | {"n_rec": 40, "n_in": 24, "n_regular": 20, "n_adaptive": 20, "n_inh": 8, "T": 30}
    drawn = {"p": 0.06, "draw": "pairs_with_replacement"}
    file = recurrent(3, **shape)
    case = of_mode(file, "mdgl")[0]
    case = replace(case, settings={**case.settings, **drawn})
    model = compiled(case, "numpy", "float64")
    given = {f"theta_{part}_0": model.state[f"{name}.mag"] for part, name in PROJECTIONS.items()}
    model.close()
    given |= {f"mask_{part}": given[f"theta_{part}_0"] > 0 for part in PROJECTIONS}
    assert 0 < given["mask_rec"].mean() < 0.1
    file = recurrent(3, given, **shape)
    assert file["z"].sum() > 20
    for part in PROJECTIONS:
        mask = file[f"mask_{part}"]
        adam = [f"mdgl_adam_{moment}_{part}_3" for moment in "mv"]
        for key in (f"grad_mdgl_{part}", f"grad_w_{part}", *adam):
            if key in file:
                file[key] = file[key] * mask
        for key in (f"e_{part}", f"evec_v_{part}", f"evec_a_{part}"):
            if key in file:
                file[key] = file[key] * mask.T
    case = replace(of_mode(file, "mdgl")[0], settings=case.settings)
    found = run_cases((case,), "numpy", "float64")
    assert not beyond(found), "\n" + table(beyond(found))


def shape_of(file: Arrays) -> dict[str, Any]:
    return dict(json.loads(str(file["hyperparameters_json"])))


def test_the_original_is_repeated_by_the_program() -> None:
    """The program that makes recordings gives what the original graph gave."""
    with np.load(DATA / "mdgl_a.npz") as archive:
        file = {key: archive[key] for key in archive.files}
    hyper = shape_of(file)
    weights = {"in": file["W_in_0"], "rec": file["W_rec_0"], "out": file["w_out_0"]}
    run = forward(file, hyper, weights, file["b_out_0"])
    for key in ("v", "z", "psi", "psp", "i_syn", "logits", "loss"):
        np.testing.assert_allclose(run[key], file[key], rtol=0, atol=1e-12, err_msg=key)


def test_another_layout_is_refused() -> None:
    file = recurrent(1, **TINY)
    with pytest.raises(GoldenError, match="inhibit"):
        checked(file | {"rec_sign": -file["rec_sign"]}, shape_of(file))
    with pytest.raises(GoldenError, match="sign_in"):
        checked(file | {"sign_in": -file["sign_in"]}, shape_of(file))
