"""`learn bptt(loss = E)`: from an `update` to sweeps through the phase before it.

The phase before the `update` is the tape. The sweep forms the change of each weight, and the
ordinary pass over its synapses applies it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from netdsl.ir.algebra.factor import times
from netdsl.ir.expr import NOW, Apply, Const, Expr, Load, Reduce, refs
from netdsl.ir.network import Loss, Place, Projection, Spike
from netdsl.ir.program import Elementwise, Op, Product, Routine, Store
from netdsl.ir.protocol import RunPhase, Update
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context, add
from netdsl.passes.lower.learning import UpdateBuilder
from netdsl.passes.lower.readout import accumulator_key, population_of
from netdsl.passes.lower.resolve import Resolver
from netdsl.passes.lower.settle import Settle
from netdsl.passes.lower.sites import Site, sites
from netdsl.passes.lower.synapse import Factors
from netdsl.passes.reverse import losses
from netdsl.passes.reverse.activity import active, delivered
from netdsl.passes.reverse.adjoints import Adjoints
from netdsl.passes.reverse.chunks import choose
from netdsl.passes.reverse.meanwhile import first_change, refuse_changes
from netdsl.passes.reverse.online import OnlineChange, without_imagined
from netdsl.passes.reverse.sweep import Sweep
from netdsl.passes.reverse.tape import Tape, changes_weights, runs


def reference_rules(context: Context, routines: dict[str, Routine]) -> None:
    """Give the `update`s of a program the sweeps of their `bptt` rules, and the phases before them
    what keeps the past for these."""
    tapes: dict[str, Tape] = {}
    for site in sites(context.network):
        if isinstance(site.step, Update):
            rules = _by_loss(context, site.step)
            online = [n for n in site.step.projections if n in context.transposed]
            if rules or online:
                routine = routines[site.step.site]
                routines[site.step.site] = _swept(
                    context, site, rules, online, routine, tapes, routines
                )
    updates = (routine for routine in routines.values() if routine.kind == "update")
    sweeps = [op for r in updates for op in (*r.once, *r.step, *r.after)]
    for name, tape in tapes.items():
        through = [site for site in sites(context.network) if _through(site, routines) == name]

        def changed(ops: Iterable[Op], through: list[Site] = through) -> str:
            found = (first_change(context, s, ops, routines) for s in through)
            return next((held.of or held.owner or held.name for _, held in filter(None, found)), "")

        back = [routines[site.step.site] for site in through]
        whole = tape.recorded(sweeps)
        routines.update(choose(context, tape, back, whole, changed, through[0].step.span))
        routines[name] = without_imagined(context, routines[name])


def _through(site: Site, routines: dict[str, Routine]) -> str:
    """The phase that an `update` goes back through, if it does."""
    return routines[site.step.site].through if isinstance(site.step, Update) else ""


def _by_loss(context: Context, step: Update) -> dict[str, list[Projection]]:
    found: dict[str, list[Projection]] = {}
    for name in step.projections:
        projection = context.network.projections[name]
        if projection.rule is not None and projection.rule.loss is not None:
            found.setdefault(projection.rule.loss, []).append(projection)
    return found


def _swept(
    context: Context,
    site: Site,
    rules: dict[str, list[Projection]],
    online: list[str],
    update: Routine,
    tapes: dict[str, Tape],
    routines: dict[str, Routine],
) -> Routine:
    """The routine of an `update` with its sweeps: what runs once, the reversed steps, the rest."""
    waiting = [context.network.projections[name] for name in online]
    first = (waiting or next(iter(rules.values())))[0]
    phase, steps = _phase(site, first)
    if phase.site not in tapes:
        tapes[phase.site] = Tape(context, routines[phase.site], steps)
    tape = tapes[phase.site]
    once = [op for op in update.once if not changes_weights(op)]
    learn = [op for op in update.once if changes_weights(op)]
    step: list[Op] = []
    after: list[Op] = []
    reads: list[Op] = []
    changes: list[tuple[Gradient | OnlineChange, list[Projection]]] = []
    alone = len(rules) + bool(waiting) == 1
    for number, (name, projections) in enumerate(rules.items()):
        gradient = Gradient(context, tape, projections, number, phase)
        gradient.sweep(context.network.losses[name], alone)
        changes.append((gradient, projections))
    if waiting:
        settle = Settle(context, frozenset(clamp.target for clamp in site.clamps))
        recursions = OnlineChange(context, tape, waiting, len(rules), settle)
        recursions.sweep(alone)
        changes.append((recursions, waiting))
    for change, projections in changes:
        sweep = change.result
        steps = tape.steps - sweep.ahead
        once += sweep.once
        step += sweep.step
        after += sweep.after
        left = (product for products in sweep.products.values() for product in products)
        swept = (*sweep.once, *sweep.step, *sweep.after, *left)
        refuse_changes(context, site, swept, routines)
        for projection in projections:
            *factors, learning = change.update(projection)
            reads += factors
            learn.append(learning)
    last = (*after, *reads, *learn)
    update = replace(update, through=phase.site, whole=tape.steps, fresh=bool(waiting))
    if not step:
        return replace(update, once=(*once, *last))
    return replace(update, once=tuple(once), step=tuple(step), after=last, steps=steps)


def _phase(site: Site, projection: Projection) -> tuple[RunPhase, int]:
    """The phase to differentiate, and how many steps it runs."""
    phase = site.previous
    span = projection.rule.learn_span if projection.rule else site.step.span
    if phase is None:
        raise LoweringError(
            "E0508",
            "`bptt` has no phase to differentiate before this `update`",
            site.step.span,
            "run the phase that computes the loss in the same block",
        )
    if not isinstance(phase.steps, Const):
        raise LoweringError(
            "E0806",
            f"`bptt` cannot differentiate phase `{phase.name}`: how long it runs is known only "
            "when it runs",
            span,
            "give the phase a number of steps that does not change",
        )
    return phase, int(phase.steps.value)


@dataclass
class Gradient:
    """The change of the weights that learn by one loss."""

    context: Context
    tape: Tape
    projections: list[Projection]
    number: int
    phase: RunPhase

    def sweep(self, loss: Loss, alone: bool) -> Sweep:
        """The sweep from a loss; if not `alone`, all steps are in its loop, which others share.

        Raises LoweringError E0807 where it reaches no weight, E0856 where a spike is why.
        """
        names = [p.weight for p in self.projections if p.weight is not None]
        signed = [p.weight for p in self.projections if p.weight is not None and p.sign is not None]
        self.through = delivered(self.tape.ops, names, signed)
        adjoints = Adjoints(self.context, self.number)
        self.shared: list[Op] = []
        per_row, seed, forward = self._loss(loss)
        moving = active((*self.tape.ops, *forward), self.through)
        self.result = Sweep(self.tape, adjoints, moving, set(self.through))
        if not alone:
            self.result.most = 0
        self.result.once += forward[:-1]
        name = adjoints.name(per_row)
        owner = self.context.buffers[per_row].owner
        self.result.once += [forward[-1], Elementwise(owner, (Store(name, seed),))]
        adjoints.live.add((per_row, 0))
        self.result.run(tuple(runs(forward)))
        for projection in self.projections:
            if not self._products(projection) and self._total(projection) is None:
                self._stopped(loss, projection, moving)
                raise _unreached(loss, projection, self.phase)
        return self.result

    def _stopped(self, loss: Loss, projection: Projection, moving: set[str]) -> None:
        """Raises LoweringError E0856 where the derivative ends at a spike that has none."""
        moved = {self.context.buffers[name].of for name in moving if name in self.context.buffers}
        for population in self.context.network.populations.values():
            for each in population.body:
                if isinstance(each, Spike) and each.surrogate is None and each.target in moved:
                    raise _cut(loss, projection, each)

    def _loss(self, loss: Loss) -> tuple[str, Expr, list[Op]]:
        """Where the loss of a sample is stored, its share of the loss, and what computes it."""
        value, seed = losses.together(loss.value), Const(1.0)
        share: Expr = seed
        if isinstance(value, Reduce) and value.axis == "batch":
            if value.kind == "mean":
                self.context.need("batch.rows", Place.GLOBAL, "", "counter", "samples present")
                share = Apply("div", (seed, Load("batch.rows")))
            value = value.body
        population = population_of(self.context, value)
        resolver = Resolver(self.context, population)
        forward, value = losses.elsewhere(self.context, population, value, self._summed)
        resolved = resolver.resolve(value)
        hint = f"{population}.{loss.name}"
        per_row = self.context.scratch(hint, Place.ROW, population, "loss of a sample")
        if resolver.emit:
            forward.append(Elementwise(population, tuple(resolver.emit), label=f"loss {loss.name}"))
        forward.append(Elementwise(population, (Store(per_row, resolved, loss.span),)))
        return per_row, share, [*self.shared, *forward]

    def _summed(self, node: Expr) -> Expr | None:
        """What a phase added up over its steps, and what a loss reduces over the batch within."""
        if isinstance(node, Reduce) and node.over_phase is not None:
            key = accumulator_key(self.context.network, node)
            return Load(self.context.named[key], node.span)
        if isinstance(node, Reduce) and node.axis == losses.SHARED:
            ops, value = losses.shared(self.context, node, self._summed)
            self.shared += ops
            return value
        return None

    def _products(self, projection: Projection) -> tuple[Product, ...]:
        """Products that make up the change, of what was delivered through and of the weight."""
        found: list[Product] = []
        for buffer, (weight, slope) in self.through.items():
            if weight == projection.weight:
                found += [
                    replace(p, coefficient=times(p.coefficient, slope))
                    for p in self.result.products.get(buffer, ())
                ]
        return tuple(found)

    def _total(self, projection: Projection) -> Expr | None:
        """The change that was added up over steps."""
        sum_: Expr | None = None
        for buffer, (weight, slope) in self.through.items():
            if weight == projection.weight and buffer in self.result.totals:
                part = times(Load(self.result.totals[buffer]), slope)
                assert part is not None
                sum_ = part if sum_ is None else add(sum_, part)
        return sum_

    def update(self, projection: Projection) -> list[Op]:
        """The learning pass of one projection, with the derived gradient."""
        assert projection.rule is not None

        def read(population: str, expr: Expr, delay: int) -> tuple[list[Op], Expr]:
            return [], Resolver(self.context, population).resolve(expr)

        builder = UpdateBuilder(
            self.context, projection, projection.rule, read, Factors(self.context)
        )
        return builder.build(self._products(projection), self._total(projection))


def _cut(loss: Loss, projection: Projection, spike: Spike) -> LoweringError:
    return LoweringError(
        "E0856",
        f"no derivative of `{loss.name}` reaches `{projection.name}`: the spike `{spike.target}` "
        "has none to hand on",
        spike.span or projection.span,
        "give it one: `spike … { surrogate triangle() }`",
    )


def _unreached(loss: Loss, projection: Projection, phase: RunPhase) -> LoweringError:
    rule = projection.rule
    present = [ref.path for ref in refs(loss.value) if ref.time == NOW]
    now = [path for path in present if not path.startswith("sample.")]
    way_out = (
        f"read `{now[0]}@{phase.name}` in the loss: what that phase ends with"
        if now
        else "let the loss read what the projection drives, or run the phase for longer"
    )
    return LoweringError(
        "E0807",
        f"loss `{loss.name}` does not depend on `{projection.name}` in phase `{phase.name}`",
        rule.learn_span if rule else projection.span,
        way_out,
    )
