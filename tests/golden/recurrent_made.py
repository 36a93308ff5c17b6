"""Small recordings of recurrent spiking networks that learn, written straight from the sheet.

Plain NumPy in float64 that shares nothing with the compiler: LIF and ALIF units, Dale signs, the
modes e-prop, MDGL (cell-type gains, individual weights, NL, On), BPTT and RFLO, three updates with
Adam, L1 and rewiring that reopens every candidate. Sheet mdgl.md sections 2 to 8 and 14.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = dict[str, Array]
MATRICES = ("in", "rec", "out")
TRAINED = ("bptt", "eprop", "mdgl")
MODES = (*TRAINED, "mdgl_exactw", "nlmdgl", "onmdgl", "rflo")
HYPER: dict[str, Any] = {
    "system": "mdgl", "B": 3, "T": 40, "n_in": 9, "n_rec": 8, "n_regular": 4, "n_adaptive": 4,
    "n_inh": 2, "n_out": 2, "dt": 1.0, "tau_v": 20.0, "tau_out": 20.0, "tau_a": 100.0, "beta": 1.8,
    "thr": 0.01, "n_ref": 5, "dampening_factor": 0.3, "learning_rate": 0.0025, "adam_beta1": 0.9,
    "adam_beta2": 0.999, "adam_epsilon": 1e-8, "l1": 0.01, "rewiring_temperature": 0.0,
    "rewiring_connectivity": 0.5, "wout_connectivity": 0.5, "reconnect_value": 1e-12, "rate": 0.08,
}  # fmt: skip


def recurrent(seed: int, given: Arrays | None = None, **other: Any) -> Arrays:
    """A recording with the layout of section 14; `other` replaces hyperparameters, and `given` what
    is drawn, by key."""
    hyper = HYPER | other
    file = _drawn(np.random.default_rng(seed), hyper) | (given or {})
    theta = {k: file[f"theta_{k}_0"] for k in MATRICES} | {"b": np.zeros(hyper["n_out"])}
    weights = effective(file, theta)
    file |= {"W_in_0": weights["in"], "W_rec_0": weights["rec"], "w_out_0": weights["out"]}
    file["b_out_0"] = theta["b"]
    run = forward(file, hyper, weights, theta["b"])
    file |= {key: run[key] for key in run if key not in ("L", "d")}
    file |= {"readout_error": run["d"], "learning_signal": run["L"]}
    file |= _kept(file, hyper, run, weights)
    for mode in MODES:
        for k, g in gradient(mode, file, hyper, run, weights).items():
            file[f"grad_{mode}_{k}"] = g
    file["grad_w_out"] = run["psp"][:, -1].T @ run["d"]
    file["grad_b_out"] = run["d"].sum(0)
    for mode in TRAINED:
        file |= _trained(mode, file, hyper)
    file["hyperparameters_json"] = np.array(json.dumps(hyper))
    return file


def _drawn(random: np.random.Generator, h: dict[str, Any]) -> Arrays:
    n, sizes = h["n_rec"], {"in": (h["n_in"], h["n_rec"]), "rec": (h["n_rec"],) * 2}
    sizes["out"] = (n, h["n_out"])
    signs = {"in": random.permutation(np.where(np.arange(h["n_in"]) < 2, -1.0, 1.0))}
    signs["rec"] = signs["out"] = np.where(np.arange(n) < h["n_inh"], -1.0, 1.0)
    file: Arrays = {"in_sign": signs["in"], "rec_sign": signs["rec"]}
    file["beta_vec"] = np.where(np.arange(n) < h["n_regular"], 0.0, h["beta"])
    for k in MATRICES:
        mask = random.random(sizes[k]) < h["rewiring_connectivity"]
        file[f"mask_{k}"] = mask
        file[f"sign_{k}"] = np.broadcast_to(signs[k][:, None], sizes[k]).copy()
        strength = {"in": 0.4, "rec": 0.25, "out": 0.3}[k]
        file[f"theta_{k}_0"] = np.abs(random.normal(0, strength, sizes[k])) * mask
    file["x"] = random.poisson(h["rate"], (h["B"], h["T"], h["n_in"])).astype(np.uint8)
    file["y"] = random.integers(0, h["n_out"], h["B"])
    return file


def effective(file: Arrays, theta: Arrays) -> Arrays:
    """Weights from magnitudes: signed, positive ones only, no recurrent diagonal."""
    w = {k: file[f"sign_{k}"] * np.maximum(theta[k], 0) for k in MATRICES}
    np.fill_diagonal(w["rec"], 0)
    return w


def decays(h: dict[str, Any]) -> tuple[float, float]:
    """Per-step decay of the membrane (and of the readout) and of the adaptation."""
    return float(np.exp(-h["dt"] / h["tau_v"])), float(np.exp(-h["dt"] / h["tau_a"]))


def forward(file: Arrays, h: dict[str, Any], w: Arrays, bias: Array) -> Arrays:
    """All variables of section 2, the loss of section 5 and L of section 8."""
    (alpha, rho), thr, beta = decays(h), h["thr"], file["beta_vec"]
    B, T, n = h["B"], h["T"], h["n_rec"]
    keys = ("i_syn", "v", "z", "threshold", "b_adapt", "refractory", "psi", "psp")
    out = {key: np.zeros((B, T, n)) for key in keys}
    v, b, z, s = (np.zeros((B, n)) for _ in range(4))
    since = np.full((B, n), h["n_ref"])
    for t in range(T):
        i = file["x"][:, t] @ w["in"] + z @ w["rec"]
        b = rho * b + (1 - rho) * z
        threshold = thr + beta * b
        v = alpha * v + (1 - alpha) * i - thr * z
        u = (v - threshold) / thr
        silent = since < h["n_ref"]
        z = np.where(silent, 0.0, u > 0)
        psi = np.where(silent, 0, h["dampening_factor"] / thr * np.maximum(0, 1 - np.abs(u)))
        since = np.where(z > 0, 0, since + 1)
        s = alpha * s + (1 - alpha) * z
        for key, value in zip(keys, (i, v, z, threshold, b, silent, psi, s), strict=True):
            out[key][:, t] = value
    logits = out["psp"] @ w["out"] + bias
    p = np.exp(logits[:, -1] - logits[:, -1].max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    target = np.eye(h["n_out"])[file["y"]]
    d = (p - target) / B
    back = alpha ** np.arange(T - 1, -1, -1) * (1 - alpha)
    return out | {
        "bpsi": -beta * out["psi"], "logits": logits, "softmax_final": p, "d": d,
        "loss": np.array(-np.log((p * target).sum(1)).mean()),
        "accuracy": np.array((logits[:, -1].argmax(1) == file["y"]).mean()),
        "L": back[None, :, None] * (d @ w["out"].T)[:, None, :],
    }  # fmt: skip


def traces(file: Arrays, h: dict[str, Any], run: Arrays, pre: Array, rflo: bool = False) -> Arrays:
    """Eligibility of section 7, (B, T, post, pre): `v`, `a` and `e`; RFLO drops reset and b."""
    (alpha, rho), thr, beta = decays(h), h["thr"], file["beta_vec"][:, None]
    B, T, q = pre.shape
    kept = {key: np.zeros((B, T, h["n_rec"], q)) for key in ("v", "a", "e")}
    ev, ea = np.zeros((B, h["n_rec"], q)), np.zeros((B, h["n_rec"], q))
    before = np.zeros((B, h["n_rec"], 1))
    for t in range(T):
        given = (1 - alpha) * pre[:, t, None, :]
        e = before * (ev - beta * ea)
        if rflo:
            ev = alpha * ev + given
        else:
            ev, ea = alpha * ev - thr * e + given, rho * ea + (1 - rho) * e
            ea = np.where(beta > 0, ea, 0)
        before = run["psi"][:, t, :, None]
        for key, value in zip(("v", "a", "e"), (ev, ea, before * (ev - beta * ea)), strict=True):
            kept[key][:, t] = value
    return kept


def _earlier(z: Array) -> Array:
    return np.concatenate([np.zeros_like(z[:, :1]), z[:, :-1]], 1)


def type_table(w: Array, n_inh: int, nonzero: bool) -> Array:
    """w(P -> J) as [[E to E, I to E], [E to I, I to I]]: row J of the target, column P."""
    E, I = slice(n_inh, None), slice(0, n_inh)  # noqa: E741
    blocks = [[w[P, J] for P in (E, I)] for J in (E, I)]
    number = [[max(np.count_nonzero(b), 1) if nonzero else b.size for b in r] for r in blocks]
    return np.array([[b.sum() for b in r] for r in blocks]) / np.array(number)


def gains(mode: str, w: Array, n_inh: int) -> Array:
    """What a modulator of j is scaled by on its way to p, (p, j)."""
    if mode == "mdgl_exactw":
        return w
    table = type_table(w, n_inh, nonzero=mode != "nlmdgl")
    kind = (np.arange(len(w)) < n_inh).astype(int)  # 0: E
    found = table[kind[None, :], kind[:, None]]
    return found if mode == "nlmdgl" else found * (w != 0)


def _modulator(mode: str, h: dict[str, Any], run: Arrays, w: Arrays) -> Array:
    alpha = decays(h)[0]
    a = (run["L"] * run["psi"])[:, 1:]
    found = np.zeros_like(run["L"])
    found[:, :-1] = (1 - alpha) * a @ gains(mode, w["rec"], h["n_inh"]).T
    return found


def gradient(mode: str, file: Arrays, h: dict[str, Any], run: Arrays, w: Arrays) -> Arrays:
    """The loss by the input and recurrent weights as a mode has it, dense, (pre, post)."""
    if mode == "bptt":
        return _bptt(file, h, run, w)
    signal = run["L"]
    if mode in ("mdgl", "mdgl_exactw", "nlmdgl"):
        signal = signal + _modulator(mode, h, run, w)
    found = {}
    for k, pre in (("in", file["x"].astype(float)), ("rec", _earlier(run["z"]))):
        e = traces(file, h, run, pre, rflo=mode == "rflo")["e"]
        found[k] = np.einsum("btp,btpq->qp", signal, e)
        if mode == "onmdgl":
            found[k] = found[k] + _online(h, run, w, e)
    return found


def _online(h: dict[str, Any], run: Arrays, w: Arrays, e: Array) -> Array:
    alpha = decays(h)[0]
    back = alpha ** np.arange(h["T"] - 1, -1, -1) * (1 - alpha)
    average = np.einsum("t,btp->bp", back, run["psi"])
    before = np.einsum("t,btpq->bpq", back[1:], e[:, :-1])
    sent = average * (run["d"] @ w["out"].T)
    received = (1 - alpha) * sent @ gains("mdgl", w["rec"], h["n_inh"]).T
    return np.einsum("bp,bpq->qp", received, before)


def _bptt(file: Arrays, h: dict[str, Any], run: Arrays, w: Arrays) -> Arrays:
    (alpha, rho), thr, beta = decays(h), h["thr"], file["beta_vec"]
    of_v, of_b = np.zeros((h["B"], h["n_rec"])), np.zeros((h["B"], h["n_rec"]))
    found = {"in": np.zeros_like(w["in"]), "rec": np.zeros_like(w["rec"])}
    sent = {"in": file["x"], "rec": _earlier(run["z"])}
    for t in range(h["T"] - 1, -1, -1):
        dz = run["L"][:, t] + (1 - alpha) * of_v @ w["rec"].T - thr * of_v + (1 - rho) * of_b
        psi = run["psi"][:, t]
        of_v, of_b = psi * dz + alpha * of_v, -beta * psi * dz + rho * of_b
        for k, pre in sent.items():
            found[k] += (1 - alpha) * pre[:, t].T @ of_v
    np.fill_diagonal(found["rec"], 0)
    return found


def _kept(file: Arrays, h: dict[str, Any], run: Arrays, w: Arrays) -> Arrays:
    rec = traces(file, h, run, _earlier(run["z"]))
    into = traces(file, h, run, file["x"].astype(float))
    steps = np.array([1, h["T"] // 2, h["T"] - 1])
    a = (run["L"] * run["psi"])[:, 1:]
    adjacency = (w["rec"] != 0).astype(float)
    excitatory = (np.arange(h["n_rec"]) >= h["n_inh"]).astype(float)
    return {
        "e_rec": rec["e"], "e_in": into["e"], "evec_v_rec": rec["v"], "evec_a_rec": rec["a"],
        "evec_in_steps": steps, "evec_v_in": into["v"][:, steps], "evec_a_in": into["a"][:, steps],
        "mod_a": a, "mod_adj": adjacency, "modulator": _modulator("mdgl", h, run, w),
        "mod_sum_E": a * excitatory @ adjacency.T, "mod_sum_I": a * (1 - excitatory) @ adjacency.T,
        "w_type": type_table(w["rec"], h["n_inh"], nonzero=True),
    }  # fmt: skip


def _trained(mode: str, file: Arrays, h: dict[str, Any]) -> Arrays:
    """Three updates on the same batch: Adam on magnitudes, guard, L1, every candidate reopened."""
    theta = {k: file[f"theta_{k}_0"] for k in MATRICES} | {"b": file["b_out_0"]}
    m, v = ({k: np.zeros_like(x) for k, x in theta.items()} for _ in range(2))
    b1, b2 = h["adam_beta1"], h["adam_beta2"]
    kept: Arrays = {}
    for n in (1, 2, 3):
        w = effective(file, theta)
        run = forward(file, h, w, theta["b"])
        g = gradient(mode, file, h, run, w)
        g |= {"out": run["psp"][:, -1].T @ run["d"], "b": run["d"].sum(0)}
        for k, x in theta.items():
            own = g[k] * file[f"sign_{k}"] if k in MATRICES else g[k]
            m[k], v[k] = b1 * m[k] + (1 - b1) * own, b2 * v[k] + (1 - b2) * own**2
            rate = h["learning_rate"] * np.sqrt(1 - b2**n) / (1 - b1**n)
            new = x - rate * m[k] / (np.sqrt(v[k]) + h["adam_epsilon"])
            if k in MATRICES:
                new = np.where(x <= 0, 0, new)
                new = np.where(new > 0, new - h["learning_rate"] * h["l1"], new)
                closed = (new <= 0) & file[f"mask_{k}"]
                new = np.where(closed, h["reconnect_value"], new)
            theta[k] = new
            kept[f"{mode}_b_out_{n}" if k == "b" else f"{mode}_theta_{k}_{n}"] = new
        after = forward(file, h, effective(file, theta), theta["b"])
        kept[f"{mode}_loss_{n}"] = after["loss"]
    for k in MATRICES:
        kept |= {f"{mode}_adam_m_{k}_3": m[k], f"{mode}_adam_v_{k}_3": v[k]}
    return kept
