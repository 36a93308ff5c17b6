"""How far a rule's updates point along the true gradient: both, on the same batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Diagnostic, DiagnosticError, suggest
from netdsl.diagnostics.span import Span
from netdsl.frontend import check
from netdsl.ir.network import Loss, Network, Projection
from netdsl.ir.protocol import (
    Checkpoint,
    Each,
    Evaluate,
    Protocol,
    Restore,
    Rewire,
    RunPhase,
    RunProtocol,
    Step,
    Update,
    steps_of,
)
from netdsl.runtime.choosing import runnable
from netdsl.runtime.datasets import Batch, Datasets
from netdsl.runtime.engine import Hooks, Interpreter, Interrupted, Options
from netdsl.runtime.errors import RunFault
from netdsl.runtime.model import Model
from netdsl.runtime.session import Session
from netdsl.tools.alignment import Alignment, Measured, compare
from netdsl.tools.perturb import learns
from netdsl.tools.reference import Built, held, phase_of, reduction_of, reference

if TYPE_CHECKING:
    from netdsl.backends.base import Executor

Array = NDArray[Any]
ASKED = "align_loss"  # what a loss given as an expression is called
_OPTION = "--loss"
_EXPRESSION = 'for example --loss "mean(cross_entropy(softmax(out.o@run), sample.label))"'


def align_model(
    model: Model,
    loss: str | None = None,
    batches: int = 4,
    every: int = 0,
    points: int = 10,
    protocol: str = "train",
) -> Alignment:
    """Compare what each projection would change with the gradient of a loss, weights held fixed.

    `loss`: a name, or an expression (default: the only loss of the spec). The model trains by its
    own rules; `batches` training batches that follow each other are compared at each of `points`
    points, `every` batches apart. Raises RunFault E0870 to E0873, and what running raises.
    """
    model.single("`align`")
    network, chosen = _with_loss(model, loss)
    plan = runnable(model, protocol)
    _require_alone(plan)
    names = _learning(network, protocol)
    _require_batches(plan)
    phase = phase_of(network, chosen, protocol)
    derived = reference(network, chosen, protocol, phase, names)
    refused = _worded(derived.refused if isinstance(derived, Built) else derived)
    measured: list[Measured] = []
    if isinstance(derived, Built):
        left = [name for name in names if name not in refused]
        both = (held(network, left), derived)
        pair = _Pair(model, plan, left, both, reduction_of(chosen))
        measured = pair.run(max(1, batches), every, max(1, points))
        pair.close()
    title = chosen.name if chosen.name != ASKED else str(loss)
    return Alignment(model.network, title, phase, protocol, tuple(names), tuple(measured), refused)


def _with_loss(model: Model, asked: str | None) -> tuple[Network, Loss]:
    """The network, and the loss that is meant. Raises RunFault E0870, E0871."""
    network = model.network
    losses = network.losses
    have = ", ".join(f"`{name}`" for name in losses) or "none"
    if asked is None:
        if not losses:
            help = f"declare `loss E = …`, or say which: {_EXPRESSION}"
            raise RunFault("E0870", "the spec has no loss to take the gradient of", help)
        if len(losses) > 1:
            raise RunFault("E0871", f"the spec has several losses: {have}", "say --loss NAME")
        return network, next(iter(losses.values()))
    if asked in losses:
        return network, losses[asked]
    if asked.isidentifier():
        near = suggest(asked, losses)
        hint = f"did you mean `{near}`?" if near else f"losses are: {have}; or {_EXPRESSION}"
        raise RunFault("E0871", f"the spec has no loss `{asked}`", hint)
    text = f"{network.text}\nloss {ASKED} = {asked}\n"
    checked = check(text, model.overrides, lower=False)
    wrong = [_moved(d, asked) for d in checked.diagnostics if d.severity == "error"]
    if checked.network is None or wrong:
        raise DiagnosticError(*wrong, sources={_OPTION: asked})
    return checked.network, checked.network.losses[ASKED]


def _moved(fault: Diagnostic, asked: str) -> Diagnostic:
    """A fault of the added line, as one of the expression that it holds."""
    at, ahead = fault.primary, len(f"loss {ASKED} = ")
    first, last = (max(1, min(n - ahead, len(asked) + 1)) for n in (at.column, at.end_column))
    message = fault.message.replace(f" in loss `{ASKED}`", "")
    return replace(fault, primary=Span(_OPTION, 1, first, 1, last), message=message)


def _worded(refused: Mapping[str, Diagnostic]) -> dict[str, Diagnostic]:
    """Without the name of a loss that has none."""
    return {
        name: replace(fault, message=fault.message.replace(f"loss `{ASKED}`", "the loss"))
        for name, fault in refused.items()
    }


def _learning(network: Network, protocol: str) -> list[str]:
    """Projections that learn in a protocol. Raises RunFault E0872."""
    found: dict[str, None] = {}
    for step in steps_of(network.protocols[protocol].body):
        if isinstance(step, Update):
            found.update(dict.fromkeys(step.projections))
        elif isinstance(step, RunPhase):
            found.update(dict.fromkeys(network.changing(sorted(step.learning))))
    names = [name for name in network.projections if name in found]
    if not names:
        help = "name projections in an `update` or in a learning phase"
        raise RunFault("E0872", f"nothing learns in protocol `{protocol}`", help)
    return names


def _takes(step: Step) -> bool:
    """Whether a loop presents batches from which something learns, and holds no other that does."""
    if not isinstance(step, Each) or step.of is None or not learns(step.body):
        return False
    return not any(isinstance(inner, Each) and inner.of for inner in steps_of(step.body))


def _loops(plan: Protocol) -> list[Each]:
    """A protocol's loops over data, in order of the text."""
    return [step for step in steps_of(plan.body) if isinstance(step, Each) and step.of is not None]


