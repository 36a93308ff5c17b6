"""The published systems, reduced to what locality depends on."""

from __future__ import annotations

from netdsl.ir.expr import Const
from netdsl.ir.protocol import RunPhase, Update
from tests.networks import Builder


def csdp() -> Builder:
    """CSDP: two hidden layers, a classifier, a decoder (sheet csdp, sections 2 to 5)."""
    b = Builder()
    b.population("img", input="p", spike="s")
    for name in ("h1", "h2"):
        b.population(
            name,
            body=("ode euler v: (-v + j) / 0.1", "spike s: v > thr", "v = v * (1 - s)",
                  "thr = max(thr + 0.001 * (sum(s) - 1), 0.025)", "z = z * 0.9 + s"),
            input="j", state="v thr", spike="s", trace="z:s",
        )  # fmt: skip
        b.modulator(
            "good", name, "population",
            "2 * (sigmoid(sum(z ** 2) - 10) - sample.positive) / batch.rows",
        )  # fmt: skip
    b.population(
        "zy", body=("spike s: j > 1", "z = z * 0.9 + s"), input="j target", spike="s", trace="z:s",
        defs={"err": "2 * (target - z) * sample.positive / sum(sample.positive, 'batch')"},
    )  # fmt: skip
    for name, pre, post in (("W1", "img", "h1"), ("W2", "h1", "h2"), ("V2", "h2", "h1")):
        b.projection(name, pre, post, "j: 0.1 * w * pre.s", delay=1)
        b.learn(
            name, "csdp", "-0.1 * pre.s * post.z * good",
            reads=("pre.s", "post.s", "post.z", "good"), subtract=("5e-5 * (1 - pre.s) * post.s",),
        )  # fmt: skip
    b.projection("C2", "h2", "zy", "j: w * pre.s", delay=1)
    b.learn("C2", "delta", "0.1 * pre.s * post.err * (1 - abs(w))")
    b.projection("T", "img", "zy", "target: w * pre.s", fixed=True)
    b.protocol("train", RunPhase("run", Const(50), frozenset({"W1", "W2", "V2", "C2"})))
    return b


def corinfomax(expose: bool = False) -> Builder:
    """CorInfoMax, one hidden layer (sheet corinfomax, section 2)."""
    b = Builder()
    b.population("x", state="v")
    for name in ("h1", "out"):
        b.population(
            name, body=("u = u + 0.05 * (ff - u + fb - u + lat)", "r = clip(u, 0, 1)"),
            on_phase=("u = r",), input="ff fb lat", state="u r",
            defs={"basal": "r - ff", "apical": "r - fb"}, exposed=("lat",) if expose else (),
        )  # fmt: skip
    b.projection("Wff1", "x", "h1", "ff: w * pre.v")
    b.projection("Wff2", "h1", "out", "ff: w * pre.r")
    b.projection("Wfb2", "out", "h1", "fb: w * pre.r", delay=1)
    b.projection("B1", "h1", "h1", "lat: w * pre.r", delay=1)
    pre = {"Wff1": "v", "Wff2": "r", "Wfb2": "r"}
    for name, sent in pre.items():
        error = "apical" if name == "Wfb2" else "basal"
        b.learn(
            name, "delta",
            f"(post.{error}__nudged * pre.{sent}__nudged"
            f" - post.{error}__free * pre.{sent}__free) / beta",
            clock="update", reduce="mean",
        )  # fmt: skip
    b.learn("B1", "anti_hebb", "-pre.lat__nudged * post.lat__nudged", clock="update",
            after=("w / 0.99999",))  # fmt: skip
    b.protocol("train", *two_phases("Wff1", "Wff2", "Wfb2", "B1"))
    return b


def two_phases(*projections: str) -> tuple[RunPhase, RunPhase, Update]:
    """free, nudged, update."""
    return (
        RunPhase("free", Const(30)),
        RunPhase("nudged", Const(10)),
        Update(projections, "train.3"),
    )


def ep(tied: bool = True, waived: bool = True) -> Builder:
    """Equilibrium propagation with two hidden layers (sheet corinfomax, section 4)."""
    b = Builder()
    b.population("x", state="s")
    for name in ("h1", "h2", "out"):
        b.population(name, body=("s = clip(s - 0.5 * (s - ff - fb), 0, 1)",), input="ff fb",
                     state="s")  # fmt: skip
    edges = (("W1", "x", "h1"), ("W2", "h1", "h2"), ("W3", "h2", "out"))
    for name, pre, post in edges:
        b.projection(name, pre, post, "ff: w * pre.s", delay=1)
        b.learn(name, "ep", "(pre.s__nudged * post.s__nudged - pre.s__free * post.s__free) / beta",
                clock="update", reduce="mean")  # fmt: skip
    for name, pre, post in edges[1:]:
        of = name if tied else None
        b.projection(f"{name}t", post, pre, "fb: w * pre.s", delay=1, transpose_of=of,
                     fixed=not tied)  # fmt: skip
        if waived and tied:
            b.allow("weight_transport", f"{name}t", "defined with tied weights")
    b.protocol("train", *two_phases("W1", "W2", "W3"))
    return b
