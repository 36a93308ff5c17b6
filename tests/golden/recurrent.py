"""Golden files of spiking networks that learn by e-prop, MDGL in its forms, RFLO and BPTT.

Sheet mdgl.md sections 2 to 8 and 14: one case for each rule that the file has gradients of. All
pairs are connected here, and those without a synapse have size 0, so that the gradients of absent
synapses can be compared too. Traces of the file are (B, T, post, pre); here (T, B, pre, post).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netdsl.tools.replay import Presentation, Trace
from tests.golden.case import SPECS, Array, Case, Derived, GoldenError, one_hot, report_keys

RULES = {
    "mdgl": "mdgl",
    "eprop": "eprop",
    "bptt": "bptt",
    "mdgl_exactw": "mdgl_exact",
    "nlmdgl": "nlmdgl",
    "onmdgl": "onmdgl",
    "rflo": "rflo",
}
PROJECTIONS = {"in": "W", "rec": "R", "out": "V"}
UPDATES = 3
EXACT = 1e-10  # relative, in float64, for trials of any length
TRAINED = 1e-6  # the original rounds Adam's constants to float32
TRAINED_32 = 1e-5
MOMENTS = {"m": 1e-6, "v": 2e-5}  # relative: 0.999 in float32 is 1.3e-5 of 1 - 0.999 away
FORWARD = {
    "rec.i": "i_syn",
    "rec.v": "v",
    "rec.s": "z",
    "rec.rise": "threshold",
    "rec.b": "b_adapt",
    "rec.psi": "psi",
    "rec.y": "psp",
    "out.o": "logits",
}
TRACES = {"v": "v", "b": "a"}  # of the membrane and of the adaptation: here, in the file
WEIGHTED = "final trial/out.q"  # the readout's probabilities at the end
SERVING = (WEIGHTED, "rec.s.refractory", "rec.a[", "rec.m[", "W.mdgl.e.", "R.mdgl.e.")


def cases(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> tuple[Case, ...]:
    """A case for each rule. Raises GoldenError for networks that the specification has not."""
    checked(file, hyper)
    relative = max(relative, EXACT)
    return tuple(_case(file, hyper, mode, relative) for mode in RULES if f"grad_{mode}_in" in file)


def checked(file: Mapping[str, Array], hyper: dict[str, Any]) -> None:
    """Raises GoldenError where signs or thresholds are not those of the layout."""
    inhibit = np.arange(hyper["n_rec"]) < hyper["n_inh"]
    if not np.array_equal(np.asarray(file["rec_sign"]) < 0, inhibit):
        raise GoldenError("units that inhibit are not the first `n_inh`")
    for part in PROJECTIONS:
        sign = file["in_sign" if part == "in" else "rec_sign"][:, None]
        if np.any(np.asarray(file[f"sign_{part}"]) != sign):
            raise GoldenError(f"`sign_{part}` is not the sign of the sender")
    if hyper.get("rewiring_temperature", 0):
        raise GoldenError("the specification rewires without noise")


def settings(file: Mapping[str, Array], hyper: dict[str, Any]) -> dict[str, Any]:
    """Settings of sizes and constants."""
    tick = hyper["dt"]
    return {
        "n": hyper["n_rec"],
        "n_out": hyper["n_out"],
        "n_inh": hyper["n_inh"],
        "n_inh_in": int(np.count_nonzero(np.asarray(file["in_sign"]) < 0)),
        "n_regular": hyper["n_regular"],
        "beta_a": hyper["beta"],
        "tau_v": f"{hyper['tau_v'] / tick!r} ms",  # of steps of 1 ms
        "tau_out": f"{hyper.get('tau_out', hyper['tau_v']) / tick!r} ms",
        "tau_a": f"{hyper['tau_a'] / tick!r} ms",
        "threshold": hyper["thr"],
        "damp": hyper["dampening_factor"],
        "n_ref": hyper["n_ref"],
        "lr": hyper["learning_rate"],
        "b1": hyper["adam_beta1"],
        "b2": hyper["adam_beta2"],
        "eps": hyper["adam_epsilon"],
        "l1": hyper["l1"],
        "reopened": hyper["reconnect_value"],
        "p": 1,
        "draw": "bernoulli",
        "p_budget": 1,
        "cues.batch": 1,  # the trials are the file's
        "cues.n_cue": 1,
        "cues.cue": 1,
        "cues.pause": 0,
        "cues.delay": 0,
        "cues.recall": hyper["T"] - 1,
        "cues.units": hyper["n_in"],
    }


def _case(file: Mapping[str, Array], hyper: dict[str, Any], mode: str, relative: float) -> Case:
    trained = f"{mode}_theta_in_1" in file
    shown = tuple(
        Presentation(
            sample={"label": np.asarray(file["y"], np.int64), "pattern": np.zeros(hyper["B"])},
            feed={"x.n": _steps(file["x"])},
            expect=_forward(file, hyper, mode) if n == 0 else {},
            final=_ends(file, hyper, mode) if n == 0 else {"trial/out.q": np.zeros(_ended(hyper))},
            update=_updated(file, mode, n),
            name=f"update {n + 1}",
        )
        for n in range(UPDATES + 1 if trained else 1)
    )
    init = {f"{PROJECTIONS[part]}.mag": file[f"theta_{part}_0"] for part in PROJECTIONS}
    init["c.w"] = np.reshape(file["b_out_0"], (1, -1))
    init["x.type"] = (np.asarray(file["in_sign"]) > 0).astype(np.int64)
    init["rec.beta"] = file["beta_vec"]
    derived = _derived(file, hyper, mode, relative)
    trace = Trace({k: np.asarray(v) for k, v in init.items()}, shown)
    keep = tuple(dict.fromkeys(key for entry in derived for key in entry.keys))
    return Case(
        SPECS / "mdgl.net",
        settings(file, hyper) | {"rule": RULES[mode]},
        trace,
        _tolerances(trace, relative),
        derived=derived,
        keep=keep,
        choice=_all_candidates(file),
        name=mode,
    )


def _all_candidates(
    file: Mapping[str, Array],
) -> Callable[[str, Mapping[str, Array]], Mapping[str, Array]]:
    masks = {PROJECTIONS[part]: np.asarray(file[f"mask_{part}"], bool) for part in PROJECTIONS}
    return lambda name, closed: {part: found & masks[part] for part, found in closed.items()}


def _tolerances(trace: Trace, relative: float) -> dict[str, float]:
    """By key: `relative` to the largest number, spikes none, magnitudes as the sheet says."""
    found: dict[str, float] = {}
    for presentation in trace.presentations:
        for key, value in report_keys(presentation).items():
            top = float(np.abs(value).max(initial=0.0))
            found[key] = max(found.get(key, 0.0), relative * (top or 1.0))
            if key.startswith(SERVING):
                found[key] = np.inf
    exact = relative < TRAINED
    for key in found:
        if key.endswith((".mag", "c.w")):
            found[key] = TRAINED if exact else TRAINED_32
        if ".adam_tf." in key and exact:
            found[key] *= MOMENTS[key[-1]] / relative
    found["rec.s"] = 0.0
    return found


def _steps(array: Array) -> Array:
    """(B, T, …) to (T, B, …)."""
    return np.swapaxes(np.asarray(array, np.float64), 0, 1)


def _pairs(array: Array) -> Array:
    """(B, T, post, pre) to (T, B, pre, post)."""
    return np.swapaxes(_steps(array), -1, -2)


def _ended(hyper: dict[str, Any]) -> tuple[int, int]:
    return hyper["B"], hyper["n_out"]


# ---------------------------------------------------------------- what the first trial must give


def _forward(file: Mapping[str, Array], hyper: dict[str, Any], mode: str) -> dict[str, Array]:
    if mode != "mdgl":
        return {}
    found = {path: _steps(file[key]) for path, key in FORWARD.items()}
    for part in ("in", "rec"):
        found[f"{PROJECTIONS[part]}.mdgl.e"] = _pairs(file[f"e_{part}"])
        for trace in TRACES:
            found[f"{PROJECTIONS[part]}.mdgl.e.{trace}"] = np.zeros_like(_pairs(file[f"e_{part}"]))
    shape = (hyper["T"], hyper["B"], hyper["n_rec"])
    serving = ["rec.s.refractory"]
    serving += [f"rec.{v}[{k}]" for v in ("a", "m") for k in range(hyper["n_out"] - 1)]
    return found | {path: np.zeros(shape) for path in serving}


def _ends(file: Mapping[str, Array], hyper: dict[str, Any], mode: str) -> dict[str, Array]:
    found = {"trial/out.q": np.asarray(file["softmax_final"])}
    if mode == "mdgl":
        for row, target in enumerate("EI"):
            for column, source in enumerate("EI"):
                found[f"trial/gain[{source},{target}]"] = np.asarray(file["w_type"][row, column])
    return found


def _updated(file: Mapping[str, Array], mode: str, n: int) -> dict[str, Array]:
    """What update `n` (from 0) must give: gradients of the first, parameters of all."""
    found: dict[str, Array] = {}
    if n == 0:
        found |= {f"{PROJECTIONS[p]}.dw": -file[f"grad_{mode}_{p}"] for p in ("in", "rec")}
        found |= {"V.dw": -file["grad_w_out"], "c.dw": -np.reshape(file["grad_b_out"], (1, -1))}
    if f"{mode}_theta_in_{n + 1}" in file:
        for part, name in PROJECTIONS.items():
            found[f"{name}.mag"] = file[f"{mode}_theta_{part}_{n + 1}"]
        found["c.w"] = np.reshape(file[f"{mode}_b_out_{n + 1}"], (1, -1))
    if n == UPDATES - 1:
        for part, name in PROJECTIONS.items():
            found[f"{name}.adam_tf.m"] = -file[f"{mode}_adam_m_{part}_3"]  # of what is added
            found[f"{name}.adam_tf.v"] = file[f"{mode}_adam_v_{part}_3"]
    return {key: np.asarray(value) for key, value in found.items()}


# ---------------------------------------------------------------- what follows from variables


def _derived(
    file: Mapping[str, Array], hyper: dict[str, Any], mode: str, relative: float
) -> tuple[Derived, ...]:
    batch, last = hyper["B"], hyper["n_out"] - 1
    label = np.asarray(file["y"], np.int64)
    target = one_hot(label, hyper["n_out"])

    def loss(q: Array) -> Array:
        return -np.log(q[np.arange(batch), label]).mean()

    after = [file.get(f"{mode}_loss_{n}") for n in range(1, UPDATES + 1)]
    losses = [np.asarray(file["loss"]), *(x for x in after if x is not None)]
    rows = [Derived("loss", (WEIGHTED,), loss, tuple(losses), TRAINED)]
    if mode != "mdgl":
        return tuple(rows)
    alpha = np.exp(-hyper["dt"] / hyper["tau_v"])
    kappa = np.exp(-hyper["dt"] / hyper.get("tau_out", hyper["tau_v"]))
    back = (kappa ** np.arange(hyper["T"] - 1, -1, -1) * (1 - kappa))[:, None, None]

    def readout_error(q: Array) -> Array:
        return (q - target) / batch

    def direct(q: Array) -> Array:
        return np.swapaxes(back * (readout_error(q) @ file["w_out_0"].T), 0, 1)

    def taught(q: Array, vectors: tuple[Array, ...]) -> Array:
        d = readout_error(q)
        return back * sum(d[:, k, None] * each for k, each in enumerate(vectors))

    def emitted(q: Array, *a: Array) -> Array:
        return np.swapaxes(taught(q, a)[1:], 0, 1)

    def received(q: Array, *m: Array) -> Array:
        found = np.zeros_like(m[0])
        found[:-1] = (1 - alpha) * taught(q, m)[1:]
        return np.swapaxes(found, 0, 1)

    def over(kind: Array) -> Callable[..., Array]:
        return lambda q, *a: (emitted(q, *a) * kind) @ np.asarray(file["mod_adj"], float).T

    def silent(count: Array) -> Array:
        return np.swapaxes(np.concatenate([np.zeros_like(count[:1]), count[:-1] > 0]), 0, 1)

    excite = np.asarray(file["rec_sign"]) > 0
    a = (WEIGHTED, *(f"rec.a[{k}]" for k in range(last)))
    m = (WEIGHTED, *(f"rec.m[{k}]" for k in range(last)))
    first: list[tuple[str, tuple[str, ...], Callable[..., Array]]] = [
        ("readout_error", (WEIGHTED,), readout_error),
        ("learning_signal", (WEIGHTED,), direct),
        ("mod_a", a, emitted),
        ("mod_sum_E", a, over(excite)),
        ("mod_sum_I", a, over(~excite)),
        ("modulator", m, received),
        ("refractory", ("rec.s.refractory",), silent),
    ]
    adapting = np.asarray(file["beta_vec"])[:, None] > 0  # only there the file has the second

    def traces(at: Array, which: str) -> Callable[..., Array]:
        mine = adapting if which == "b" else True
        return lambda kept: np.swapaxes(np.swapaxes(kept[at], 0, 1), -1, -2) * mine

    steps = np.arange(hyper["T"])
    for trace, key in TRACES.items():
        first.append((f"evec_{key}_rec", (f"R.mdgl.e.{trace}",), traces(steps, trace)))
        into = np.asarray(file["evec_in_steps"])
        first.append((f"evec_{key}_in", (f"W.mdgl.e.{trace}",), traces(into, trace)))
    for key, names, compute in first:
        if key not in file:
            continue
        expected = np.asarray(file[key], np.float64)
        top = float(np.abs(expected).max(initial=0.0)) or 1.0
        rows.append(Derived(key, names, compute, (expected,), relative * top))
    return tuple(rows)
