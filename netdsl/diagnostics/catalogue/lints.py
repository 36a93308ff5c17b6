"""Codes L…: lints."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

_TEST = """\
protocol test(split) { each batch of split { reset; clamp a.s = sample.image; phase run 5 steps } }
readout y = argmax(b.s@run)
metric accuracy = mean(y == sample.label)"""

ENTRIES: list[Entry] = [
    Entry(
        "L0301",
        "a name in a `reads` list that the rule never reads",
        "The list is what a reader trusts; names that are not read make it say less.",
        network(rule="reads pre.s, post.s, w; dw = 0.01 * pre.s * post.s"),
        network(rule="reads pre.s, post.s; dw = 0.01 * pre.s * post.s"),
    ),
    Entry(
        "L0501",
        "a rule that never runs",
        "No learning phase and no `update` names the projection.",
        network(steps="phase run 5 steps"),
        network(steps="phase run 5 steps learning"),
    ),
    Entry(
        "L0510",
        "a protocol in which a source shows nothing",
        "A population that no projection reaches sends only what a protocol binds. Where phases "
        "run without a `clamp` or `set` of it, it is 0 throughout. Labels need no clamp in a test.",
        network().replace("    clamp a.s = sample.image\n", ""),
        network(),
    ),
    Entry(
        "L0601",
        "a population that nothing touches",
        "No projection, clamp, readout, metric or recorder uses it.",
        network(more="population c : unit[10]"),
        network(more="population c : unit[10]\nreadout y = argmax(c.s)"),
    ),
    Entry(
        "L0602",
        "an input that nothing feeds",
        "It is always 0: no projection delivers to it and no clamp binds it.",
        network(unit="input i; input drive; state s = 0; s := relu(i + drive)"),
        network(unit="input i; state s = 0; s := relu(i)"),
    ),
    Entry(
        "L0603",
        "a variable that nothing reads",
        "Neither the cell, a projection, a rule, a readout nor a recorder uses it.",
        network(unit="input i; state s = 0; state u = 0; s := relu(i); u := 2 * s"),
        network(unit="input i; state s = 0; s := relu(i)"),
    ),
    Entry(
        "L0610",
        "a weight that should learn gets no signal",
        "`netdsl align` compares what each projection would change with the true gradient of a\n"
        "loss. Here one of the two is 0 in all batches compared. An update of 0 comes of a factor\n"
        "that is always 0: a silent cell, an error that no projection brings, a trace that a\n"
        "`reset` clears too early. Where the gradient is 0, the loss does not feel this weight: a\n"
        "spike without `surrogate`, a cell at its bound, a path that ends before the loss.",
    ),
    Entry(
        "L0611",
        "an update that is not the gradient's",
        "`netdsl align` found that the update of a projection goes against the gradient (cosine\n"
        "below -0.1), or that it has the gradient's direction (cosine 0.9 or more) and another\n"
        "norm (by a factor over 1.25). The first is most often a sign, the second a factor that\n"
        "is missing or one too many, such as 1 - kappa of a filter. Rules that follow another aim\n"
        "than the loss, or hold a rate in `dw`, are reported too, and may well be meant.",
    ),
    Entry(
        "L0701",
        "an evaluation without `reset`",
        "Each batch begins in the state in which the one before it ended, so metrics depend on the "
        "size of batches and on the order of samples. Where that is meant, evaluate `from present "
        "state`, or leave the lint standing.",
        network(more=_TEST.replace("reset; ", "")),
        network(more=_TEST),
    ),
    Entry(
        "L0101",
        "never used",
        "A parameter, cell, rule or other declaration that nothing mentions.",
        network(before="param unused = 3"),
        network(before="param used = 3", unit="input i; state s = 0; s := relu(used * i)"),
    ),
    Entry(
        "L0102",
        "a projection that delivers nothing",
        "Without a `deliver` line the target is never reached.",
        network(more="projection V : a -> b dense delay 1 step { weight w = 1 }"),
        network(
            more="projection V : a -> b dense delay 1 step { weight w = 1; deliver i += w * pre.s }"
        ),
    ),
]
