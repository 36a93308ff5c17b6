"""Codes E02xx: units and shapes."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

ENTRIES: list[Entry] = [
    Entry(
        "E0201",
        "units do not fit",
        (
            "Values that are added, compared or assigned have the same dimension. "
            "Steps and times are "
            "different; a literal 0 fits everything. A file without units needs none."
        ),
        network(
            before="dt = 1 ms",
            unit="param tau = 20 mV; input i; state s = 0; d s/dt = (i - s) / tau; "
            "integrate s with euler",
        ),
        network(
            before="dt = 1 ms",
            unit="param tau = 20 ms; input i; state s = 0; d s/dt = (i - s) / tau; "
            "integrate s with euler",
        ),
    ),
    Entry(
        "E0202",
        "a value outside what is allowed",
        (
            "A parameter is outside its range or not of its type, a probability "
            "outside [0, 1], `dt` "
            "not positive, a split empty."
        ),
        network(before="param n : count = 10 in [20, 30]\npopulation c : unit[n]"),
        network(before="param n : count = 25 in [20, 30]\npopulation c : unit[n]"),
    ),
    Entry(
        "E0203",
        "sizes do not fit",
        (
            "Populations, labels, cell types and square matrices must have the sizes "
            "that are needed "
            "where they meet."
        ),
        network(steps="clamp a.s = onehot(sample.label, 10); phase run 5 steps learning"),
        network(steps="clamp a.s = onehot(sample.label, 64); phase run 5 steps learning"),
    ),
    Entry(
        "E0204",
        "a size that is not positive",
        "Populations have one neuron or more.",
        network(more="population c : unit[3 - 3]"),
        network(more="population c : unit[3 - 2]"),
    ),
    Entry(
        "E0205",
        "no such unit",
        (
            "Units are made of s, V, A, S, Hz, Ohm, F, C, m, M, mol, J, W, min, h and step, with "
            "prefixes m, u, n, p, k, M. Powers go up to 9."
        ),
        network(unit="param a = 20 ms^12; input i; state s = 0; s := relu(i)"),
        network(unit="param a = 20 ms^2; input i; state s = 0; s := relu(i)"),
    ),
    Entry(
        "E0206",
        "values of different widths",
        (
            "A vector field such as `sample.image` has one width; all populations "
            "that read it have "
            "that size. In protocols, readouts and metrics, values per neuron meet values of "
            "populations of the same size only; reduce one of them otherwise."
        ),
        network(
            unit="input i; input drive; state s = 0; s := relu(i + drive)",
            steps="clamp b.drive = sample.image; phase run 5 steps learning",
        ),
        network(
            unit="input i; input drive; state s = 0; s := relu(i + drive)",
            steps="clamp b.drive = onehot(sample.label); phase run 5 steps learning",
        ),
    ),
    Entry(
        "E0207",
        "not a number of this kind",
        (
            "A text, a list or a choice stands where a number is needed, or a "
            "fraction where a count "
            "is."
        ),
        network(more="population c : unit[2.5]"),
        network(more="population c : unit[3]"),
    ),
    Entry(
        "E0208",
        "one number is needed, or one per neuron",
        (
            "A population state, a modulator of scope population, a control, a "
            "metric or a loss is "
            "one number; reduce values of neurons first, as in `sum(…)`."
        ),
        network(more="modulator good on b { scope population; emit s }"),
        network(more="modulator good on b { scope population; emit mean(s) }"),
    ),
    Entry(
        "E0209",
        "nothing to reduce over",
        (
            "A reduction needs an axis that exists where it stands; functions of "
            "whole arrays belong "
            "in readouts and metrics."
        ),
        network(unit="input i; state s = 0; s := argmax(i)"),
        network(unit="input i; state s = 0; s := i == max(i)"),
    ),
    Entry(
        "E0210",
        "arithmetic without a value",
        (
            "Literals and parameters are computed when the specification is compiled; this has no "
            "value."
        ),
        network(
            before="param zero = 0\nparam r = 1 / zero",
            unit="input i; state s = 0; s := relu(r * i)",
        ),
        network(
            before="param zero = 1\nparam r = 1 / zero",
            unit="input i; state s = 0; s := relu(r * i)",
        ),
    ),
]