def _require_alone(plan: Protocol) -> None:
    """Raises RunFault E0874 where a protocol runs others."""
    others = [step.protocol for step in steps_of(plan.body) if isinstance(step, RunProtocol)]
    if others:
        raise RunFault(
            "E0874",
            f"protocol `{plan.name}` runs `{others[0]}` before its own batches",
            f"name one protocol: `--protocol {others[0]}`",
        )


def _require_batches(plan: Protocol) -> None:
    """Raises RunFault E0874 where nothing learns from batches of data."""
    if not any(_takes(step) for step in steps_of(plan.body)):
        raise RunFault(
            "E0874",
            f"protocol `{plan.name}` has no loop over batches in which something learns",
            "put what learns into `each batch of DATA.train { … }`",
        )


class _Probe(Interpreter):
    """Runs batches on a session of its own, and adds up what each projection would change."""

    def __init__(self, session: Session, datasets: Datasets, names: Iterable[str]) -> None:
        super().__init__(session, datasets)
        self.names = tuple(names)
        self.sums: dict[str, Array] = {}
        self.phase = self._stepwise

    def follow(self, other: Interpreter, pairs: Mapping[str, str]) -> None:
        """Take over weights, states, draws and clamps of another run; `pairs`: buffers by that
        run's names."""
        source, own = other.session, self.session
        lasting = source.lasting()
        own.restore({pairs[n]: v for n, v in lasting.items() if n in pairs}, source.keys)
        own.started = source.started
        own.draws, own.memories = dict(source.draws), dict(source.memories)
        for path, value in source.host.items():
            own.set_host(path, value)
        self.clamps, self.splits = dict(other.clamps), other.splits
        self.call, self.counter = other.call, other.counter

    def measure(self, protocol: str, loop: int, batch: Batch) -> dict[str, Array]:
        """What each projection would change in this batch, by name: those that came to learn.
        `loop`: which of the protocol's loops over data presents it."""
        self.sums = {}
        step = _loops(self.session.network.protocols[protocol])[loop]
        self.loop, self.batch = step, batch
        self.session.load(batch.fields, batch.keys, batch.index, self.epoch)
        self.block(step.body)
        return self.sums

    def update(self, step: Update) -> None:
        super().update(step)
        self._gather(step.projections)

    def _stepwise(self, step: RunPhase, steps: int) -> None:
        network, executor = self.session.network, self.session.executor
        names = network.changing(sorted(step.learning)) & set(self.names)
        if not names or not steps:
            self.call_phase(step, steps)
            return
        for index in range(steps):
            executor.call(step.site, steps, index, index + 1 if index + 1 < steps else None)
            self._gather(names)

    def _gather(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.names:
                change = self.session.read(f"{name}.dw").astype(np.float64)
                self.sums[name] = self.sums[name] + change if name in self.sums else change

    def rewire(self, step: Rewire) -> None:
        """Synapses stay."""

    def evaluate(self, step: Evaluate) -> None:
        """Left out."""

    def checkpoint(self, step: Checkpoint) -> None:
        """Left out."""

    def restore(self, step: Restore) -> None:
        """Weights stay."""


class _Pair:
    """The updates and the gradient, beside the run that trains."""

    def __init__(
        self, model: Model, plan: Protocol, names: list[str], built: tuple[Built, Built],
        reduction: str,
    ) -> None:  # fmt: skip
        model.reserve()
        self.model, self.plan, self.names, self.reduction = model, plan, names, reduction
        self.models = [_beside(model, one) for one in built]
        self.probes = [_Probe(m.session, model.datasets, names) for m in self.models]
        self.pairs = [_same(model.session, probe.session) for probe in self.probes]

    def run(self, batches: int, every: int, points: int) -> list[Measured]:
        """Train, comparing some batches at each point."""
        trainer = _Trainer(self, batches, every, points)
        try:
            trainer.run(self.plan)
        except Interrupted:
            pass
        return trainer.found

    def measure(self, trainer: Interpreter, start: int, step: Each, batch: Batch) -> Measured:
        """One batch, from where the training run is."""
        found = []
        loop = next(n for n, one in enumerate(_loops(self.plan)) if one is step)
        for probe, pairs in zip(self.probes, self.pairs, strict=True):
            probe.follow(trainer, pairs)
            found.append(probe.measure(self.plan.name, loop, batch))
        updates, gradients = found
        points = {}
        for name in self.names:
            if name in updates and name in gradients:
                rows = self.probes[0].session.rows  # slots of a replay, or the batch
                share = self._share(self.model.network.projections[name], rows)
                there = self._present(name)
                points[name] = compare(updates[name][there], share * gradients[name][there])
        return Measured(trainer.place.batches, start, points)

    def _share(self, projection: Projection, rows: int) -> float:
        """By what the gradient is to be multiplied, to be reduced over the batch as the rule is."""
        rule = projection.rule
        assert rule is not None
        if rule.loss is not None or rule.reduce == self.reduction:
            return 1.0
        return float(rows) if rule.reduce == "sum" else 1.0 / rows

    def _present(self, name: str) -> Array:
        """Where a projection has synapses that act."""
        session = self.model.session
        projection = session.network.projections[name]
        assert projection.weight is not None
        weight = session.read(projection.weight)
        there = weight > 0 if projection.sign is not None else np.ones(weight.shape, bool)
        mask = session.program.find(f"{name}.mask")
        return there if mask is None else there & (session.executor.read(mask) != 0)

    def close(self) -> None:
        """Give back what the two sessions hold."""
        for model in self.models:
            model.close()


class _Trainer(Interpreter):
    """Trains by the spec's own rules, and has batches compared before it learns from them."""

    def __init__(self, pair: _Pair, batches: int, every: int, points: int) -> None:
        super().__init__(pair.model.session, pair.model.datasets, Hooks(), Options())
        self.pair, self.found = pair, list[Measured]()
        starts = range(0, points * every, every) if every else (0,)
        self.wanted = {start + index: start for start in starts for index in range(batches)}

    def run_batch(self, step: Each, batch: Batch) -> None:
        if _takes(step):
            done = self.place.batches
            if done in self.wanted:
                self.found.append(self.pair.measure(self, self.wanted[done], step, batch))
            if done >= max(self.wanted):
                raise Interrupted
        super().run_batch(step, batch)


def _beside(model: Model, built: Built) -> Model:
    """A model of another program with the data, draws and backend of this one."""
    network = replace(built.network, arrays={})  # read already
    program = replace(built.program, given=model.program.given)
    return Model(
        network, program, model.backend, model.seed, model.dtype, model.rows, options=model.options
    )


def _same(one: Session, other: Session) -> dict[str, str]:
    """Buffers of two sessions that hold the same value of the same variable."""
    found = {}
    for name, buffer in one.program.buffers.items():
        if buffer.key is None:
            continue
        twin = other.program.find(*buffer.key)
        if twin is not None and _shape(one.executor, name) == _shape(other.executor, twin):
            found[name] = twin
    return found


def _shape(executor: Executor, name: str) -> tuple[int, ...]:
    return tuple(executor.read(name).shape)
