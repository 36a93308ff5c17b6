"""Lower a network to a step program: every protocol step that needs code becomes a routine."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Const, Expr
from netdsl.ir.fit import misfits
from netdsl.ir.network import Network, Place
from netdsl.ir.program import (
    PHASE,
    Op,
    Program,
    Routine,
)
from netdsl.ir.protocol import Clamp, Push, RunPhase, SetState, Update
from netdsl.ir.rings import through
from netdsl.ir.roles import reads_of
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.assignments import clamp_ops, set_routine
from netdsl.passes.lower.context import STORED, Context
from netdsl.passes.lower.form import forms
from netdsl.passes.lower.host import read_by_host, settle_routine
from netdsl.passes.lower.late import late
from netdsl.passes.lower.layout import AUTO, edge_layouts, shape_of
from netdsl.passes.lower.lines import advance
from netdsl.passes.lower.mask import mask_of
from netdsl.passes.lower.pushes import push_routine
from netdsl.passes.lower.readout import read_phases
from netdsl.passes.lower.resets import reset_routines
from netdsl.passes.lower.resolve import phase_buffer, variable_buffer
from netdsl.passes.lower.settle import Settle
from netdsl.passes.lower.sites import Site, learns, sites
from netdsl.passes.lower.step import PhaseBuilder
from netdsl.passes.lower.tables import with_tables
from netdsl.passes.lower.updates import update_routine
from netdsl.passes.lower.windows import shared_kernels, window_notes


def lowered(
    network: Network,
    observe: frozenset[str] = frozenset(),
    feed: frozenset[str] = frozenset(),
    synapses: str = AUTO,
    form: str = AUTO,
    keep: str = AUTO,
) -> Program:
    """The network becomes a program: one routine for each step of a protocol."""
    layouts = edge_layouts(network, synapses)
    context = Context(network, observe, feed, layouts)
    context.forms, context.keep = forms(context, form), keep
    program = _Lowering(context).run()
    for found in misfits(program):  # no generated code may read beyond the end of a buffer
        raise LoweringError(
            "E0341",
            f"`{found.buffer}` is read where `{found.where}` is computed, and has another size",
            found.span,
            "send it through a projection, or reduce it to one number",
        )
    return program


class _Lowering:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.network = context.network
        self.routines: dict[str, Routine] = {}
        self.fixed: dict[str, frozenset[str]] = {}
        self.moving_clamps: dict[str, list[Op]] = {}
        self.cell_phases: set[tuple[str, str]] = set()

    def run(self) -> Program:
        self._declare()
        for site in sites(self.network):
            if isinstance(site.step, RunPhase):
                self._phase(site, site.step)
        for site in sites(self.network):
            if isinstance(site.step, Update):
                self._add(update_routine(self.context, site, site.step))
            elif isinstance(site.step, SetState):
                self._add(set_routine(self.context, site, site.step))
            elif isinstance(site.step, Push):
                self._add(push_routine(self.context, site, site.step))
            elif isinstance(site.step, Clamp):
                ops = clamp_ops(self.context, site.step, frozenset(c.target for c in site.clamps))
                self._add(Routine(site.step.site, "set", tuple(ops), span=site.step.span))
        self._add(settle_routine(self.context))
        self._phase_ends()
        self._lines()
        self.routines = with_tables(self.context, self.routines)
        self._sweeps()
        for population in self.network.populations.values():
            for routine in reset_routines(self.context, population):
                self._add(routine)
        return self._program()

    def _sweeps(self) -> None:
        rules = (p.rule for p in self.network.projections.values() if p.rule is not None)
        if self.context.transposed or any(rule.loss is not None for rule in rules):
            from netdsl.passes.reverse.rules import reference_rules  # few networks need it

            reference_rules(self.context, self.routines)

    def _add(self, routine: Routine | None) -> None:
        if routine is not None:
            self.routines[routine.name] = routine

    # -- buffers ------------------------------------------------------------------------------

    def _declare(self) -> None:
        for name in ("phase.step", "t", "batch.rows"):
            self.context.need(name, Place.GLOBAL, "", "counter", "counter", tag="")
        for variable in self.network.table.values():
            if variable.place is Place.ROW_SYNAPSE and variable.owner in self.context.transposed:
                continue
            if variable.kind in STORED:
                variable_buffer(self.context, variable)
        for projection in self.network.projections.values():
            if projection.carrier is None:
                mask_of(self.context, projection)
        for projection in self.network.projections.values():
            if projection.connectivity.kind == "one_to_one" and projection.weight is not None:
                name = variable_buffer(self.context, self.context.variable(projection.weight))
                self.context.buffers[name] = replace(
                    self.context.buffers[name], place=Place.NEURON, owner=projection.post
                )

    # -- routines -----------------------------------------------------------------------------

    def _phase(self, site: Site, phase: RunPhase) -> None:
        builder = PhaseBuilder(self.context, site, phase)
        self.routines[phase.site] = builder.build()
        self.fixed[phase.site] = frozenset(builder.fixed_inputs)
        self.moving_clamps[phase.site] = builder.moving_clamps
        self.cell_phases |= builder.phases

    def _phase_ends(self) -> None:
        """`x@phase` reads of rules, cells and the host: stored when a phase of that name ends."""
        names = {r.phase for r in self.routines.values() if r.kind == "phase"}
        light = read_phases(self.network) | self.cell_phases  # what does not serve rules only
        wanted: set[tuple[str, str]] = set()
        snapshots = [b.key for b in self.context.buffers.values() if b.role == "snapshot"]
        for phase in names:
            tag, observed = PHASE + phase, self.context.observed
            wanted |= {(k.of, phase) for k in (*snapshots, *observed) if k and k.tag == tag}
            light |= {(key.of, phase) for key in observed if key.tag == tag}
        wanted |= light
        for site in sites(self.network):
            if isinstance(site.step, RunPhase):
                here = wanted if learns(self.network, site.protocol) else wanted & light
                self._phase_end(site, site.step, here)

    def _phase_end(self, site: Site, phase: RunPhase, wanted: set[tuple[str, str]]) -> None:
        clamped = frozenset(c.target for c in site.clamps)
        settle = Settle(self.context, clamped, {p: p for p in self.fixed[phase.site]})
        for path, name in sorted(wanted):
            if name == phase.name:
                phase_buffer(self.context, self.context.variable(path), name)
                settle.snapshot(path, name)
        routine = self.routines[phase.site]
        self.routines[phase.site] = replace(routine, after=(*settle.ops, *routine.after))

    def _lines(self) -> None:
        """Begin every step with what a clamp binds, then with the values of the step before.

        Lines of two steps and more advance in every phase, whoever reads them.
        """
        between = reads_of(op for r in self.routines.values() for op in (*r.once, *r.after))
        for name, clamps in self.moving_clamps.items():
            step = self.routines[name].step
            read = reads_of(step) | between
            start = (*clamps, *advance(self.context, read))
            step = (*start, *step, *advance(self.context, read, counters=True))
            self.routines[name] = replace(self.routines[name], step=step)

    # -- finishing ----------------------------------------------------------------------------

    def _program(self) -> Program:
        kept = read_by_host(self.context)
        buffers = {
            name: replace(buffer, kept=True)
            if buffer.key in kept or buffer.role == "accumulator"
            else buffer
            for name, buffer in self.context.buffers.items()
            if name not in self.context.views
        }
        routines = {name: self._noted(routine) for name, routine in self.routines.items()}
        shapes = {p.name: shape_of(self.network, p) for p in self.network.projections.values()}
        windows = shared_kernels(self.network)
        shapes |= {name: found.shape for name, found in windows.items()}
        made = Program(
            self.network.name,
            {name: p.size for name, p in self.network.populations.items()},
            shapes,
            buffers,
            routines,
            layouts={**self.context.layouts, **windows},
            slices={
                name: (p.pre_slice, p.post_slice)
                for name, p in self.network.projections.items()
                if p.pre_slice or p.post_slice
            },
            host_scalars=self.context.host_scalars,
            ends={p.name: (p.pre, p.post) for p in self.network.projections.values()},
            sources={self.network.source: self.network.text},
            memories={m.name: m.size for m in self.network.memories.values() if m.kind == "window"},
        )
        runs = {
            site.step.site
            for site in sites(self.network)
            if isinstance(site.step, RunPhase) and _runs(site.step.steps)
        }
        return late(through(made, self.context.views), runs)

    def _noted(self, routine: Routine) -> Routine:
        ops = routine.ops
        return replace(routine, notes=(*routine.notes, *window_notes(self.network, ops)))


def _runs(steps: Expr) -> bool:
    """Is it known that there is a step?"""
    return isinstance(steps, Const) and steps.value >= 1
