"""Whole random specs: `make(seed)` is always the same text for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

from tests.differential.cells import Cell, neuron, source
from tests.differential.chance import Chance
from tests.differential.experiment import measures, plan, protocols
from tests.differential.known import KNOWN
from tests.differential.wiring import Edge, Wiring, bias, modulator, projection, transpose

IMAGE_SHAPES = ([("", 4)], [("", 7)], [("row", 3), ("col", 3), ("ch", 1)], [("row", 2), ("col", 5)])


@dataclass(frozen=True)
class Case:
    """A spec and what may be asked of it.

    `image`: values of an image; `classes`: labels. `smooth`: no value jumps, so that float32 stays
    near float64. `batch_free`: the batch size changes no per-sample state. `sparse`: some synapses
    may be stored as a list.
    """

    seed: int
    text: str
    image: int
    classes: int
    smooth: bool
    batch_free: bool
    sparse: bool
    phases: tuple[str, ...]


def make(seed: int) -> Case:
    """The spec of a seed."""
    chance = Chance(seed)
    cells = _cells(chance)
    image, classes = cells[0].size, max(cells[-1].size, 2)
    globals_ = ["nudge", "beta", "theta", *_counters(chance)]
    source(chance, cells[0])
    for cell in cells[1:]:
        neuron(chance, cell, globals_ if chance.odds(0.5) else ["theta"], classes)
    experiment = plan(chance)
    wiring = _wire(chance, cells, experiment.phases)
    pairs = chance.odds(0.15)
    protocols(chance, experiment, cells, wiring, pairs)
    measures(chance, experiment, cells, wiring)
    batch = chance.randint(2, 5)
    text = [
        "edition 1",
        "dt = 1 ms",
        "import std.neuron { encoder, lif, leaky }",
        "import std.rule { hebb, oja }",
        "let schedule = 0.1 * 0.9^epoch",
        "param strong : bool = false",
        "control nudge = 0",
        "global state beta = 1",
        "param theta = 0.3 in [0, 1]",
        "function bump(x, width = 1) = exp(-(x / width)^2)",
        "initialiser mine(a) ~ normal(0, a / sqrt(fan_in))",
        "optimiser own(rate) { state m = 0; m := 0.7 * m + g; change = rate * sign(m) * abs(m) }",
        *(line for cell in cells for line in cell.text),
        *(cell.declaration() for cell in cells),
        *wiring.text,
        f'data d {{ source = "tiny.npz"; batch = {batch}; eval_batch = {chance.randint(2, 6)}'
        f"; shuffle = {chance.pick(('true', 'false'))}; partial = {chance.pick(('keep', 'drop'))}"
        "; split dev = test[0, 5] }",
        *(["pairs streams = wrong_label(d)"] if pairs else []),
        *experiment.text,
    ]
    whole = "\n".join(text) + "\n"
    sparse = any(e.kind in ("sparse", "fixed_in", "fixed_out") for e in wiring.edges)
    return Case(
        seed, whole, image, classes, chance.smooth, chance.batch_free, sparse,
        tuple(experiment.phases),
    )  # fmt: skip


def _counters(chance: Chance) -> list[str]:
    return chance.some(("0.1 * phase.step", "sin(t)", "0.2 * epoch"), 0, 2)


def _cells(chance: Chance) -> list[Cell]:
    shapes = [chance.pick(IMAGE_SHAPES)]
    for _ in range(chance.randint(1, 3)):
        shapes.append(
            chance.pick(
                ([("", chance.randint(1, 12))], [("row", 2), ("col", 3)], [("", 4)], shapes[0])
            )
        )
    if shapes[0][-1][0] == "ch" and chance.odds(0.7):
        shapes[1] = chance.pick(
            (
                [("row", 3), ("col", 3), ("ch", 2)],
                [("row", 2), ("col", 2), ("ch", 3)],
                [("row", 3), ("col", 3), ("ch", 1)],
            )
        )
    return [Cell(f"P{i}", list(shape)) for i, shape in enumerate(shapes)]


def _wire(chance: Chance, cells: list[Cell], phases: list[str]) -> Wiring:
    wiring = Wiring()
    for cell in cells[1:]:
        if chance.odds(0.4):
            name = f"m_{cell.name}"
            wiring.modulators[cell.name] = [name]
            wiring.text += modulator(chance, name, cell)
    clock = chance.pick(("online", "update", "both"))
    edges = _edges(chance, cells)
    turned = chance.pick(edges) if chance.odds(0.3) else None
    if turned is not None and (turned.pre is cells[0] or turned.kind.startswith("pool")):
        turned = None
    tainted = _reached(turned.pre, turned.post, edges) if turned else []
    for edge in edges:
        edge.full = edge is turned
        if edge.pre not in tainted and edge.post not in tainted and chance.odds(0.6):
            edge.learns = chance.pick(("online", "update")) if clock == "both" else clock
        projection(chance, edge, wiring, phases)
    if turned is not None:
        transpose(chance, turned, wiring)
    for index, cell in enumerate(cells[1:]):
        if chance.odds(0.3):
            bias(chance, f"B{index}", cell, wiring, clock if cell not in tainted else "")
    return wiring


def _reached(start: Cell, post: Cell, edges: list[Edge]) -> list[Cell]:
    """Where the weights of a projection that is used backwards are known: nobody learns there."""
    found = [start, post]
    for cell in found:
        found += [e.post for e in edges if e.pre is cell and e.post not in found]
    return found


def _edges(chance: Chance, cells: list[Cell]) -> list[Edge]:
    """Every population is fed; further edges go forward at once, or anywhere with a delay."""
    found: list[Edge] = []
    for index, post in enumerate(cells[1:], 1):
        pre = cells[index - 1] if chance.odds(0.7) else cells[chance.randrange(index)]
        found.append(Edge(f"W{index}", pre, post, _delay(chance, pre)))
        window = _window(chance, pre, post)
        if window and chance.odds(0.7):
            found[-1].kind = window
    for index in range(chance.randint(0, 3)):
        pre, post = chance.pick(cells), chance.pick(cells[1:])
        back = cells.index(pre) >= cells.index(post)
        if back and not pre.held:
            continue
        steps = chance.randint(1, 4) if back else _delay(chance, pre)
        found.append(Edge(f"X{index}", pre, post, steps, back=back))
    for index, cell in enumerate(cells[1:]):
        for name in cell.fed[1:]:
            if not any(e.post is cell for e in found[len(cells) - 1 :]):
                found.append(Edge(f"Y{index}", cells[0], cell, _delay(chance, cells[0])))
    return found


def _delay(chance: Chance, pre: Cell) -> int:
    """Definitions and what is clamped go without delay while delay lines keep what they held."""
    if not KNOWN.delay_lines and (pre.name == "P0" or not pre.held):
        return 0
    return chance.pick((0, 0, 1, 1, 2, 4))


def _window(chance: Chance, pre: Cell, post: Cell) -> str:
    """A shared kernel that fits, or ""."""
    if [a for a, _ in pre.axes] != ["row", "col", "ch"] or len(post.axes) != 3:
        return ""
    (rows, channels), (out, kernels) = ((cell.axes[0][1], cell.axes[2][1]) for cell in (pre, post))
    if out == rows:
        alike = "pool(3, stride = 1, pad = 1)" if kernels == channels else "conv(kernel = 1)"
        return chance.pick(("conv(kernel = 3, pad = same)", alike))
    return "conv(kernel = 2)" if out == rows - 1 else ""
