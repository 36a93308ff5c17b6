"""Random projections, rules, modulators and optimisers."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.differential.cells import Cell
from tests.differential.chance import Chance
from tests.differential.known import KNOWN

STARTS = (
    "~ uniform(-1, 1)", "~ normal(0, 0.5)", "~ xavier_uniform", "~ kaiming_normal", "= 0.3",
    "~ lecun_normal", "~ torch_linear", "~ mine(0.7)",
)  # fmt: skip
OPTIMISERS = (
    "sgd(rate = {r})", "momentum(rate = {r}, mass = 0.8)", "adam(rate = {r})",
    "adamw(rate = {r}, decay = 0.1)", "sgd(rate = {r}, decay = 0.1)", "own(rate = {r})",
    "sgd(rate = {r} * 0.9^epoch)",
)  # fmt: skip
SHARED = 'allow aggregated_weights on {} because "all places share it"'


@dataclass
class Edge:
    """A projection. `learns`: "", "online" or "update". `back`: towards an earlier population, so
    that it sends no definition, whose settled value might depend on itself."""

    name: str
    pre: Cell
    post: Cell
    delay: int
    weighted: bool = True
    learns: str = ""
    text: list[str] = field(default_factory=list)
    kind: str = "dense"
    back: bool = False
    full: bool = False
    signed: bool = False
    several: bool = False


@dataclass
class Wiring:
    """All projections with their rules and modulators, as text."""

    text: list[str] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    modulators: dict[str, list[str]] = field(default_factory=dict)
    phases_read: set[str] = field(default_factory=set)


def connectivity(chance: Chance, pre: Cell, post: Cell) -> str:
    """How two populations may be joined."""
    m, n = pre.size, post.size
    own = " no_self" if pre is post and chance.odds(0.5) else ""
    draw = chance.pick(("bernoulli", "exact", "pairs_with_replacement"))
    p = chance.pick(("0.3", "0.5", "0.08", "0.9"))
    least = 1 if own else 0
    options = [
        f"dense{own}", "dense", f"sparse(p = {p}){own}", f"sparse(p = {p}, draw = {draw}){own}",
        f"fixed_in({chance.randint(1, max(m - least, 1))}){own}",
        f"fixed_out({chance.randint(1, max(n - least, 1))}){own}",
    ]  # fmt: skip
    if own and m == 1:
        options = ["dense"]
    if m == n and pre is not post:
        options.append("one_to_one")
    return chance.pick(options)


def delay(chance: Chance, steps: int) -> str:
    if steps == 0:
        return "delay 0"
    return f"delay {steps} step" if chance.odds(0.6) else f"delay {steps} ms"


def rule(chance: Chance, edge: Edge, wiring: Wiring, phases: list[str]) -> list[str]:
    """A rule of its own for a projection."""
    update = edge.learns == "update"

    def timed(name: str) -> str:
        if update and chance.odds(0.4):
            return f"{name}@{chance.pick(phases)}"
        return name

    pre = timed(f"pre.{chance.pick(sendable(edge))}")
    if not edge.several and chance.odds(0.3):
        pre = "pre.sent"
    post = timed(f"post.{chance.pick(edge.post.sends)}")
    if not edge.several and not update and chance.odds(0.15):
        post = "post.received"
    third = [m for m in wiring.modulators.get(edge.post.name, []) if chance.odds(0.5)]
    factors = " * ".join([pre, post, *third])
    change = chance.pick((f"{factors}", f"{factors} - 0.1 * w", f"{pre} * ({post} - 0.2 * w)"))
    lines = [f"rule learn_{edge.name}(rate) {{"]
    if chance.odds(0.3):
        lines.append(f"let wanted = {change}")
        change = "wanted"
    dw = f"dw = rate * ({change})"
    lines.append(f"at update {{ {dw} }}" if update else dw)
    if chance.odds(0.25):
        lines.append(f"subtract 0.01 * {pre}^2")
    if chance.odds(0.25):
        options = ("w := 0.99 * w", "w := 0 if abs(w) < 1e-3 else w", "w := clip(w, -2, 2)")
        lines.append(f"after update {{ {chance.pick(options)} }}")
    if chance.odds(0.4):
        how = chance.pick(("sum", "mean"))
        chance.batch_free = chance.batch_free and how == "sum"
        lines.append(f"reduce {how} over batch")
    lines.append("}")
    return [lines[0], *(f"  {line}" for line in lines[1:-1]), lines[-1]]


def sendable(edge: Edge) -> list[str]:
    """What may be sent, and read by a rule as it arrives."""
    late = edge.delay and not KNOWN.delay_lines
    return edge.pre.held if edge.pre.held and (edge.back or late) else edge.pre.sends


def modulator(chance: Chance, name: str, cell: Cell) -> list[str]:
    """One for a population, or one number per neuron."""
    if chance.odds(0.25):
        value = chance.bounded(cell.sends, 1)
        return [f"modulator {name} on {cell.name} {{ scope neuron; emit {value} }}"]
    kind = chance.pick(("mean", "sum", "max"))
    inner = f"{kind}({chance.bounded(cell.sends, 1)})"
    if chance.odds(0.4):
        inner = f"{inner} * sample.positive"
    scope = chance.pick(("population", "global"))
    if chance.odds(0.4):
        return [
            f"modulator {name} on {cell.name} {{",
            f"  scope {scope}",
            "  population state level = 0",
            f"  let now = {inner}",
            "  level := 0.8 * level + 0.2 * now",
            "  emit now - level",
            "}",
        ]
    return [f"modulator {name} on {cell.name} {{ scope {scope}; emit {inner} }}"]


def projection(chance: Chance, edge: Edge, wiring: Wiring, phases: list[str]) -> None:
    """Write a projection with what it delivers and how it learns."""
    joined = edge.kind
    if edge.kind == "dense" and not edge.full:
        joined = connectivity(chance, edge.pre, edge.post)
    sign = ""
    fixed = ""
    one = joined == "one_to_one"
    if edge.learns and one:
        edge.learns = ""
    plain = not edge.kind.startswith(("conv", "pool")) and not one and not edge.full
    if plain and chance.odds(0.2):
        sign = chance.pick((" sign +", " sign -"))
        edge.signed = True
    if not edge.learns and chance.odds(0.3) and not one:
        fixed = " fixed"
    names = chance.some(sendable(edge), 1, 2)
    sent, second = f"pre.{names[0]}", f"pre.{names[-1]}"
    into = chance.pick(edge.post.fed)
    weighted = bool(edge.learns or sign or fixed or edge.full) or chance.odds(0.8)
    edge.weighted = weighted
    start = chance.pick(STARTS) if not sign else chance.pick(("~ uniform(0, 0.8)", "= 0.4"))
    body = [f"weight w {start}"] if weighted else []
    scale = chance.pick(("", "", "0.5 * ", f"{chance.number(0.2, 1)} * "))
    delivered = f"{scale}w * {sent}" if weighted else f"0.3 * {sent}"
    if chance.odds(0.12):
        delivered += f" - 0.1 * {sent}" if not weighted else f" + 0.1 * w * {sent}^2"
    body.append(f"deliver {into} += {delivered}")
    if len(edge.post.fed) > 1 and chance.odds(0.3):
        edge.several = True
        also = "w * " if weighted and chance.odds(0.6) else ""
        body.append(f"deliver {'k' if into == 'j' else 'j'} += 0.2 * {also}{second}")
    if edge.learns == "online" and not edge.several and chance.odds(0.15):
        body.append(f"learn {chance.pick(('hebb', 'oja'))}(rate = {chance.number(0.01, 0.1)})")
    elif edge.learns:
        wiring.text += rule(chance, edge, wiring, phases)
        rate = chance.pick((chance.number(0.01, 0.2), "schedule"))
        body.append(f"learn learn_{edge.name}(rate = {rate})")
    if edge.learns:
        if chance.odds(0.6):
            rate = chance.number(0.01, 0.1)
            body.append(f"optimise {chance.pick(OPTIMISERS).format(r=rate)}")
        if chance.odds(0.4):
            body.append(f"bound w in [{'0' if sign else '-1'}, 1]")
    ends = f"{edge.pre.name} -> {edge.post.name}"
    head = f"projection {edge.name} : {ends} {joined}{sign}{fixed} {delay(chance, edge.delay)}"
    edge.kind = joined.split("(")[0].split(" ")[0]
    wiring.text += [f"{head} {{", *(f"  {line}" for line in body), "}"]
    if edge.learns and joined.startswith(("conv", "pool")):
        wiring.text.append(SHARED.format(edge.name))
    wiring.edges.append(edge)


def transpose(chance: Chance, edge: Edge, wiring: Wiring) -> None:
    """A projection back through another one's weights."""
    target = edge.pre
    name, steps = f"{edge.name}t", chance.randint(1, 3)
    if not edge.post.held:
        return
    sent = chance.pick(edge.post.held)
    wiring.text += [
        f"projection {name} : {edge.post.name} -> {target.name} transpose of {edge.name}"
        f" {delay(chance, steps)} {{",
        f"  deliver {chance.pick(target.fed)} += w * pre.{sent}",
        "}",
    ]


