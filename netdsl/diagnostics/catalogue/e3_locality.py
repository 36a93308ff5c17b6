"""Codes E03xx: locality."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

FURTHER = """\
population c : unit[10]
projection V : b -> c dense delay 1 step { weight w ~ uniform(-1, 1); deliver i += w * pre.s }"""
TAUGHT = "input i; input back; state s = 0; s := relu(i + back)"
TIED = """\
population c : unit[10]
projection V : b -> c dense delay 1 step { weight w ~ uniform(-1, 1); deliver i += w * pre.s }
projection Vt : c -> b transpose of V delay 1 step { deliver back += w * pre.s }"""
FREE = """\
population c : unit[10]
projection V : b -> c dense delay 1 step { weight w ~ uniform(-1, 1); deliver i += w * pre.s }
projection B : c -> b dense fixed delay 1 step {
  weight w ~ uniform(-1, 1)
  deliver back += w * pre.s
}"""
GOOD = "modulator good on b { scope population; emit sum(s) - 1 }"
LOSS = "loss E = mean(cross_entropy(b.s@run, sample.label))"
REFERENCE = "phase run 1 step; update W"

ENTRIES: list[Entry] = [
    Entry(
        "E0301",
        "a rule reads what its synapse cannot see",
        "A synapse sees its presynaptic and postsynaptic unit, itself, and the modulators of its "
        "postsynaptic population. Anything else needs a channel that is declared.",
        network(rule="dw = 0.01 * pre.s * c.s", more=FURTHER),
        network(rule="dw = 0.01 * pre.s * good", before=GOOD),
    ),
    Entry(
        "E0302",
        "a rule reads what its `reads` list does not name",
        "A `reads` list is closed: it promises what a rule depends on. A name without `@` stands "
        "for every time of the variable; the synapse's own variables need no listing.",
        network(rule="reads pre.s; dw = 0.01 * pre.s * post.s"),
        network(rule="reads pre.s, post.s; dw = 0.01 * pre.s * post.s"),
    ),
    Entry(
        "E0303",
        "a cell or modulator reads what no channel carries",
        "A cell knows its own variables and what projections deliver. A modulator `on P` knows "
        "the variables of P, the sample and other modulators; a global one may reduce any "
        "population.",
        network(
            before="modulator other on b { scope population; emit sum(c.s) }",
            rule="dw = 0.01 * pre.s * other",
            more=FURTHER,
        ),
        network(before=GOOD, rule="dw = 0.01 * pre.s * good"),
    ),
    Entry(
        "E0304",
        "a rule reduces over neurons",
        "One synapse cannot form a sum over a population. A modulator does, and its scope is then "
        "part of the certificate.",
        network(rule="dw = 0.01 * pre.s * sum(post.s)"),
        network(before=GOOD, rule="dw = 0.01 * pre.s * good"),
    ),
    Entry(
        "E0306",
        "a control or global state is computed from data",
        "Controls and global states read as constants, so nothing that depends on data may enter "
        "them unseen. A signal computed from data is a modulator.",
        network(
            before="global state drive = 1",
            rule="dw = 0.01 * drive * pre.s * post.s",
            steps="drive := mean(mean(b.s) over batch); phase run 5 steps learning",
        ),
        network(
            before="global state drive = 1",
            rule="dw = 0.01 * drive * pre.s * post.s",
            steps="drive := drive * random_sign(); phase run 5 steps learning",
        ),
    ),
    Entry(
        "E0310",
        "values of other samples reach a rule",
        "The rows of a batch are different presentations, which a brain sees one after another. A "
        "reduction over the batch of anything but sample fields makes each row depend on the "
        "others.",
        network(rule="dw = 0.01 * pre.s * (post.s - mean(post.s over batch))"),
        network(rule="dw = 0.01 * pre.s * post.s; reduce mean over batch"),
    ),
    Entry(
        "E0311",
        "a rule depends on an aggregate of other synapses' weights",
        "A norm or sum of weights needs every synapse at once: it is not local, wherever it is "
        "written. The change of a kernel that many positions share (`conv`, `shared_over`) is "
        "a sum over all of them, too. A waiver says that the model is meant so, as in `allow "
        'aggregated_weights on W because "a convolution shares its kernel"`.',
        network(unit=TAUGHT, deliver="i += w * pre.s; deliver back += w * w"),
        network(unit=TAUGHT, deliver="i += w * pre.s; deliver back += w * pre.s"),
    ),
    Entry(
        "E0312",
        "a rule reads a later step",
        "What has not happened yet cannot be read. Only derivatives swept backwards through time "
        "do so, and the rule that uses them needs a waiver.",
    ),
    Entry(
        "E0313",
        "weight transport",
        "The value of a synapse is used at another one: a projection is the transpose or copy of "
        "another, or delivers backwards. What arrives through it carries the mark along, through "
        "states and further projections, to the rule.",
        network(unit=TAUGHT, more=TIED),
        network(unit=TAUGHT, more=FREE),
    ),
    Entry(
        "E0314",
        "a rule is non-local",
        "`bptt` differentiates through every unit between a weight and the loss. It is there to "
        "compare other rules with, and needs a waiver that says so.",
        network(steps=REFERENCE, before=LOSS).replace("learn hebb()", "learn bptt(loss = E)"),
        network(
            steps=REFERENCE, before=f'{LOSS}\nallow non_local on W because "the reference"'
        ).replace("learn hebb()", "learn bptt(loss = E)"),
    ),
    Entry(
        "E0320",
        "a waiver excuses nothing",
        "No rule has the level that the waiver names because of what it names. Waivers that are "
        "not needed would hide the ones that are.",
        network(more='allow weight_transport on W because "the energy is symmetric"'),
        network(
            unit=TAUGHT,
            more=f'{TIED}\nallow weight_transport on Vt because "the energy is symmetric"',
        ),
    ),
    Entry(
        "E0321",
        "a waiver names no level that needs one",
        "Waivers exist for aggregated_weights, weight_transport, non_causal, cross_sample and "
        "non_local.",
        network(more='allow three_factor on W because "it has a modulator"'),
        network(more="claim hebb : local"),
    ),
    Entry(
        "E0322",
        "a waiver without a reason",
        "The reason is printed in the certificate: it is what a reader has instead of locality.",
        network(unit=TAUGHT, more=f'{TIED}\nallow weight_transport on Vt because ""'),
        network(
            unit=TAUGHT,
            more=f'{TIED}\nallow weight_transport on Vt because "the energy is symmetric"',
        ),
    ),
    Entry(
        "E0330",
        "a false claim",
        "A claim is checked against the certificate of every projection that learns by the rule. "
        "`three-factor(S)` holds when the rule's scope is S or broader.",
        network(before=GOOD, rule="dw = 0.01 * pre.s * good", more="claim hebb : local"),
        network(
            before=GOOD,
            rule="dw = 0.01 * pre.s * good",
            more="claim hebb : three-factor(population), causal",
        ),
    ),
    Entry(
        "E0331",
        "a claim on no rule, or of no property",
        "A claim names a rule or a projection, and properties of certificates: verdicts, levels of "
        "space, time, sample and phase, or `causal`.",
        network(more="claim hebb : lokal"),
        network(more="claim hebb : local, batch-reduced"),
    ),
    Entry(
        "E0340",
        "a delivery reads what its synapse cannot see",
        "A delivery knows the presynaptic unit (`pre.x`), its target (`post.x`), the synapse's own "
        "variables, the target's modulators, samples, parameters and shared numbers. A variable "
        "of a third population needs a projection that carries it.",
        network(deliver="i += w * pre.s * c.s", more=FURTHER),
        network(deliver="i += w * pre.s * post.s", more=FURTHER),
    ),
    Entry(
        "E0341",
        "a value of another size",
        "A value per neuron is computed from numbers of that neuron, and one per synapse from "
        "numbers of that synapse. The neurons or synapses of something else are as many only by "
        "chance, and mean other things.",
        network(
            more="population c : unit[10]",
            steps="set c.s := mean(W.w); phase run 5 steps learning",
        ),
        network(
            more="population c : unit[10]",
            steps="set c.s := mean(c.s); phase run 5 steps learning",
        ),
    ),
    Entry(
        "E0350",
        "one number for all, and a number for each population",
        "A modulator `on P, Q` that reads their variables is one number for P and another for Q, so"
        " that its scope is not global, whatever is written.",
        network(
            before="modulator m on a, b { scope global; emit mean(s) }",
            rule="dw = 0.01 * pre.s * m",
        ),
        network(
            before="modulator m on a, b { scope population; emit mean(s) }",
            rule="dw = 0.01 * pre.s * m",
        ),
    ),
    Entry(
        "E0351",
        "a modulator on no population reads a neuron",
        "What is on no population knows populations by one number each: explicit reductions, as"
        " `sum(b.s)`. Values of single neurons are sent by a modulator `on` their population, as a"
        " vector.",
        network(
            before="modulator m { scope global; emit b.s }",
            rule="dw = 0.01 * pre.s * m",
        ),
        network(
            before="modulator m { scope global; emit sum(b.s) }",
            rule="dw = 0.01 * pre.s * m",
        ),
    ),
    Entry(
        "E0352",
        "a protocol carries values from one population to another",
        "`clamp` and `set` put data, parameters and a population's own variables on it. They are no"
        " channel: what another population computes arrives through a projection or a modulator,"
        " which the certificate then names. Reductions are no exception, except for the inputs of a"
        " modulator that is on no population.",
        network(
            more="population c : unit[10]",
            steps="set c.s := mean(a.s); phase run 5 steps learning",
        ),
        network(
            more="population c : unit[10]",
            steps="set c.s := mean(c.s); phase run 5 steps learning",
        ),
    ),
]
