"""Random protocols, readouts and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.differential.cells import Cell
from tests.differential.chance import Chance
from tests.differential.known import KNOWN
from tests.differential.wiring import Wiring


@dataclass
class Experiment:
    """`training`, `testing`: phases as text. `phases`: their names."""

    phases: list[str]
    steps: dict[str, int]
    text: list[str] = field(default_factory=list)


def plan(chance: Chance) -> Experiment:
    """Which phases there are and how long they take."""
    names = chance.pick((["run"], ["free", "nudged"], ["run"], ["a", "b", "c"]))
    return Experiment(names, {name: chance.pick((1, 2, 3, 4, 5)) for name in names})


def protocols(
    chance: Chance, made: Experiment, cells: list[Cell], wiring: Wiring, pairs: bool
) -> None:
    """Write the training and the test protocol."""
    online = [e.name for e in wiring.edges if e.learns == "online"]
    updated = [e.name for e in wiring.edges if e.learns == "update"]
    clamps = _clamps(chance, cells)
    stream = "streams.train" if pairs else "d.train"
    body = ["beta := beta * random_sign()"] if chance.odds(0.3) else []
    body += _start(chance, cells) + clamps
    learning_phase = chance.pick(made.phases)
    for name in made.phases:
        learns = ""
        if online and (name == learning_phase or chance.odds(0.3)):
            some = f" {', '.join(chance.some(online, 1))}" if chance.odds(0.3) else ""
            learns = f" learning{some if name != learning_phase else ''}"
        control = " { nudge = 0.5 * beta }" if chance.odds(0.4) else ""
        length = _length(chance, made.steps[name])
        if chance.odds(0.1):
            settled = f"max(sum(abs({cells[-1].name}.score)) over batch) < 0.01"
            # What learns after a decision by other samples needs a waiver.
            until = "batch.index % 2 == 1" if online or updated else settled
            body.append(f"repeat {{ phase {name} {length}{learns} }} until {until} limit 3")
        else:
            body.append(f"phase {name} {length}{learns}{control}")
        body += _between(chance, cells)
    if updated:
        body.append(f"update {', '.join(updated)}")
    looked = f"evaluate test(d.dev) as dev{chance.pick(('', ' limit 3 samples'))}"
    made.text += ["protocol train(epochs = 2) {", "  each epoch {"]
    made.text.append(f"    each batch of {stream} {{")
    made.text += [f"      {line}" for line in body]
    made.text += ["    }", f"    {looked}", "  }", "}"]
    keep = chance.odds(0.2)
    if keep:
        made.text.insert(-2, "    checkpoint best by m0 on dev")
        made.text.insert(-1, "  restore best")
    tested = [f"phase {name} {made.steps[name]} steps" for name in made.phases]
    tested = [*_start(chance, cells), *(c for c in clamps if "label" not in c), *tested]
    made.text += ["protocol test(split) {", "  each batch of split {"]
    made.text += [*(f"    {line}" for line in tested), "  }", "}"]


def _length(chance: Chance, steps: int) -> str:
    return f"{steps} steps" if chance.odds(0.6) else f"{steps} ms"


def _start(chance: Chance, cells: list[Cell]) -> list[str]:
    """How a batch begins; what is carried over shows who came before."""
    if not KNOWN.carried_rows or chance.odds(0.6):
        return ["reset"]
    chance.batch_free = False
    return [] if KNOWN.start_values and chance.odds(0.5) else [f"reset {chance.pick(cells).name}"]


def _clamps(chance: Chance, cells: list[Cell]) -> list[str]:
    """Everything that must be clamped, and a state now and then."""
    found = []
    for index, cell in enumerate(cells):
        for name in cell.clamps:
            path = f"{cell.name}.{name}"
            if index == 0:
                scale = chance.pick(("", "0.5 * ", "(0.8 - 0.1 * phase.step) * "))
                found.append(f"clamp {path} = {scale}sample.image")
            elif cell.size == cells[-1].size and cell is cells[-1] and cell.size > 1:
                found.append(f"clamp {path} = onehot(sample.label)")
            else:
                found.append(f"clamp {path} = {chance.pick(('0.4', '0.1 * phase.step', 'nudge'))}")
    return found


def _between(chance: Chance, cells: list[Cell]) -> list[str]:
    """Statements between phases."""
    found = []
    cell = chance.pick(cells[1:]) if len(cells) > 1 else cells[0]
    if cell.states and cell is not cells[0] and chance.odds(0.2):
        name = chance.pick(cell.states)
        value = chance.pick((f"0.5 * {cell.name}.{name}", "0.2", f"mean({cell.name}.{name})"))
        found.append(f"set {cell.name}.{name} := {value}")
    if chance.odds(0.1):
        found.append("beta := 0.5 * beta + 0.1")
    fed = [f"{c.name}.{name}" for c in cells[1:] for name in c.fed]
    if fed and chance.odds(0.15):
        found.append(f"set {chance.pick(fed)} := {chance.number(0.1, 1)}")
    if chance.odds(0.1):
        found.append("when epoch > 0 { beta := 0.9 }")
    return found


def measures(chance: Chance, made: Experiment, cells: list[Cell], wiring: Wiring) -> None:
    """Write readouts, metrics and recordings."""
    last, phase = cells[-1], chance.pick(made.phases)
    text = made.text
    if last.size > 1:
        text.append(f"readout guess = argmax({last.name}.score@{phase})")
        text.append("metric right = mean(guess == sample.label)")
    for index, cell in enumerate(chance.some(cells, 1, 2)):
        name = chance.pick(cell.sends)
        how = chance.pick(("sum", "mean", *(["max"] if KNOWN.phase_extremes else [])))
        over = chance.pick(made.phases)
        text.append(f"readout r{index} = {how}({cell.name}.{name} over {over})")
        text.append(f"metric m{index} = mean(mean(r{index})){chance.pick(('', ' per batch'))}")
        if cell.spikes:
            text.append(f"readout c{index} = count({cell.name}.{cell.spikes[0]} over {over})")
            text.append(f"metric rate{index} = mean(mean(c{index}))")
    if last.size > 1 and chance.odds(0.3):
        text.append(f"readout logits = mean({last.name}.{chance.pick(last.sends)} over {phase})")
        text.append("metric loss = mean(cross_entropy(softmax(logits), sample.label))")
    weighted = [e for e in wiring.edges if e.weighted and e.kind not in ("conv", "pool")]
    if weighted and chance.odds(0.5):
        edge, clock = chance.pick(weighted), chance.pick(("", " every 2 batches after update"))
        text.append(f"metric size = sum({edge.name}.{'mag' if edge.signed else 'w'}^2){clock}")
    cell = chance.pick(cells)
    text.append(f"record {cell.name}.{chance.pick(cell.sends)} every 1 step on dev limit 3 samples")
