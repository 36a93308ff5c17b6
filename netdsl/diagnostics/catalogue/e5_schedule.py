"""Codes E05xx: schedule and phases."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

CELL = "neuron relay { input i; input drive; state s = 0; s := relu(i + drive) }\nneuron source"
BACK = """\
population c : relay[10]
projection V : b -> c dense delay 0 {{ weight w ~ uniform(-1, 1); deliver i += w * pre.s }}
projection B : c -> b dense delay {delay} {{ weight w ~ uniform(-1, 1); deliver i += w * pre.s }}"""
AGAIN = "protocol whole {{ evaluate {name}() as whole }}\n"
SHOW = """\
protocol show {
  each batch of digits.test { reset; clamp a.s = sample.image; phase run 5 steps }
}
"""

LABELLED = "input i; state s = 0; s := relu(i + sample.label)"
QUIET = "protocol quiet { reset; phase run 5 steps }\n"
SHOWN = """\
protocol test(split) {
  each batch of split { reset; clamp a.s = sample.image; phase run 5 steps }
}
"""

BACK_TO_SELF = (
    "projection L : b -> b dense delay 1 step {{ weight w = 0; deliver i += w * pre.{sent} }}"
)

ENTRIES: list[Entry] = [
    Entry(
        "E0501",
        "a cycle without delay",
        "Within one step, statements wait for the inputs that they read and "
        "zero-delay projections "
        "wait for the last assignment of what they send. A cycle of these has no "
        "order. Cycles are "
        "among statements, so populations may well be joined both ways.",
        network(edge="dense delay 0", more=BACK.format(delay="0")).replace("neuron source", CELL),
        network(edge="dense delay 0", more=BACK.format(delay="1 step")).replace(
            "neuron source", CELL
        ),
    ),
    Entry(
        "E0503",
        "a settled value depends on itself",
        "Outside a step, inputs and definitions are recomputed from the present states with delays "
        "ignored. A definition of an input that is sent back to the same input has no such value.",
        network(
            unit="input i; input j; state s = 0; def d = i + j; s := relu(i)",
            rule="at update { dw = 0.01 * pre.s * post.i }",
            deliver="i += w * pre.s",
            more=BACK_TO_SELF.format(sent="d"),
            steps="phase run 5 steps; update W",
        ),
        network(
            unit="input i; input j; state s = 0; s := relu(i)",
            rule="at update { dw = 0.01 * pre.s * post.i }",
            deliver="i += w * pre.s",
            more=BACK_TO_SELF.format(sent="s"),
            steps="phase run 5 steps; update W",
        ),
    ),
    Entry(
        "E0505",
        "a reduction over a phase is not of one population",
        "`count(out.s over run)` adds up a variable of a population while the phase runs, and "
        "`sum((out.v - out.w)^2 over run)` an expression of its variables.",
        network(more=SHOWN + "metric both = mean(mean(mean(b.s * mean(a.s) over run)))"),
        network(more=SHOWN + "metric both = mean(mean(mean(b.s^2 over run)))"),
    ),
    Entry(
        "E0508",
        "`bptt` has no phase to differentiate",
        "The reference rule differentiates the phase that ran last in the same block.",
    ),
    Entry(
        "E0522",
        "a phase is read that has not run",
        "`x@phase` is the value at the end of that phase in the same block; a `reset` forgets it.",
        network(
            rule="at update { dw = 0.01 * pre.s@late * post.s@late }",
            steps="phase early 5 steps; update W; phase late 5 steps",
        ),
        network(
            rule="at update { dw = 0.01 * pre.s@late * post.s@late }",
            steps="phase early 5 steps; phase late 5 steps; update W",
        ),
    ),
    Entry(
        "E0523",
        "an evaluation would learn",
        "`evaluate` leaves everything that was learned as it is, so no `update` and no learning "
        "phase may be reached from it.",
        network() + AGAIN.format(name="train"),
        network() + SHOW + AGAIN.format(name="show"),
    ),
    Entry(
        "E0525",
        "a clamp of an input that projections feed",
        "A clamp binds an input to a value; the sum of what projections deliver would be lost.",
        network(steps="clamp b.i = 1; phase run 5 steps learning"),
        network(
            unit="input i; input drive; state s = 0; s := relu(i + drive)",
            steps="clamp b.drive = 1; phase run 5 steps learning",
        ),
    ),
    Entry(
        "E0531",
        "nothing to update",
        (
            "`update P` runs the `at update` rule of P. A rule without that block learns at every "
            "step of phases marked `learning`."
        ),
        network(steps="phase run 5 steps; update W"),
        network(
            rule="at update { dw = 0.01 * pre.s * post.s }", steps="phase run 5 steps; update W"
        ),
    ),
    Entry(
        "E0532",
        "a loop without end",
        (
            "`each epoch` runs as often as the protocol's parameter `epochs` or the "
            "loop's `limit` "
            "says."
        ),
        network(
            more="protocol more { each epoch { each batch of digits.train { reset; clamp "
            "a.s = sample.image; phase run 5 steps } } }"
        ),
        network(
            more="protocol more(epochs = 2) { each epoch { each batch of digits.train { "
            "reset; clamp a.s = sample.image; phase run 5 steps } } }"
        ),
    ),
    Entry(
        "E0533",
        "a protocol cannot be run there, or so",
        "`run pretrain` runs another protocol in this place, with its own counters, and what is "
        "known when the specification is compiled stays: only `epochs` and `iterations` may be "
        "given. It stands in no loop, no clamp reaches into it, and none comes to run itself.",
        network(more="protocol twice { repeat { run train } until epoch > 1 limit 2 }"),
        network(more="protocol twice { run train; run train }"),
    ),
    Entry(
        "E0534",
        "a phase is shorter than the part of it that is asked for",
        "`mean(out.s over run last 10)` is of the last 10 steps of the phase, which must have so "
        "many. Where the length of a phase is computed, that is seen when it runs.",
        network(more=SHOWN + "metric late = mean(mean(mean(b.s over run last 6)))"),
        network(more=SHOWN + "metric late = mean(mean(mean(b.s over run last 5)))"),
    ),
    Entry(
        "E0535",
        "a protocol without data reads a sample",
        "A protocol whose phases stand in no loop over samples is a simulation of one row: it has "
        "no `sample`, and what its cells, clamps and rules compute there must do without.",
        network(unit=LABELLED, more=QUIET),
        network(more=QUIET),
    ),
    Entry(
        "E0540",
        "`record` of units that are not there",
        "`of [0, 5]` names units of a population, which are counted from 0. Weights and what "
        "belongs to a whole population are recorded as a whole.",
        network(more=SHOWN + "record b.s of [10] on test"),
        network(more=SHOWN + "record b.s of [9] on test\nrecord W.w on test"),
    ),
    Entry(
        "E0541",
        "no evaluation is called so",
        "`on LABEL` names an evaluation: what `evaluate … as LABEL` says, else the split that it "
        "takes, or `test` for the test that ends a run.",
        network(more=SHOWN + "record b.s on tset"),
        network(more=SHOWN + "record b.s on test"),
    ),
    Entry(
        "E0542",
        "`record` would keep nothing",
        "Recorders take values at the steps of phases, in evaluations and in protocols without "
        "data; in training where it is named, as in `record b.s in train limit 10 samples`.",
        network(more="record b.s"),
        network(more=SHOWN + "record b.s"),
    ),
]
