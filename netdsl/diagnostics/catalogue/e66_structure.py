"""Codes E066x: synapses that come and go, start values made in steps, arrays from files."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

EDGE = "sparse(p = 0.3) delay 1 step"


def rewired(
    body: str = "prune where abs(w) < 0.1; budget = 300; "
    "regrow max(0, budget - present) among initial at 0.01",
    edge: str = EDGE,
    over: str = "W",
) -> str:
    """The example with synapses that come and go."""
    body_of_v = "weight w = 0.5; deliver i += w * pre.s"
    more = f"projection V : b -> b one_to_one delay 1 step {{ {body_of_v} }}\n"
    more += f"rewire turnover over {over} {{ {body} }}"
    steps = "phase run 5 steps learning; rewire turnover"
    return network(edge=edge, more=more, steps=steps)


def started(body: str, edge: str = "dense delay 1 step") -> str:
    """The example with a start that is made in steps."""
    text = network(edge=edge, before=f"initialiser mine(a = 1) {{ {body} }}")
    return text.replace("weight w ~ uniform(-1, 1)", "weight w ~ mine(2)")


ENTRIES: list[Entry] = [
    Entry(
        "E0660",
        "a projection that cannot be rewired",
        "A rewiring closes single synapses by setting their weight to 0, and opens others. A "
        "transpose has no weights of its own, a shared kernel belongs to many synapses at once, "
        "`one_to_one` has one synapse for each neuron, and `fixed` weights never change.",
        rewired(over="W, V"),
        rewired(),
    ),
    Entry(
        "E0661",
        "a rewiring that does not say what to do",
        "A rewiring has `prune where CONDITION`, `budget = NUMBER` and `regrow NUMBER among "
        "initial weighted by SHARE at STRENGTH`, each at most once, and at least one of the first "
        "and the last. A synapse must begin with a strength at which it is alive: above 0 in a "
        "signed projection, else not 0.",
        rewired("regrow 10 among initial at 0"),
        rewired("regrow 10 among initial at 0.01"),
    ),
    Entry(
        "E0662",
        "synapses anywhere, where only some can exist",
        "`among absent` opens synapses between any pair of neurons. That takes a projection in "
        "which every pair has a place and those that are closed do not learn: `dense` with a sign. "
        "`among initial` opens again what the connectivity made.",
        rewired("regrow 10 among absent at 0.01"),
        rewired("regrow 10 among initial at 0.01"),
    ),
    Entry(
        "E0663",
        "a budget below the number of living synapses",
        "The budget of a rewiring is the largest number of synapses that may be alive together in "
        "its projections. What is negative, or less than a `dense` or exact connectivity begins "
        "with, is found by `check`; what is too small for the drawn network when that is built, "
        "and what becomes too small in a run at the rewiring.",
        rewired("budget = -1; regrow 10 among initial at 0.01"),
        rewired("budget = 300; regrow 10 among initial at 0.01"),
    ),
    Entry(
        "E0664",
        "steps that do not make a weight",
        "The body of an initialiser makes the matrix `w` step by step, for a weight with a synapse "
        "for each pair of neurons: `w ~ normal(0, 1)` has the weight's rows and columns, `w ~ "
        "square(normal(0, 1))` a row and a column for each sender, of which `columns(w)` takes as "
        "many as there are receivers. Its steps are draws, `:=` and `let`.",
        started("w ~ square(normal(0, a))"),
        started("w ~ square(normal(0, a)); w := columns(w)"),
    ),
    Entry(
        "E0665",
        "signs of senders that have none",
        "`pre.sign` in an initialiser is 1 or -1, the sign that the projection gives to its "
        "synapses. Without `sign by pre`, `sign +` or `sign -` there is none.",
        started("w ~ normal(0, a); w := w * pre.sign"),
        started("w ~ normal(0, a); w := abs(w) * pre.sign", "dense sign + delay 1 step"),
    ),
    Entry(
        "E0666",
        "a start without values",
        "What an initialiser computes is infinite or not a number: a step divides by 0, or takes "
        "the spectral radius of what is not square. It is found when the network is built.",
    ),
    Entry(
        "E0667",
        "an array that is not there",
        '`array cells = "cells.npz"` names an NPZ archive or a CSV table; `--data '
        'cells=PATH` names another one, and `arrays={"cells": {...}}` in Python gives its content. '
        "`cells.C` is its array `C`, which must be made of numbers.",
    ),
    Entry(
        "E0668",
        "an array of another shape",
        "An array has a number for each neuron of the population, (n,), or for each pair of a "
        "sender and a receiver, (pre, post), or is a single number; all are finite.",
    ),
    Entry(
        "E0669",
        "an array where it has no shape",
        "Arrays of files give parameters and start values in cells, the start of a weight, which "
        "synapses exist (`from wiring.mask`) and signs of senders (`sign by cells.sign`).",
        network(before='array cells = "cells.npz"', rule="dw = cells.C * pre.s"),
        network(
            before='array cells = "cells.npz"',
            unit="param C per neuron = cells.C; input i; state s = 0; s := relu(C * i)",
        ),
    ),
    Entry(
        "E0670",
        "signs that are neither 1 nor -1",
        "`sign by cells.sign` takes 1 for each excitatory sender and -1 for each inhibitory one.",
    ),
]
