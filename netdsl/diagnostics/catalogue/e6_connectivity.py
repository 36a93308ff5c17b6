"""Codes E06xx: connectivity."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

TAUGHT = "input i; input back; state s = 0; s := relu(i + back)"
CHAIN = """\
population c : unit[12]
projection V : b -> c dense delay 1 step { weight w ~ uniform(-1, 1); deliver i += w * pre.s }
"""
WRONG = "projection Vt : c -> c transpose of V delay 1 step { deliver back += w * pre.s }"
RIGHT = """\
projection Vt : c -> b transpose of V delay 1 step { deliver back += w * pre.s }
allow weight_transport on Vt because "the energy is symmetric\""""

MASKED = """
projection Mt : {} mask_transpose of {} delay 1 step {{ deliver back += 0.1 * pre.s }}
"""
TABLE = "table gain[pre type, post type] = "
GAINED = "i += gain[pre.type, post.type] * w * pre.s"
SAID = 'allow aggregated_weights on gain because "means"'


def typed(
    order: str = "", *, deliver: str = "i += w * pre.s", more: str = "", types: str = "E: 8; I: 2"
) -> str:
    """The example with cell types on both sides."""
    text = network(deliver=deliver, more=more)
    text = text.replace("source[64]", f"source[64] types {{ E: 60; I: 4 }} {order}")
    return text.replace("unit[10]", f"unit[10] types {{ {types} }}")


def sensing(scope: str, emit: str) -> str:
    """The example with a modulator on the postsynaptic population, which has types."""
    more = f"modulator good on b {{ scope {scope}; emit {emit} }}\n"
    return typed(more=more).replace("post.s }", "good }")


SHARED = 'allow aggregated_weights on W because "a convolution shares its kernel"'


def maps(edge: str, post: str = "row: 6, col: 6, ch: 4", *, pre: str = "row: 8, col: 8") -> str:
    """The example between populations with rows and columns."""
    text = network(edge=f"{edge} delay 1 step", more=SHARED)
    return text.replace("source[64]", f"source[{pre}]").replace("unit[10]", f"unit[{post}]")


