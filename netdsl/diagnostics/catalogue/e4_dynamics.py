"""Codes E04xx: dynamics."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

LEAKY = (
    "input i; state v = 0; state s = 0; d v/dt = (i - v) / {tau}; "
    "integrate v with {method}; s := relu(v)"
)

ENTRIES: list[Entry] = [
    Entry(
        "E0405",
        "a variable became NaN or infinite",
        "While the spec ran, a variable left the numbers: a division by 0, a logarithm of 0, or\n"
        "growth without bound. The run is repeated from the last good state to find the first\n"
        "variable, sample and step. Lower the learning rate or the time step, or guard the\n"
        "expression (`max(x, 1e-7)`).",
    ),
    Entry(
        "E0421",
        "an explicit integrator diverges",
        "Where coefficients are constant, the growth of one step is known: Euler and Runge-Kutta "
        "need a `dt` that is small against the fastest time constant. This is a warning.",
        network(unit=LEAKY.format(tau="0.4 ms", method="euler"), before="dt = 1 ms"),
        network(unit=LEAKY.format(tau="20 ms", method="euler"), before="dt = 1 ms"),
    ),
]