def bias(chance: Chance, name: str, cell: Cell, wiring: Wiring, clock: str) -> None:
    """A projection from the unit that is always 1, by a template; with channels one for each."""
    named = [axis for axis, _ in cell.axes if axis]
    joined = "dense"
    if len(named) == 3 and chance.odds(0.6):
        joined = "shared_over(row, col)"
    learns = clock in ("online", "update")
    post = f"post.{chance.pick(cell.held)}" if cell.held else ""
    wiring.text += [f"synapse offset_{name}(start = 0.1) {{", "  weight w = start"]
    wiring.text.append(f"  deliver {chance.pick(cell.fed)} += w * pre.s")
    if learns and post:
        wiring.text.append(f"  learn shift_{name}(rate = schedule)")
    wiring.text.append("}")
    if learns and post:
        dw = f"dw = rate * ({post} - 0.1 * w)"
        dw = f"at update {{ {dw} }}" if clock == "update" else dw
        wiring.text.append(f"rule shift_{name}(rate) {{ {dw} }}")
    wiring.text.append(
        f"projection {name} : std.one -> {cell.name} {joined} delay 0 using offset_{name}"
        f"{chance.pick(('', '(start = -0.2)'))}"
    )
    if learns and post and joined != "dense":
        wiring.text.append(SHARED.format(name))
    edge = Edge(name, cell, cell, 0, learns=clock if learns and post else "", kind=joined)
    wiring.edges.append(edge)