ENTRIES: list[Entry] = [
    Entry(
        "E0621",
        "one to one between different numbers of neurons",
        "A one-to-one projection joins neuron k to neuron k.",
        network(edge="one_to_one delay 1 step"),
        network(edge="dense delay 1 step"),
    ),
    Entry(
        "E0622",
        "a transpose whose ends do not fit",
        "A transpose has as many presynaptic neurons as its original has postsynaptic ones.",
        network(unit=TAUGHT, more=CHAIN + WRONG),
        network(unit=TAUGHT, more=CHAIN + RIGHT),
    ),
    Entry(
        "E0623",
        "self-connections excluded between different populations",
        "Only a projection from a population to itself has self-connections.",
        network(edge="sparse(p = 0.5) no_self delay 1 step"),
        network(edge="sparse(p = 0.5) delay 1 step"),
    ),
    Entry(
        "E0624",
        "more synapses per neuron than partners",
        "`fixed_in(n)` gives each postsynaptic neuron n different presynaptic ones.",
        network(edge="fixed_in(65) delay 1 step"),
        network(edge="fixed_in(16) delay 1 step"),
    ),
    Entry(
        "E0625",
        "a bound with its ends the wrong way round",
        "`bound w in [low, high]` needs low <= high.",
        network().replace("learn hebb()", "learn hebb()\n  bound w in [1, -1]"),
        network().replace("learn hebb()", "learn hebb()\n  bound w in [-1, 1]"),
    ),
    Entry(
        "E0631",
        "no connectivity",
        (
            "A projection says which synapses exist: `dense`, `one_to_one`, `sparse(p = …)`, "
            "`fixed_in(n)`, `fixed_out(n)`, `conv(kernel = n)`, `pool(n)`, `shared_over(axis)` or "
            "`transpose of P`."
        ),
        network(edge="delay 1 step"),
        network(),
    ),
    Entry(
        "E0632",
        "a transpose above its owner",
        "Projections are read in order, so the one that owns the weight comes first.",
        network(
            before="projection Wt : b -> a transpose of W delay 1 step { deliver back += w "
            "* pre.s }"
        ),
    ),
    Entry(
        "E0633",
        "no weight to learn",
        (
            "Only a projection with a `weight` of its own can learn; a transpose "
            "reads another one's."
        ),
        network(
            more="projection V : a -> b dense delay 1 step { deliver i += pre.s; learn hebb() }"
        ),
        network(
            more="projection V : a -> b dense delay 1 step { weight w = 1; deliver i += w "
            "* pre.s; learn hebb() }"
        ),
    ),
    Entry(
        "E0635",
        "a sign by cell type without types",
        "`sign by pre` is Dale's law: each presynaptic unit has the sign of its cell type, so the "
        "population is declared with `types { ... }` and each type with `celltype NAME sign +`.",
        network(edge="dense sign by pre delay 1 step"),
        network(edge="dense sign + delay 1 step"),
    ),
    Entry(
        "E0634",
        "a fixed projection that learns",
        "`fixed` weights never change.",
        network(edge="dense fixed delay 1 step"),
        network(),
    ),
    Entry(
        "E0641",
        "windows that do not give the postsynaptic shape",
        "A window of `kernel` rows and columns that moves by `stride` over a map with `pad` rows "
        "of zeros around it stands at (size + 2 pad - kernel) // stride + 1 places along an axis. "
        "The postsynaptic population has that many rows and columns; after `pool` it has as many "
        "channels as the presynaptic one.",
        maps("conv(kernel = 3, pad = 1)"),
        maps("conv(kernel = 3, pad = 1)", "row: 8, col: 8, ch: 4"),
    ),
    Entry(
        "E0642",
        "windows over a population without rows and columns",
        "`conv` and `pool` read the axes of both populations as rows, columns and channels; two "
        "axes are one channel.",
        maps("conv(kernel = 3)", pre="64"),
        maps("conv(kernel = 3)"),
    ),
    Entry(
        "E0643",
        "a weight shared over axes that do not come first",
        "`shared_over(row, col)` gives all places along the first axes of the postsynaptic "
        "population the same weights, one set for each of the remaining axes.",
        maps("shared_over(ch)"),
        maps("shared_over(row, col)"),
    ),
    Entry(
        "E0644",
        "a shared kernel that asks for one neuron",
        "One kernel stands for all positions, so no weight of it belongs to one pre- or "
        "postsynaptic neuron: `pre.index`, `self`, `no_self`, signs by cell type and start values "
        "by neuron have no meaning there.",
        maps("conv(kernel = 3)").replace("w * pre.s", "w * pre.s * (pre.index > 3)"),
        maps("conv(kernel = 3)"),
    ),
    Entry(
        "E0645",
        "a cell type where there are none",
        "`type`, `pre.type` and `post.type` are the cell type of a neuron, which the `types` of "
        "its population say.",
        network(deliver="i += w * pre.s * (pre.type == E)"),
        typed(deliver="i += w * pre.s * (pre.type == E)"),
    ),
    Entry(
        "E0646",
        "a cell type without neurons",
        "The types of a population share its neurons out; each has at least one. `shuffled` needs "
        "types to shuffle.",
        typed(types="E: 10; I: 0"),
        typed(types="E: 9; I: 1"),
    ),
    Entry(
        "E0647",
        "a part of a population whose types are shuffled",
        "`a.E` is a block of neurons that stand together. With `shuffled` types a projection joins "
        "the whole population, and a factor of what it delivers says which neurons take part.",
        typed("shuffled").replace("W : a ->", "W : a.E ->"),
        typed("shuffled", deliver="i += w * pre.s * (pre.type == E)"),
    ),
    Entry(
        "E0648",
        "an index that a table does not have",
        "A table is read at the type of a neuron along each of its axes: `gain[pre.type, "
        "post.type]`, in a cell `[type, type]`, or at a type by name where the table has names.",
        typed(
            deliver="i += gain[pre.index, post.type] * w * pre.s", more=TABLE + "[[1, 2], [3, 4]]\n"
        ),
        typed(deliver=GAINED, more=TABLE + "[[1, 2], [3, 4]]\n"),
    ),
    Entry(
        "E0649",
        "a table that does not say what stands in it",
        "A table over cell types is a list of numbers, a row for each type along the first axis, "
        "or the mean of a projection's weights over the synapses between two types: "
        "`block_mean(W.w over present)`, or `over all` pairs.",
        typed(deliver=GAINED, more=TABLE + "block_mean(W.w over batch)\n"),
        typed(
            deliver="i += w * pre.s",
            more=TABLE + "block_mean(W.w over present)\n" + SAID + "\n",
        ).replace("post.s }", "post.s * gain[pre.type, post.type] }"),
    ),
    Entry(
        "E0650",
        "a mask transposed of what has none",
        "`mask_transpose of` reads which synapses another projection has, backwards. A transpose "
        "has no synapses of its own, and a shared kernel or a one-to-one projection no mask.",
        network(unit=TAUGHT, more=CHAIN + RIGHT + MASKED.format("b -> c", "Vt")),
        network(unit=TAUGHT, more=CHAIN + MASKED.format("c -> b", "V")),
    ),
    Entry(
        "E0651",
        "a transpose with a sign",
        "A transpose delivers through the weights of its original, with the signs that they have "
        "there.",
        network(unit=TAUGHT, more=CHAIN + RIGHT.replace("of V", "of V sign -")),
        network(unit=TAUGHT, more=CHAIN + RIGHT),
    ),
    Entry(
        "E0652",
        "a modulator of scope celltype with a number for each neuron",
        "`scope celltype` sends all neurons of a type the same number, such as a mean `by type`.",
        sensing("celltype", "s"),
        sensing("celltype", "mean(s by type)"),
    ),
    Entry(
        "E0653",
        "cell types given in other numbers than declared",
        "Which neuron is of which type can be given from Python or a state file, as `rec.type`; "
        "how many are of each type is what `types` says.",
    ),
]
