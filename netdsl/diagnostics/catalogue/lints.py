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
