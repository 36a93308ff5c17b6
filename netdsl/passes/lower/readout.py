"""Reductions over the steps of a phase: accumulators that a phase fills for readouts."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.dataflow.walk import DECISIONS, Flow, walk_host
from netdsl.ir.expr import NOW, Apply, Const, Expr, Load, Local, Reduce, Ref, walk
from netdsl.ir.network import Kind, Network, Place, Type
from netdsl.ir.program import Bind, Elementwise, Fill, Key, Op, Program, Store
from netdsl.ir.protocol import RunPhase, SetGlobal, simulates
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.resolve import Resolver
from netdsl.passes.lower.sites import Site, learns

STEPS = "phase.steps"  # how many steps a phase has, where it is computed and asked for
SETTLE = "settle"  # the routine that settles what the host reads bare


@dataclass
class Accumulation:
    """Operations for a phase: at its start, at every step, at its end."""

    once: list[Op] = field(default_factory=list)
    step: list[Op] = field(default_factory=list)
    after: list[Op] = field(default_factory=list)


def decisions(network: Network) -> list[Expr]:
    """What the host evaluates of protocols: conditions, lengths, controls, global states, and
    which synapses are closed and opened."""
    return [flow.expr for flow in walk_host(network) if _decides(flow)]


def _decides(flow: Flow) -> bool:
    return flow.kind in (*DECISIONS, "rewire") or isinstance(flow.node, SetGlobal)


def host_values(network: Network) -> list[Expr]:
    """Everything that the host computes from what the program keeps for it."""
    flows = walk_host(network)
    return [flow.expr for flow in flows if flow.kind in ("readout", "metric") or _decides(flow)]


def _over_phases(values: list[Expr]) -> tuple[Reduce, ...]:
    nodes = (node for value in values for node in walk(value))
    return tuple(
        dict.fromkeys(n for n in nodes if isinstance(n, Reduce) and n.over_phase is not None)
    )


def _losses(network: Network) -> list[Expr]:
    return [loss.value for loss in network.losses.values()]


def phase_reductions(network: Network) -> tuple[Reduce, ...]:
    """Every reduction over a phase that the host or a loss reads, without repeats."""
    return _over_phases([*host_values(network), *_losses(network)])


def accumulator_key(network: Network, reduce: Reduce) -> Key:
    """What holds a reduction over a phase."""
    tag = f"{reduce.kind}:{reduce.axis.partition(':')[2]}"
    if isinstance(reduce.body, Ref):
        return Key(reduce.body.path, tag)
    return Key(f"readout{phase_reductions(network).index(reduce)}", tag)


def windows(program: Program) -> dict[str, int]:
    """Phases of whose last steps something is read, by their routines: of how many at most."""
    found: dict[str, int] = {}
    for name, routine in program.routines.items():
        held = (program.buffers[buffer] for op in routine.step for buffer in op.writes)
        for buffer in held:
            number = buffer.tag.split(":")[2:] if buffer.role == "accumulator" else []
            if number:
                found[name] = max(found.get(name, 0), int(number[0]))
    return found


def population_of(context: Context, expr: Expr) -> str:
    """The population whose variables an expression reads."""
    for node in walk(expr):
        if isinstance(node, Ref):
            owner = context.variable(node.path).owner
            if owner in context.network.populations:
                return owner
    raise LoweringError(
        "E0505",
        "a reduction over a phase must read a variable of a population",
        getattr(expr, "span", None),
        "write for example `count(out.s over run)`",
    )


def wanted_reductions(context: Context, site: Site, phase: RunPhase) -> list[Reduce]:
    """Reductions that a phase must add up; in protocols that learn from data, only what is
    observed, is part of a loss, decides how they go on or is measured meanwhile."""
    network = context.network
    measured = [metric.value for metric in network.metrics.values() if metric.every is not None]
    needed = set(_over_phases([*decisions(network), *measured]))
    if learns(network, site.protocol):
        needed.update(_over_phases(_losses(network)))
    if not learns(network, site.protocol) or simulates(site.protocol, network.protocols):
        needed.update(_over_phases(host_values(network)))
    return [
        reduce
        for reduce in phase_reductions(network)
        if reduce.over_phase == phase.name
        and (reduce in needed or accumulator_key(network, reduce) in context.observed)
    ]


def accumulators(context: Context, site: Site, phase: RunPhase) -> Accumulation:
    """What a phase must add up for the readouts."""
    result = Accumulation()
    for reduce in wanted_reductions(context, site, phase):
        _accumulate(context, reduce, phase, result)
    return result


def _is_bool(context: Context, expr: Expr) -> bool:
    return isinstance(expr, Ref) and context.variable(expr.path).type is Type.BOOL


_START = {"max": float("-inf"), "min": float("inf")}


def _accumulate(context: Context, reduce: Reduce, phase: RunPhase, result: Accumulation) -> None:
    population = population_of(context, reduce.body)
    key = accumulator_key(context.network, reduce)
    resolver = Resolver(context, population)
    value = resolver.resolve(reduce.body)
    if reduce.kind == "count" and not _is_bool(context, reduce.body):
        value = Apply("ne", (value, Const(0.0)), reduce.span)
    if reduce.last is not None:
        nothing = Const(_START.get(reduce.kind, 0.0))
        value = Apply("select", (_within(context, reduce, phase), value, nothing), reduce.span)
    place = context.place(value)
    row = place is Place.ROW
    name = context.need(
        key.of,
        Place.ROW if row else Place.UNIT,
        population,
        "accumulator",
        f"{reduce.kind} over phase",
        type=Type.REAL,
        tag=key.tag,
    )
    operator = reduce.kind if reduce.kind in _START else "add"
    term = f"{name}@term"  # computed in the run's number type, and added up in float64
    bound = Bind(term, value, reduce.span)
    store = Store(name, Apply(operator, (Load(name), Local(term))), reduce.span)
    result.once.append(Fill(name, _START.get(reduce.kind, 0.0)))
    result.step.append(
        Elementwise(population, (*resolver.emit, bound, store), label=f"accumulate {name}")
    )
    if reduce.kind == "mean":
        why = "step within the phase"
        step = context.need("phase.step", Place.GLOBAL, "", "counter", why, tag="")
        steps: Expr = Apply("add", (Load(step), Const(1.0)))
        if reduce.last is not None:
            steps = Const(float(reduce.last))
        mean = Store(name, Apply("div", (Load(name), steps)), reduce.span)
        result.after.append(Elementwise(population, (mean,), label=f"mean {name}"))


def _within(context: Context, reduce: Reduce, phase: RunPhase) -> Expr:
    """Whether a step is among the last ones that a reduction takes in."""
    assert reduce.last is not None
    why = "step within the phase"
    step = Load(context.need("phase.step", Place.GLOBAL, "", "counter", why, tag=""))
    if isinstance(phase.steps, Const):
        left = int(phase.steps.value) - reduce.last
        if left < 0:
            raise LoweringError(
                "E0534",
                f"phase `{phase.name}` has {int(phase.steps.value)} steps, and its last"
                f" {reduce.last} are asked for",
                reduce.span,
                f"reduce over {int(phase.steps.value)} or fewer, or make the phase longer",
            )
        return Apply("ge", (step, Const(float(left))))
    whole = Load(context.need(STEPS, Place.GLOBAL, "", "counter", "steps of the phase", tag=""))
    return Apply("ge", (step, Apply("sub", (whole, Const(float(reduce.last))))))


def read_phases(network: Network) -> set[tuple[str, str]]:
    """(variable, phase) reads of losses and of what the host computes."""
    values = host_values(network)
    values += _losses(network)
    return {
        (node.path, node.phase)
        for value in values
        for node in walk(value)
        if isinstance(node, Ref) and node.phase is not None
    }


def settled_reads(network: Network) -> tuple[Ref, ...]:
    """Bare reads of inputs and definitions by the host."""
    table = network.table
    return tuple(
        node
        for value in host_values(network)
        for node in walk(value)
        if isinstance(node, Ref)
        and node.time == NOW
        and node.path in table
        and table[node.path].kind in (Kind.INPUT, Kind.DEF)
    )
