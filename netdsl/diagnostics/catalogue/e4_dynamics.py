"""Codes E04xx: dynamics."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

LEAKY = (
    "input i; state v = 0; state s = 0; d v/dt = (i - v) / {tau}; "
    "integrate v with {method}; s := relu(v)"
)

_RECTIFIED = "input i; state s = 0; s := relu(i)"

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
    Entry(
        "E0411",
        "a projection without delay",
        (
            "Every edge states its delay: 0 steps, a number of steps, or a time that "
            "is a multiple of "
            "`dt`."
        ),
        network(edge="dense"),
        network(edge="dense delay 0"),
    ),
    Entry(
        "E0412",
        "not a whole number of steps",
        (
            "Delays, refractory times and phases last whole steps: a time must be a "
            "multiple of `dt`."
        ),
        network(before="dt = 2 ms", edge="dense delay 3 ms"),
        network(before="dt = 2 ms", edge="dense delay 4 ms"),
    ),
    Entry(
        "E0413",
        "time without `dt`",
        "Equations, traces and times need the duration of a step.",
        network(unit="input i; state s = 0; d s/dt = i - s; integrate s with euler"),
        network(
            before="dt = 1 s",
            unit="input i; state s = 0; d s/dt = 0.5 * (i - s) / 1 s; integrate s with euler",
        ),
    ),
    Entry(
        "E0414",
        "equations and `integrate` do not match",
        (
            "Every `d x/dt` is advanced by one `integrate` line, at the place where "
            "that line stands."
        ),
        network(before="dt = 1 ms", unit="input i; state s = 0; d s/dt = (i - s) / 20 ms"),
        network(
            before="dt = 1 ms",
            unit="input i; state s = 0; d s/dt = (i - s) / 20 ms; integrate s with euler",
        ),
    ),
    Entry(
        "E0415",
        "no derivative",
        (
            "`grad(f, x)` is taken along one unit: `x` is a variable of the cell, and `f` depends "
            "on it through definitions and spikes, not through a reduction over neurons or a "
            "statement above.\n"
            "`vjp(z, x, v)` is the derivative of the whole population: for each neuron the sum "
            "over neurons i of v[i] dz[i]/dx. It goes through definitions, the statements of the "
            "step and reductions over the population or its axes, and stands in a statement of "
            "the cell or in a modulator on the population. Spikes on the way need a surrogate, "
            "and nothing that is drawn may be there."
        ),
        network(
            unit="input i; state s = 0; state x = 0; def f = x / sum(x); x := x + i; s := "
            "grad(f, x)"
        ),
        network(
            unit="input i; state s = 0; state x = 0; def f = tanh(x); x := x + i; s := grad(f, x)"
        ),
    ),
    Entry(
        "E0416",
        "a value became NaN or infinite",
        "The message names the first variable, sample and step, and the line that computes it.\n"
        "Smaller steps or rates, or a bound on the weight, are the usual cure.",
    ),
    Entry(
        "E0433",
        "not an eligibility",
        (
            "`eligibility e of w to post.s` is the derivative of a variable of the post cell, read "
            "as it is now, by the projection's own weight. Each synapse has a weight of its own "
            "(no shared kernel), and what it delivers depends on the sender, the weight and "
            "parameters alone: with a postsynaptic variable in it, the path would go through all "
            "synapses of the unit. Multiply by that variable in the cell."
        ),
        network(rule="eligibility e of w to pre.s; dw = 0.01 * e", unit=_RECTIFIED),
        network(rule="eligibility e of w to post.s; dw = 0.01 * e", unit=_RECTIFIED),
    ),
    Entry(
        "E0434",
        "no derivative along an eligibility's path",
        (
            "An eligibility follows the statements of one unit, from what a synapse delivers to "
            "the variable that it names. On this path nothing may reduce over the population, be "
            "drawn, be a spike without `surrogate`, be an input of the step before or the value "
            "at the end of a phase, and no `clamp`, `set` or `on phase` may give it a value. "
            "What is not to be followed stands in `detach(…)`."
        ),
        network(
            rule="eligibility e of w to post.s; dw = 0.01 * e",
            unit="input i; spike s when i > 1",
        ),
        network(
            rule="eligibility e of w to post.s; dw = 0.01 * e",
            unit="input i; spike s when i > 1 { surrogate triangle() }",
        ),
    ),
    Entry(
        "E0435",
        "two values that a rule expects to be equal differ",
        (
            "`expect a == b within 1e-9` in a rule is tried when the spec is checked: a unit with "
            "a synapse is run for some steps on random inputs, and the two are compared at each "
            "of them. The message names the first step at which they differ by more."
        ),
        network(
            rule="eligibility e of w to post.s; expect e == pre.s within 1e-9; dw = 0.01 * e",
            unit=_RECTIFIED,
        ),
        network(
            rule="eligibility e of w to post.s; expect e == pre.s within 1e-9; dw = 0.01 * e",
            unit="input i; state s = 0; s := i",
        ),
    ),
    Entry(
        "E0440",
        "a number of any size for what is true or false",
        (
            "Spikes and variables declared `: bool` hold 0 or 1, and spikes are delivered by lists "
            "of the ones. "
            "Assignments, clamps, `set`, start values, draws and `when` must give 0 or 1 too: "
            "comparisons, `and`, `or`, `not`, `any(…)`, `bernoulli(p)`, other bools, and 0 or 1 "
            "themselves. An input that projections feed holds a sum, which is no bool."
        ),
        network(unit="input i; state s : bool = false; s := relu(i)"),
        network(unit="input i; state s : bool = false; s := i > 0.5"),
    ),
    Entry(
        "E0441",
        "a number other than 0 and 1 for what is true or false, at run time",
        "Python, a state file, a trace or the data give a spike or a variable declared `: bool` "
        "a number that is neither 0 nor 1. Compare it first, as in `x > 0.5`.",
    ),
]
