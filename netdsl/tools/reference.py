"""Two networks made from one: its rules that form their changes and make none, and the derivative
of a loss in the place of each rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from netdsl.diagnostics import Diagnostic, DiagnosticError
from netdsl.frontend import lower_network
from netdsl.ir.expr import Const, Reduce, Ref, walk
from netdsl.ir.network import Loss, Network, Optimiser, Rule
from netdsl.ir.program import Program
from netdsl.ir.protocol import (
    Checkpoint,
    Choose,
    Each,
    Evaluate,
    Repeat,
    Restore,
    Rewire,
    RunPhase,
    Step,
    Update,
    steps_of,
)
from netdsl.passes.reverse.losses import together
from netdsl.runtime.errors import RunFault

_STILL = Optimiser("none", {}, (), Const(0.0), "g")
_OUTSIDE = (Update, Rewire, Evaluate, Checkpoint, Restore)  # what a gradient has no part in


@dataclass(frozen=True)
class Built:
    """A network, its program, and why projections could not be carried over, by name."""

    network: Network
    program: Program
    refused: Mapping[str, Diagnostic]


def changes(names: Iterable[str]) -> tuple[str, ...]:
    """Where the reduced `dw` of projections is kept."""
    return tuple(f"{name}.dw" for name in names)


def held(network: Network, names: Iterable[str]) -> Built:
    """The network with rules that form their `dw` and leave the weights as they are."""
    made = {
        name: replace(projection, rule=_still(projection.rule))
        for name, projection in network.projections.items()
        if projection.rule is not None
    }
    network = replace(network, projections={**network.projections, **made})
    return Built(network, lower_network(network, changes(names)), {})


def reference(
    network: Network, loss: Loss, protocol: str, phase: str, names: Iterable[str]
) -> Built | dict[str, Diagnostic]:
    """The network in which the named projections learn `bptt` of a loss after a phase, as far as
    that can be derived; where it can be for none, why not by name."""
    wanted = list(names)
    try:
        return _built(network, loss, protocol, phase, wanted, {})
    except DiagnosticError:
        refused = _refused(network, loss, protocol, phase, wanted)
    left = [name for name in wanted if name not in refused]
    return _built(network, loss, protocol, phase, left, refused) if left else refused


def _refused(
    network: Network, loss: Loss, protocol: str, phase: str, names: list[str]
) -> dict[str, Diagnostic]:
    found = {}
    for name in names:
        try:
            _built(network, loss, protocol, phase, [name], {})
        except DiagnosticError as fault:
            found[name] = fault.diagnostics[0]
    return found


def _built(
    network: Network,
    loss: Loss,
    protocol: str,
    phase: str,
    names: list[str],
    refused: Mapping[str, Diagnostic],
) -> Built:
    made = _derived(network, loss, protocol, phase, names)
    return Built(made, lower_network(made, changes(names)), refused)


def _derived(network: Network, loss: Loss, protocol: str, phase: str, names: list[str]) -> Network:
    projections = {
        name: replace(p, rule=_bptt(p.rule, loss) if p.rule and name in names else None)
        for name, p in network.projections.items()
    }
    plan = network.protocols[protocol]
    body = tuple(_differentiated(plan.body, phase, tuple(names), iter(range(1_000_000))))
    return replace(
        network,
        projections=projections,
        protocols={protocol: replace(plan, body=body)},
        losses={loss.name: loss},
        readouts={},
        metrics={},
        recorders=(),
        claims=(),
        waivers=(),
    )


def _still(rule: Rule | None) -> Rule:
    assert rule is not None
    return replace(rule, optimiser=_STILL, subtract=(), after=(), bound=None)


def _bptt(rule: Rule, loss: Loss) -> Rule:
    return Rule(
        "bptt",
        rule.projection,
        "update",
        None,
        rule.reduce,
        _STILL,
        loss=loss.name,
        span=rule.span,
        learn_span=rule.learn_span,
    )


def _differentiated(
    steps: Iterable[Step], phase: str, names: tuple[str, ...], count: Iterator[int]
) -> Iterator[Step]:
    """Nothing learns but by an `update` of its own, right after the phase."""
    for step in steps:
        if isinstance(step, RunPhase):
            yield replace(step, learning=frozenset())
            if step.name == phase:
                yield Update(names, f"align.{next(count)}", step.span)
        elif isinstance(step, Each | Repeat):
            yield replace(step, body=tuple(_differentiated(step.body, phase, names, count)))
        elif isinstance(step, Choose):
            then = tuple(_differentiated(step.then, phase, names, count))
            other = tuple(_differentiated(step.otherwise, phase, names, count))
            yield replace(step, then=then, otherwise=other)
        elif not isinstance(step, _OUTSIDE):
            yield step


def phase_of(network: Network, loss: Loss, protocol: str) -> str:
    """The phase that a loss reads, the last of several; of one that reads none, the phase before
    the first `update` or in which rules first learn. Raises RunFault E0873."""
    read = {node.phase for node in walk(loss.value) if isinstance(node, Ref)}
    read |= {node.over_phase for node in walk(loss.value) if isinstance(node, Reduce)}
    read.discard(None)
    steps = list(steps_of(network.protocols[protocol].body))
    run = [step.name for step in steps if isinstance(step, RunPhase)]
    found = [name for name in run if name in read] if read else _learning(steps)
    if not found:
        what = ", ".join(f"`{name}`" for name in sorted(filter(None, read))) or "that it could read"
        raise RunFault(
            "E0873",
            f"the loss reads phase {what}, which protocol `{protocol}` does not run",
            f"its phases are: {', '.join(dict.fromkeys(run)) or 'none'}; `--loss` takes another",
        )
    return found[-1]


def _learning(steps: Iterable[Step]) -> list[str]:
    last: list[str] = []
    for step in steps:
        if isinstance(step, RunPhase):
            last = [step.name]
            if step.learning:
                return last
        elif isinstance(step, Update):
            return last
    return []


def reduction_of(loss: Loss) -> str:
    """`mean` or `sum`: what a loss does with the samples of a batch."""
    value = together(loss.value)
    is_mean = isinstance(value, Reduce) and value.axis == "batch" and value.kind == "mean"
    return "mean" if is_mean else "sum"
