"""Codes E078x: generated data, and data that vary within a trial."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

_TEXT = """\
edition 1
neuron unit {{ input i; state v = 0; v := 0.5 * v + i }}
population a : unit[3]
task numbers(batch = {batch}) {{
  draw k ~ permutation(8)
  {task}
  signal wave[{size}] = sin(0.1 * t + k)
}}
protocol train(iterations = 10) {{
  {loop} {{
    each batch of numbers {{ reset; clamp a.i = {clamp}; phase run 20 steps }}
  }}
}}
metric high = mean(max(a.v@run)){metric}
"""


def _spec(
    *,
    batch: int = 4,
    task: str = "field x[3] = k + index",
    size: int = 3,
    loop: str = "each iteration",
    clamp: str = "sample.wave + sample.x",
    metric: str = "",
) -> str:
    return _TEXT.format(batch=batch, task=task, size=size, loop=loop, clamp=clamp, metric=metric)


_SERIES = """\
edition 1
neuron unit {{ input i; state v = 0; v := 0.5 * v + i }}
population a : unit[3]
param calm : count = 5
let steps = calm + epoch
data waves {{ source = "waves.npz"; batch = 4 }}
protocol show {{
  each batch of waves.train {{ reset; clamp a.i = sample.{field}; phase run {steps} steps }}
}}
metric high = mean(max(a.v@run))
"""

ENTRIES = [
    Entry(
        "E0780",
        "a field is not known when its sample is drawn",
        "Draws and fields of a task are made before the trial begins, from parameters and from the "
        "fields above them: one number a sample, or with a size, `field x[n]`, one for each "
        "`index`. What varies with `t` is a `signal`.",
        _spec(task="field x[3] = k + t"),
        _spec(),
    ),
    Entry(
        "E0781",
        "two tasks give a name of `sample` two meanings",
        "Tasks may share the name of a field if it has the same size in both, and that of a signal "
        "where the loop says whose it is: `each batch of cues`, not `each batch of split`. A name "
        "is not that of a field and of a signal.",
        _spec(task="field wave[2] = index; field x[3] = index"),
        _spec(),
    ),
    Entry(
        "E0782",
        "a permutation is too short for a batch, or has a size",
        "`draw k ~ permutation(n)` takes the first numbers of a random order of 0 to n - 1, so "
        "that no two samples of a batch have the same: a batch has at most n samples, and each of "
        "them one number.",
        _spec(batch=9),
        _spec(batch=8),
    ),
    Entry(
        "E0783",
        "a signal is read where nothing is clamped",
        "A signal has no array: its expression is computed at every step where `clamp` or `set` "
        "puts it. Elsewhere read the input or state that it was put on.",
        _spec(metric=" + mean(sample.wave)"),
        _spec(metric=" + mean(mean(a.i@run))"),
    ),
    Entry(
        "E0784",
        "a field or signal and the population that reads it differ in size",
        "A field `x[n]` or signal `rate[n]` has a value for each unit of the population that it is "
        "clamped on, or that reads it.",
        _spec(size=4),
        _spec(),
    ),
    Entry(
        "E0785",
        "a loop of epochs and one of iterations stand in each other",
        "Draws, reports and checkpoints of a run are counted by one of the two.",
        _spec(loop="each epoch limit 2 { each iteration").replace(
            "  }\n}\nmetric", "  } }\n}\nmetric"
        ),
        _spec(loop="each iteration limit 2"),
    ),
    Entry(
        "E0786",
        "a trial is longer than the data that it reads",
        "`sample.wave@step` reads the value of the present step, `t`, of a field of shape "
        "(samples, steps, units). The phases of a presentation together have no more steps than "
        "the field.",
    ),
    Entry(
        "E0787",
        "a field is read `@step` where that has no meaning",
        "`clamp` and `set` read fields with a value for each step. How many steps a presentation "
        "has is known when the specification is compiled, as so many are kept for each sample. "
        "What a task makes has no such values: its signals vary by themselves.",
        _SERIES.format(field="wave@step", steps="steps"),
        _SERIES.format(field="wave@step", steps="calm"),
    ),
    Entry(
        "E0790",
        "the members of an ensemble would be alike",
        "`ensemble 30 vary weights` draws weights for each member, `vary parameters` the "
        "parameters of neurons. What varies must be drawn when the network is built; data, their "
        "order and the draws of every step are the same for all members.",
        network(more="ensemble 3 vary weights, parameters"),
        network(more="ensemble 3 vary weights"),
    ),
    Entry(
        "E0791",
        "members of an ensemble would go different ways",
        "All members take the same way through a protocol: conditions, limits, lengths of phases, "
        "controls and global states may depend on counters, samples and each other, not on "
        "activity or weights. `checkpoint` keeps the parameters of each member at its own best.",
        network(
            more="ensemble 3 vary weights",
            steps="repeat { phase run 5 steps learning } until mean(mean(b.s)) > 1 limit 3",
        ),
        network(
            more="ensemble 3 vary weights",
            steps="repeat { phase run 5 steps learning } until epoch > 1 limit 3",
        ),
    ),
]
