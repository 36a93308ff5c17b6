"""Codes E01xx: names."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

ENTRIES: list[Entry] = [
    Entry(
        "E0101",
        "an unknown name",
        (
            "A name that nothing declares, on either side of an assignment. Names are never taken "
            "from outside: parameters, `let`s, the variables of the cell, `pre.x`, `post.x`, the "
            "weight, modulators, `sample.x` and counters are all there is."
        ),
        network(unit="input i; state s = 0; s := relu(j)"),
        network(unit="input i; state s = 0; s := relu(i)"),
    ),
    Entry(
        "E0102",
        "a name declared twice",
        "Each name is declared once: in the file, and within a cell, rule or projection.",
        network(more="population b : unit[5]"),
        network(more="population c : unit[5]"),
    ),
    Entry(
        "E0104",
        "something of another kind is needed",
        (
            "The name or statement exists but is not what belongs here: a state where an input is "
            "needed, a number where data is named."
        ),
        network(deliver="s += w * pre.s"),
        network(deliver="i += w * pre.s"),
    ),
    Entry(
        "E0105",
        "a `let` of another body",
        (
            "A `let` is private to the body that computes it. Make it a `def` or a "
            "`state` to read it "
            "elsewhere."
        ),
    ),
    Entry(
        "E0106",
        "a value that is not known here",
        (
            "Start values read parameters only; `@prev` needs a variable that is "
            "remembered from step "
            "to step; sizes and parameters are fixed when the specification is compiled."
        ),
        network(unit="input i; state s = 0; state r = s; s := relu(i); r := s"),
        network(unit="param s0 = 0; input i; state s = s0; state r = s0; s := relu(i); r := s"),
    ),
    Entry(
        "E0107",
        "a `let` where it has no value",
        (
            "A `let` is evaluated where it stands and is private: it cannot be read "
            "above its line, "
            "by other bodies, or between steps. A `def` is re-evaluated wherever it is read."
        ),
        network(
            unit="input i; state s = 0; let r = relu(i); s := r", rule="dw = 0.01 * pre.s * post.r"
        ),
        network(
            unit="input i; state s = 0; def r = relu(i); s := r", rule="dw = 0.01 * pre.s * post.r"
        ),
    ),
    Entry(
        "E0108",
        "not a choice of an enumeration",
        (
            "A parameter like `mode : {fast, slow}` has one of the listed values and "
            "is compared with "
            "these only."
        ),
        network(
            before="param mode : {fast, slow} = quick",
            unit="input i; state s = 0; s := relu(i) if mode == fast else i",
        ),
        network(
            before="param mode : {fast, slow} = slow",
            unit="input i; state s = 0; s := relu(i) if mode == fast else i",
        ),
    ),
    Entry(
        "E0109",
        "a circle of definitions",
        (
            "A parameter, `let`, `def`, readout, cell or file that depends on itself "
            "has no value. In "
            "a cell a state breaks the circle in time."
        ),
        network(unit="input i; state s = 0; def p = q + i; def q = p; s := p"),
        network(unit="input i; state s = 0; state q = 0; def p = q + i; q := p; s := p"),
    ),
    Entry(
        "E0110",
        "arguments do not fit",
        (
            "A template, function or distribution got an argument that it has no "
            "parameter for, or "
            "lacks one that has no default."
        ),
        network(unit="input i; state s = 0; s := clip(i, 0)"),
        network(unit="input i; state s = 0; s := clip(i, 0, 1)"),
    ),
    Entry(
        "E0111",
        "nothing to set has this path",
        (
            "`--set PATH=VALUE` names a parameter of the specification (`n1`), of a population "
            "(`h1.tau_m`), of a projection (`W1.gain`), of a protocol "
            "(`train.epochs`) or a setting "
            "of data (`digits.batch`). A per-neuron parameter that is drawn has no "
            "one value to set."
        ),
    ),
    Entry(
        "E0112",
        "no such module or file",
        (
            "`import std.neuron { lif }` takes parts of the library; other modules "
            "are `.net` files "
            "beside the specification. Files elsewhere are not read."
        ),
        network(before="import std.neurons { lif }"),
        network(before="import std.neuron { lif }"),
    ),
    Entry(
        "E0114",
        "a setting that means nothing here",
        (
            "`name = value` is a setting; a body knows only some: `dw` in a rule, `change` in an "
            "optimiser."
        ),
        network(rule="dv = 0.01 * pre.s * post.s"),
        network(),
    ),
    Entry(
        "E0115",
        "this cannot be assigned",
        (
            "Only states are assigned in cells, weights after an update, and global states in "
            "protocols. Inputs are what projections deliver, definitions are "
            "re-evaluated, parameters "
            "are fixed."
        ),
        network(unit="input i; state s = 0; i := relu(i); s := i"),
        network(unit="input i; state s = 0; s := relu(i)"),
    ),
    Entry(
        "E0116",
        "a part is missing",
        (
            "A rule needs `dw`, an optimiser `change`, a modulator `emit`, data a "
            "`source`, a loop "
            "over batches its data."
        ),
        network(more="modulator idle on b { scope population }"),
        network(more="modulator busy on b { scope population; emit sum(s) }"),
    ),
    Entry(
        "E0117",
        "more than one synapse is read",
        (
            "What runs after the update of a weight (`after update`, `bound`) sees "
            "that synapse and "
            "shared values only."
        ),
        network(
            more="rule other { dw = pre.s; after update { w := w * post.s } }\n"
            "projection V : a -> b dense delay 1 step {\n"
            "  weight w = 0\n"
            "  deliver i += w * pre.s\n"
            "  learn other()\n"
            "}"
        ),
        network(
            more="rule other { dw = pre.s; after update { w := 0.9 * w } }\n"
            "projection V : a -> b dense delay 1 step {\n"
            "  weight w = 0\n"
            "  deliver i += w * pre.s\n"
            "  learn other()\n"
            "}"
        ),
    ),
    Entry(
        "E0118",
        "a read that the modulator's list leaves out",
        "A modulator's `reads` list is closed: what it does not name may not be read.",
        network(
            more="modulator good on b { scope population; reads sample.label; emit sum(s) "
            "- sample.label }"
        ),
        network(
            more="modulator good on b { scope population; reads s, sample.label; emit "
            "sum(s) - sample.label }"
        ),
    ),
    Entry(
        "E0119",
        "a name that the language has taken",
        (
            "Counters (`t`, `epoch`, `iteration`, `batch`, `phase`), `dt`, `sample`, `std`, "
            "`pi`, `index`, `pre`, `post`, `self` mean the same everywhere, so nothing that "
            "can be read may be called so (a protocol or a metric may, where no metric or "
            "readout reads the name). Taken in their places are: names of functions and "
            "distributions, `bptt` among rules, `type`, `sent`, `received` in cells, `g` and "
            "`w` in optimisers, `value` and `source` in kinds of trace, `population` among "
            "axes, `population`, `prev`, `before` among phases, `split`, `batches`, `epoch` "
            "and `iteration` among metrics. Protocols and other metrics may have any name, "
            "since no expression reads them."
        ),
        network(unit="input i; state t = 0; t := relu(i); state s = 0; s := t"),
        network(unit="input i; state u = 0; u := relu(i); state s = 0; s := u"),
    ),
    Entry(
        "E0120",
        "a value that a body hides",
        (
            "Some bodies have names of their own: `g` and `w` in an optimiser, `mag` where a "
            "projection is signed, `fan_in` and `fan_out` in the start value of a weight, `value` "
            "and `source` in a kind of trace. A parameter or other value of the specification "
            "with such a name cannot be read there, and is never passed over in silence."
        ),
        network(
            before="param g = 3\noptimiser scaled(rate) { change = rate * g }",
            rule="dw = 0.01 * pre.s * post.s; optimise scaled(rate = 0.1)",
        ),
        network(
            before="param gain = 3\noptimiser scaled(rate) { change = rate * gain * g }",
            rule="dw = 0.01 * pre.s * post.s; optimise scaled(rate = 0.1)",
        ),
    ),
    Entry(
        "E0121",
        "too much once its definitions are written out",
        (
            "Functions, `let`s and `def`s are written out where they are read. Where each reads "
            "another twice, a few lines are thousands of operations: an expression may have 4000, "
            "and 160 within each other."
        ),
        network(
            before="function double(x) = x + x",
            unit=f"input i; state s = 0; s := {'double(' * 14}i{')' * 14}",
        ),
        network(
            before="function double(x) = x + x",
            unit="input i; state s = 0; s := double(double(i))",
        ),
    ),
    Entry(
        "E0122",
        "files use each other too deeply",
        (
            "A file may use others, and those others again, in a chain of 30. A file that is used "
            "twice with the same arguments is read once."
        ),
    ),
    Entry(
        "E0130",
        "a unit where none can stand, or in another spelling",
        "A unit is part of a number and stands right after it: `20 ms`, `0.1 1/ms`. By itself it is"
        " no value, so it is not multiplied with. In a type it is spelled as after a number:"
        " `state v : mV = 0`.",
        network(unit="param tau = 20*ms; input i; state s = 0; s := relu(i)"),
        network(unit="param tau = 20 ms; input i; state s = 0; s := relu(i)"),
    ),
    Entry(
        "E0131",
        "a name of another language",
        "Functions of Python and its packages cannot be called. What the language has itself stands"
        " without a package, and what works on whole arrays elsewhere is written for one neuron or"
        " synapse.",
        network(rule="dw = 0.01 * np.exp(pre.s) * post.s"),
        network(rule="dw = 0.01 * exp(pre.s) * post.s"),
    ),
    Entry(
        "E0132",
        "a draw where a value stands",
        "What is random is drawn after `~`: `weight w ~ uniform(-1, 1)`, `param a per neuron ~"
        " normal(0, 1)`. After `=` stands one value that all share.",
        network(unit="param a = uniform(0, 1); input i; state s = 0; s := a * relu(i)"),
        network(unit="param a per neuron ~ uniform(0, 1); input i; state s = 0; s := a * relu(i)"),
    ),
    Entry(
        "E0133",
        "a population where a variable is needed",
        "`clamp`, `set` and `record` name one variable of a population, as `img.p`.",
        network(steps="clamp a = sample.image; phase run 5 steps learning"),
        network(steps="clamp a.s = sample.image; phase run 5 steps learning"),
    ),
    Entry(
        "E0165",
        "an index without a vector, or a vector without an index",
        "Names are those of one neuron or synapse and take no index. A vector is declared with its"
        " length, `state g[3] = 0`; it is read component by component, `g[0]`, `g[n - 1]`, by an"
        " index that a statement leaves free, `g[k] := 0.9 * g[k]`, or reduced, `sum(g[k] over"
        " k)`.",
        network(unit="input i; state s = 0; state g[3] = 0; g[k] := g[k] + i; s := relu(g)"),
        network(unit="input i; state s = 0; state g[3] = 0; g[k] := g[k] + i; s := relu(g[0])"),
    ),
    Entry(
        "E0166",
        "no such component",
        "The components of a vector of n are 0 to n - 1. An index is known when the specification"
        " is compiled; that of a delivery may also be chosen by the sender, `deliver"
        " m[pre.index] += …`, where every sender must have its component.",
        network(unit="input i; state s = 0; state g[3] = 0; g[k] := g[k] + i; s := relu(g[3])"),
        network(unit="input i; state s = 0; state g[3] = 0; g[k] := g[k] + i; s := relu(g[2])"),
    ),
    Entry(
        "E0167",
        "a free index that fits no vector, or two of different length",
        "A free index goes over all components of the vectors that it stands at, which must be as"
        " many. Sum, mean, max, min and any reduce over it.",
        network(unit="input i; state g[3] = 0; state q[2] = 0; g[k] := q[k] + i; def s = g[0]"),
        network(unit="input i; state g[3] = 0; state q[3] = 0; g[k] := q[k] + i; def s = g[0]"),
    ),
    Entry(
        "E0168",
        "a vector that is too long",
        "Each component of a vector is a variable with statements of its own, so at most 1000 are"
        " written out. What there is a thousand of is a population.",
        network(unit="input i; state s = 0; state g[5000] = 0; g[k] := i; s := relu(g[0])"),
        network(unit="input i; state s = 0; state g[50] = 0; g[k] := i; s := relu(g[0])"),
    ),
    Entry(
        "E0169",
        "a modulator that reaches nobody",
        "A modulator `on P` reaches the rules of projections to P. One that is on no population"
        " says whom it reaches: all rules with `scope global`, or those of projections to the"
        " populations that it is `to`.",
        network(
            before="modulator m { input p; emit p }",
            rule="dw = 0.01 * pre.s * post.s",
            steps="set m.p := 1; phase run 5 steps learning",
        ),
        network(
            before="modulator m to b { input p; emit p }",
            rule="dw = 0.01 * pre.s * m",
            steps="set m.p := 1; phase run 5 steps learning",
        ),
    ),
    Entry(
        "E0170",
        "components that change together, in an action",
        "What is assigned with a free index is computed from the values before the statement. In"
        " what a spike or `on phase` does there is no room to keep these: a component may be"
        " computed from itself, and not from others that change too.",
        network(unit="input i; state g[3] = 0; def s = g[0]; on phase { g[k] := g[(k + 1) % 3] }"),
        network(unit="input i; state g[3] = 0; def s = g[0]; on phase { g[k] := 0.5 * g[k] }"),
    ),
    Entry(
        "E0171",
        "several populations send one modulator",
        "A modulator `on P, Q` is one number for P and another for Q. What it sends `to` others is"
        " one number, so that it stands on one population, or on none.",
        network(before="modulator m on a, b to b { emit mean(s) }", rule="dw = 0.01 * pre.s * m"),
        network(before="modulator m on a to b { emit mean(s) }", rule="dw = 0.01 * pre.s * m"),
    ),
    Entry(
        "E0172",
        "one number per neuron, where others are to receive it",
        "`scope neuron` gives each neuron of the modulator's own population a number of its own."
        " Others receive one number for all, or the numbers as a vector, `emit vector e`.",
        network(
            before="modulator m on a to b { scope neuron; emit s }", rule="dw = 0.01 * pre.s * m"
        ),
        network(before="modulator m on b { scope neuron; emit s }", rule="dw = 0.01 * pre.s * m"),
    ),
]
