"""Codes E018x and E055x: memories of samples."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry

_TEXT = """\
edition 1
neuron source {{ state s = 0 }}
neuron unit {{ input i; def s = relu(i) }}
population a : source[64]
population b : unit[10]
data digits {{ source = "digits"; split train = train; split test = test }}
memory past : {memory}
{before}modulator near on b {{ scope neuron; emit {emit} }}
rule learned {{ dw = {dw} }}
projection W : a -> b dense delay 0 {{
  weight w ~ uniform(-0.1, 0.1)
  deliver i += w * pre.s
  learn learned()
}}
{allow}protocol train {{
  each {loop} of digits.train {{
    {steps}
  }}
}}
{more}"""
REPLAY, WINDOW = "replay[4] of digits", "window[4] of a.s, b.s"
LEARN = "clamp a.s = sample.image; phase run 1 step learning"
PUSHED = f"push past\n    when past.full {{ {LEARN} }}"
AHEAD = "clamp a.s = sample.image\n    push past\n    when past.full { phase run 1 step learning }"
APART = "exp(-mean((a.s[p] - a.s[q])^2))"
NUMBER = "modulator w[p in past] {{ scope global; emit mean({value} over q in past) }}\n"


def remembering(
    *,
    memory: str = REPLAY,
    before: str = "",
    emit: str = "mean(s - s[q] over q in past)",
    dw: str = "pre.s * near",
    loop: str = "sample",
    steps: str = PUSHED,
    more: str = "",
) -> str:
    """The text of a whole specification that learns with a memory."""
    window = "window" in memory
    allow = "" if window else 'allow cross_sample on past because "an example"\n'
    return _TEXT.format(
        memory=memory,
        before=before,
        emit=emit,
        dw=dw,
        loop=loop,
        steps=AHEAD if window and steps == PUSHED else steps,
        allow=allow,
        more=more,
    )


ENTRIES: list[Entry] = [
    Entry(
        "E0180",
        "a memory cannot keep this",
        "A replay keeps samples of one data set or task, whose networks it runs again. A window "
        "stores variables of cells that differ from sample to sample.",
        remembering(memory="replay[4] of digits, a"),
        remembering(),
    ),
    Entry(
        "E0181",
        "slots of a memory are read where none can be",
        "Other slots are read in modulators, by an index that a reduction binds, by that of a "
        "modulator with a number for each slot, or `newest`. Cells, rules, protocols and readouts "
        "know the present row.",
        remembering(dw="pre.s * mean(post.s[q] over q in past)"),
        remembering(dw="pre.s * near"),
    ),
    Entry(
        "E0182",
        "an index of slots that does nothing, or one too many",
        "What is reduced over slots reads its index. A value depends on two slots at most: this "
        "row and another one, or two indices.",
        remembering(emit="mean(s over q in past)"),
        remembering(emit="mean(s[q] over q in past)"),
    ),
    Entry(
        "E0183",
        "this is not in the window",
        "Of earlier samples a window knows what it has stored, and of a modulator with a number "
        "for each of its slots what one says of which.",
        remembering(memory=WINDOW, emit="mean(i - i[q] over q in past)"),
        remembering(memory=WINDOW, emit="mean(s - s[q] over q in past)"),
    ),
    Entry(
        "E0550",
        "a memory is pushed into where there is not one sample",
        "A memory takes in one sample at a time, of the data that it is of: `push` stands in "
        "`each sample of …`. The slots of one replay are the rows of a loop.",
        remembering(loop="batch"),
        remembering(loop="sample"),
    ),
    Entry(
        "E0551",
        "something runs before a memory is full",
        "Until a memory has been pushed into as often as it has slots, it has none to be read. "
        "What needs them stands in `when MEMORY.full { … }`.",
        remembering(steps=f"push past\n    {LEARN}"),
        remembering(steps=PUSHED),
    ),
    Entry(
        "E0552",
        "there are no slots here",
        "Where no replay is pushed into, the rows are samples of a batch, and what is made of "
        "slots has no value: rules, cells and what an evaluation reads out cannot use it.",
        remembering(more=f"protocol again {{ each batch of digits.train {{ {LEARN} }} }}"),
        remembering(more=f"protocol again {{ each sample of digits.train {{ {PUSHED} }} }}"),
    ),
]
