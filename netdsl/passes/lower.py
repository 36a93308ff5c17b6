"""Lower a network to a step program: every protocol step that needs code becomes a routine."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Expr, Ref, refs
from netdsl.ir.fit import misfits
from netdsl.ir.network import Draw, Kind, Network, Place, Population, Variable
from netdsl.ir.program import (
    Copy,
    DrawStore,
    Elementwise,
    Op,
    Program,
    Routine,
    Statement,
    Store,
    Transpose,
)
from netdsl.ir.protocol import Clamp, RunPhase, SetState, Update
from netdsl.ir.rings import through
from netdsl.ir.roles import reads_of
from netdsl.passes.context import Context, LoweringError
from netdsl.passes.layout import AUTO, edge_layouts, shape_of
from netdsl.passes.learning import Factors, together, update_learning
from netdsl.passes.lines import advance, forget
from netdsl.passes.mask import mask_of
from netdsl.passes.pipeline import LOWER, Record, run_pipeline
from netdsl.passes.pulse import pulse_buffer, pulsed
from netdsl.passes.readout import SETTLE, host_values, read_phases, settled_reads
from netdsl.passes.resolve import Resolver, phase_buffer, variable_buffer
from netdsl.passes.reverse.rules import reference_rules
from netdsl.passes.settle import Settle
from netdsl.passes.sites import Site, learns, sites
from netdsl.passes.step import PhaseBuilder, clamp_ops
from netdsl.passes.windows import shared_kernels, window_notes

_STORED = {
    Kind.PARAM,
    Kind.INPUT,
    Kind.STATE,
    Kind.SPIKE,
    Kind.TRACE,
    Kind.DRAW,
    Kind.MODULATOR,
    Kind.WEIGHT,
    Kind.OPTIMISER,
    Kind.CONTROL,
    Kind.GLOBAL,
    Kind.COUNTER,
}


def lower(
    network: Network,
    *,
    observe: Iterable[str] = (),
    feed: Iterable[str] = (),
    synapses: str = AUTO,
    record: Record | None = None,
) -> Program:
    """The step program of a network.

    `observe`: variables (lets, definitions, modulators), `VARIABLE@PHASE` and `PROJECTION.dw` to
    keep in buffers of their own; a readout's accumulator to fill it in training too. `feed`: random
    variables whose draws the host supplies in `NAME@feed`. `synapses`: how projections that are not
    full are stored, "auto", "edges" or "masked". `record` takes times and programs of the passes.
    Raises LoweringError for what the step program cannot say.
    """
    layouts = edge_layouts(network, synapses)
    started = time.perf_counter()
    program = _Lowering(Context(network, frozenset(observe), frozenset(feed), layouts)).run()
    if record is not None:
        record.note(LOWER, program, time.perf_counter() - started)
    _require_fit(program)
    return run_pipeline(program, record)


def _require_fit(program: Program) -> None:
    """No generated code may read beyond the end of a buffer."""
    for found in misfits(program):
        raise LoweringError(
            "E0341",
            f"`{found.buffer}` is read where `{found.where}` is computed, and has another size",
            found.span,
            "send it through a projection, or reduce it to one number",
        )


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
                self._update(site, site.step)
            elif isinstance(site.step, SetState):
                self._set(site, site.step)
            elif isinstance(site.step, Clamp):
                ops = clamp_ops(self.context, site.step, frozenset(c.target for c in site.clamps))
                self.routines[site.step.site] = Routine(
                    site.step.site, "set", tuple(ops), span=site.step.span
                )
        self._host_reads()
        self._phase_ends()
        self._lines()
        reference_rules(self.context, self.routines)
        for population in self.network.populations.values():
            self._reset(population)
        return self._program()

    # -- buffers ------------------------------------------------------------------------------

    def _declare(self) -> None:
        for name, place in (("phase.step", "counter"), ("t", "counter"), ("batch.rows", "counter")):
            self.context.need(name, Place.GLOBAL, "", place, "counter")
        for variable in self.network.table.values():
            if variable.kind in _STORED:
                variable_buffer(self.context, variable)
        for projection in self.network.projections.values():
            if projection.transpose_of is None:
                mask_of(self.context, projection)
        for projection in self.network.projections.values():
            if projection.connectivity.kind == "one_to_one" and projection.weight is not None:
                held = self.context.buffers[projection.weight]
                self.context.buffers[projection.weight] = replace(
                    held, place=Place.NEURON, owner=projection.post
                )

    def _host_reads(self) -> None:
        for value in host_values(self.network):
            self._need_all(value)
        paths = {ref.path for ref in settled_reads(self.network)}
        if not paths:
            return
        settle = Settle(self.context)
        ops: list[Op] = []
        for path in sorted(paths):
            settle.ops = []
            if self.context.kind(path) is Kind.INPUT:
                held = settle.input(path)
                if held == path:  # nothing feeds it, or a clamp holds it
                    settle.snapshot(path, "settled")
            else:
                settle.snapshot(path, "settled")
            ops += settle.ops
        self.routines[SETTLE] = Routine(SETTLE, "set", tuple(ops))

    def _need_all(self, expr: Expr) -> None:
        for ref in refs(expr):
            variable = self.context.variable(ref.path)
            if variable.kind in _STORED:
                variable_buffer(self.context, variable)

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
        wanted = set(light)
        snapshots = [b.name for b in self.context.buffers.values() if b.role == "snapshot"]
        for name in [*snapshots, *self.context.observe]:
            path, _, phase = name.partition("@")
            if phase in names:
                wanted.add((path, phase))
                if name in self.context.observe:
                    light.add((path, phase))
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

    def _update(self, site: Site, step: Update) -> None:
        clamped = frozenset(c.target for c in site.clamps)
        settle, factors = Settle(self.context, clamped), Factors(self.context)
        ops: list[Op] = []
        for name in step.projections:
            projection = self.network.projections[name]
            if projection.rule is None:
                raise LoweringError(
                    "E0531",
                    f"`update {name}`: the projection has no rule",
                    step.span,
                    f"add `learn RULE(...)` to `{name}` or take it out of the list",
                )
            if projection.rule.loss is None:
                ops += update_learning(self.context, projection, settle, factors)
        self.routines[step.site] = Routine(step.site, "update", together(ops), span=step.span)

    def _set(self, site: Site, step: SetState) -> None:
        variable = self.context.variable(step.target)
        clamped = frozenset(c.target for c in site.clamps)
        if variable.owner in self.network.projections:
            ops = self._set_weight(step, variable)
        else:
            settle = Settle(self.context, clamped)
            value = settle.value(variable.owner, step.value)
            pulse = pulsed(self.context, step.target)
            buffer = pulse_buffer(self.context, step.target) if pulse else None
            target = buffer or variable_buffer(self.context, variable)
            store = Store(target, value, step.span)
            ops = [*settle.ops, Elementwise(variable.owner, (store,), label=f"set {step.target}")]
        self.routines[step.site] = Routine(step.site, "set", tuple(ops), span=step.span)

    def _set_weight(self, step: SetState, variable: Variable) -> list[Op]:
        value = step.value
        target = variable_buffer(self.context, variable)
        if isinstance(value, Apply) and value.function == "transpose":
            source = value.args[0]
            if isinstance(source, Ref):
                return [Transpose(target, source.path, step.span)]
        if isinstance(value, Ref):
            return [Copy(target, value.path, step.span)]
        raise LoweringError(
            "E0831",
            f"`set {step.target}` takes another weight or its transpose",
            step.span,
            "write `set Wc.w := transpose(W.w)`",
        )

    def _reset(self, population: Population) -> None:
        resolver = Resolver(self.context, population.name)
        starts: dict[str, list[Statement]] = {"start": [], "reset": []}
        for variable in population.variables.values():
            if variable.kind in _RESET:
                buffer = variable_buffer(self.context, variable)
                resolver.emit = []
                statement = self._initial(resolver, variable, buffer)
                starts["start" if variable.keep else "reset"] += [*resolver.emit, statement]
        for kind, statements in starts.items():
            ops: list[Op] = [Elementwise(population.name, tuple(statements), label=kind)]
            if kind == "reset":
                ops += forget(self.context, population)
            elif not statements:
                continue
            name = f"{kind}:{population.name}"
            self.routines[name] = Routine(name, kind, tuple(ops), span=population.span)

    def _initial(self, resolver: Resolver, variable: Variable, buffer: str) -> Statement:
        init = variable.init
        if isinstance(init, Draw):
            args = tuple(resolver.resolve(arg) for arg in init.args)
            return DrawStore(buffer, init.distribution, args, init.stream, variable.span)
        value = resolver.resolve(init) if init is not None else Const(0.0)
        return Store(buffer, value, variable.span)

    # -- finishing ----------------------------------------------------------------------------

    def _read_by_host(self) -> set[str]:
        host = set(self.context.observe)
        for value in host_values(self.network):
            host.update(ref.path for ref in refs(value))
        host.update(recorder.variable for recorder in self.network.recorders)
        host.update(b.name for b in self.context.buffers.values() if b.role == "accumulator")
        host.update(f"{ref.path}@settled" for ref in settled_reads(self.network))
        return host

    def _program(self) -> Program:
        kept = self._read_by_host()
        buffers = {
            name: replace(buffer, kept=True) if name in kept else buffer
            for name, buffer in self.context.buffers.items()
        }
        views = self.context.views
        buffers = {name: buffer for name, buffer in buffers.items() if name not in views}
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
        )
        return through(made, views)

    def _noted(self, routine: Routine) -> Routine:
        ops = (*routine.once, *routine.step, *routine.after)
        return replace(routine, notes=(*routine.notes, *window_notes(self.network, ops)))


_RESET = {Kind.STATE, Kind.SPIKE, Kind.TRACE, Kind.DRAW}
