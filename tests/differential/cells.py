"""Random cells: a population with a neuron of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.differential.chance import Chance
from tests.differential.known import KNOWN

LINEAR = ("euler", "exact", "expeuler", "rk4", "auto")


@dataclass
class Cell:
    """A population and what others may do with it.

    `sends`: public variables, `held` those among them that are no definitions; `fed`: inputs that
    projections may feed; `clamps`: variables that a protocol may clamp.
    """

    name: str
    axes: list[tuple[str, int]]
    text: list[str] = field(default_factory=list)
    sends: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    spikes: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    fed: list[str] = field(default_factory=list)
    clamps: list[str] = field(default_factory=list)
    neuron: str = ""
    overrides: str = ""

    @property
    def size(self) -> int:
        size = 1
        for _, length in self.axes:
            size *= length
        return size

    def declaration(self) -> str:
        dims = ", ".join(f"{a}: {n}" if a else str(n) for a, n in self.axes)
        return f"population {self.name} : {self.neuron}[{dims}]{self.overrides}"


def source(chance: Chance, cell: Cell) -> None:
    """Where the data come in: a clamped state, an encoder, or one of the library."""
    cell.neuron = f"n_{cell.name}"
    kind = chance.pick(("state", "encoder", "library", "trace"))
    if kind == "state":
        held = "r : bool" if KNOWN.bool_clamps and chance.odds(0.5) else "r"
        cell.text = [f"neuron {cell.neuron} {{ state {held} = 0; def q = r^2 }}"]
        cell.sends, cell.clamps, cell.states = ["r", "q"], ["r"], ["r"]
        return
    cell.clamps, cell.spikes, cell.sends = ["p"], ["s"], ["s"]
    chance.smooth = False
    if kind == "library":
        cell.neuron = "encoder"
        return
    cell.text = [f"neuron {cell.neuron} {{", "  input p", "  s ~ bernoulli(p)"]
    if kind == "trace":
        cell.text.append("  trace z of s { tau = 7 ms }")
        cell.sends.append("z")
    cell.text.append("}")


class Body:
    """Statements of a random neuron, in an order that reads only what there is."""

    def __init__(self, chance: Chance, cell: Cell, globals_: list[str], classes: int) -> None:
        self.chance, self.cell, self.globals = chance, cell, globals_
        self.head: list[str] = []
        self.tail: list[str] = []
        self.names: list[str] = []
        self.private_names: list[str] = []
        self.classes = classes

    def leaves(self) -> list[str]:
        """What a statement may read here; a `def` is read elsewhere and knows no `let`."""
        return self.names + self.globals + self.private_names

    def start(self) -> str:
        c = self.chance
        if not KNOWN.start_values or c.odds(0.5):
            return c.pick(("= 0", "= 0", "~ uniform(-1, 1)", "= 0.25", "~ normal(0, 0.5)"))
        return f"= {c.number(-1, 1)}"

    def state(self, name: str, start: str | None = None, keep: bool = False) -> None:
        self.head.append(f"state {name} {start or self.start()}{' keep' if keep else ''}")
        self.names.append(name)
        self.cell.sends.append(name)
        self.cell.held.append(name)
        self.cell.states.append(name)

    def inputs(self) -> None:
        c, cell = self.chance, self.cell
        cell.fed = ["j", *(["k"] if c.odds(0.4) else [])]
        if c.odds(0.4) or cell.size == self.classes:
            cell.clamps.append("target")
        for name in (*cell.fed, *cell.clamps):
            self.head.append(f"input {name}")
            self.names.append(name)
        if c.odds(0.3):
            self.head.append("param gain per neuron ~ uniform(0.5, 1.5)")
            self.names.append("gain")

    def equations(self) -> None:
        c = self.chance
        kind = c.pick(("one", "two", "conditional", "cubic", "fast"))
        self.head.append(f"param tau = {c.randint(8, 30)} ms")
        self.state("v")
        drive = c.value([*self.cell.fed, *self.globals], 1)
        if kind == "two":
            self.state("a")
            self.tail.append(f"d v/dt = (-v - 0.5 * a + {drive}) / tau")
            self.tail.append("d a/dt = (0.3 * v - a) / tau")
            self.tail.append(f"integrate v, a with {c.pick(LINEAR)}")
        elif kind == "conditional":
            self.tail.append(f"d v/dt = (-v * (1 + abs(j)) + {drive}) / tau")
            self.tail.append(f"integrate v with {c.pick(('euler', 'expeuler', 'rk4', 'auto'))}")
        elif kind == "cubic":
            self.tail.append(f"d v/dt = (-v^3 + tanh({drive})) / tau")
            self.tail.append(f"integrate v with {c.pick(('euler', 'rk4', 'auto'))}")
        else:
            rate = "-v / tau" if kind == "one" else "(-v) / (0.5 * tau)"
            self.tail.append(f"d v/dt = {rate} + ({drive}) / tau")
            self.tail.append(f"integrate v with {c.pick(LINEAR)}")
        if KNOWN.slow_rates and c.odds(0.3):
            self.state("slow", "= 0")
            self.tail.append("d slow/dt = 1e-9 * (tanh(v) - abs(v) * slow) / tau")
            self.tail.append("integrate slow with expeuler")

    def spike(self) -> None:
        c = self.chance
        c.smooth = False
        level = c.number(0.05, 0.6)
        inner = ["v := 0"] if c.odds(0.7) else ["v := v - 0.3"]
        if c.odds(0.5):
            hold = " hold v" if c.odds(0.4) else ""
            inner.append(f"refractory {c.randint(1, 3)} steps{hold}")
        graded = c.odds(0.4)
        if graded:
            kind = ("triangle(damp = 0.3, width = 1)", "fast_sigmoid", "arctan", "rectangle")
            inner.append(f"surrogate {c.pick(kind)}")
        self.tail.append(f"spike s when v {c.pick(('>', '>='))} {level} {{ {'; '.join(inner)} }}")
        self.names.append("s")
        self.cell.sends.append("s")
        self.cell.held.append("s")
        self.cell.spikes.append("s")
        if graded:
            self.tail.append("def slope = grad(s, v)")
            self.names.append("slope")
            self.cell.sends.append("slope")

    def trace(self) -> None:
        c = self.chance
        of = c.pick(self.cell.spikes) if self.cell.spikes else c.pick(self.cell.states)
        if c.odds(0.4) or not self.cell.spikes:
            self.tail.append(f"trace z of {of} using averaging(tau = {c.randint(5, 40)} ms)")
        else:
            jump, decay = c.pick(("add", "set")), c.pick(("exponential", "linear"))
            self.tail.append(
                f"trace z of {of} {{ tau = {c.randint(5, 40)} ms; jump = {jump}; decay = {decay} }}"
            )
        self.names.append("z")
        self.cell.sends.append("z")
        self.cell.held.append("z")

    def assignment(self) -> None:
        self.state("x")
        self.tail.append(f"x := 0.5 * x + 0.5 * {self.chance.bounded(self.leaves())}")

    def private(self) -> None:
        self.tail.append(f"let l = {self.chance.value(self.leaves())}")
        self.private_names.append("l")

    def definition(self) -> None:
        self.tail.append(f"def y = {self.chance.bounded(self.names + self.globals)}")
        self.names.append("y")
        self.cell.sends.append("y")
        if "target" in self.cell.clamps:
            self.tail.append("def err = target - y")
            self.names.append("err")
            self.cell.sends.append("err")

    def reduction(self) -> None:
        c = self.chance
        kind = c.pick(("sum", "mean", "max", "min"))
        named = [axis for axis, _ in self.cell.axes if axis]
        inner = c.bounded([n for n in self.names if n not in self.cell.fed] or ["0.3"], 1)
        if len(named) > 1 and c.odds(0.6):
            over = ", ".join(c.some(named, 1, len(named) - 1))
            self.tail.append(f"let total = {kind}({inner} over {over})")
            self.private_names.append("total")
        elif c.odds(0.6):
            self.head.append("population state total = 0")
            self.tail.append(f"total := 0.7 * total + 0.1 * {kind}({inner})")
            self.names.append("total")
        else:
            self.tail.append(f"let total = 0.2 * {kind}({inner})")
            self.private_names.append("total")

    def noise(self) -> None:
        c = self.chance
        kind = c.pick(("normal(0, 0.3)", "uniform(-1, 1)", "integer(-1, 2)", "bernoulli"))
        if kind == "bernoulli":
            c.smooth = False
            kind = f"bernoulli(clip({c.value(self.leaves(), 1)}, 0, 1))"
        self.head.append("state xi = 0")
        self.tail.append(f"xi ~ {kind}")
        self.names.append("xi")
        self.cell.sends.append("xi")
        self.cell.held.append("xi")

    def kept(self) -> None:
        self.chance.batch_free = False
        self.state("rest", "= 0", keep=True)
        self.tail.append(f"rest := 0.9 * rest + 0.1 * {self.chance.bounded(self.leaves(), 1)}")

    def entry(self) -> None:
        name = self.chance.pick(self.cell.states)
        self.tail.append(f"on phase {{ {name} := 0.5 * {name} }}")

    def variant(self) -> None:
        """Statements that a parameter chooses."""
        value = self.chance.bounded(self.names + self.globals)
        self.head.append("state chosen = 0")
        self.tail += ["when strong {", f"chosen := 2 * {value}", "} else {"]
        self.tail += [f"chosen := 0.5 * {value}", "}"]
        self.names.append("chosen")
        self.cell.sends.append("chosen")
        self.cell.held.append("chosen")

    def hole(self) -> None:
        """NaN that nothing but a reduction reads."""
        form = self.chance.pick(("sign", "abs", "relu"))
        self.head += ["state deep = 0", "state hole = 0", "population state top = 0"]
        self.tail.append(f"hole := {form}(log(-1 - abs(deep)))")
        self.tail.append(f"top := {self.chance.pick(('max', 'min'))}(hole)")

    def data(self) -> None:
        if self.cell.size == self.classes:
            self.tail.append("def wanted = onehot(sample.label)")
            self.names.append("wanted")
            self.cell.sends.append("wanted")
        else:
            self.tail.append("let shown = 0.1 * sample.label")
            self.private_names.append("shown")

    def score(self) -> None:
        """What an `argmax` may read: units differ, so that rounding decides no tie."""
        if "gain" not in self.names:
            self.head.append("param gain per neuron ~ uniform(0.5, 1.5)")
        self.tail.append(f"def score = gain * (0.1 + {self.chance.pick(self.cell.sends)})")

    def previous(self) -> None:
        name = self.chance.pick(self.cell.states)
        self.tail.append(f"def change = {name} - {name}@prev")
        self.names.append("change")


def neuron(chance: Chance, cell: Cell, globals_: list[str], classes: int) -> None:
    """Fill a cell with a random body."""
    body = Body(chance, cell, globals_, classes)
    body.inputs()
    dynamic = chance.odds(0.65)
    if dynamic:
        body.equations()
        if chance.odds(0.6):
            body.spike()
    if not dynamic or chance.odds(0.3):
        body.assignment()
    steps = [body.private, body.definition, body.reduction, body.noise, body.data, body.variant]
    if cell.states:
        steps += [body.trace, body.entry, body.previous]
    if KNOWN.carried_rows:
        steps.append(body.kept)
    if KNOWN.nan:
        steps.append(body.hole)
    for step in chance.some(steps, 1, 5):
        step()
    if not cell.sends:
        body.definition()
    body.score()
    cell.neuron = f"n_{cell.name}"
    lines = [*body.head, *body.tail]
    cell.text = [f"neuron {cell.neuron} {{", *(f"  {t}" for t in lines), "}"]
    if chance.odds(0.15):
        cell.text += [f"neuron more_{cell.name} {{", f"  extends {cell.neuron}"]
        value = f"0.5 * extra + {chance.bounded(cell.sends)}"
        cell.text += ["  state extra = 0", f"  extra := {value}", "}"]
        cell.neuron = f"more_{cell.name}"
        cell.sends.append("extra")
        cell.held.append("extra")
    if dynamic and chance.odds(0.3):
        cell.overrides = f" {{ tau = {chance.randint(9, 25)} ms }}"
