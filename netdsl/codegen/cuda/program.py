"""A step program as one CUDA source: kernels for every operation, and what a routine launches.

Expressions, statements and their fusion are those of the C file (`c_printer`, `c_elementwise`,
`c_synapses`, `c_plan`); the loops' distribution over blocks and threads is in `templates/cuda`.
Equal operations of several routines share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from netdsl.codegen.cuda.emit import emit, update
from netdsl.codegen.cuda.kernels import count, row_list
from netdsl.codegen.cuda.layout import CudaLayout
from netdsl.codegen.cuda.plan import (
    Action,
    Beside,
    Clause,
    Kernel,
    Launch,
    Listing,
    RoutineActions,
)
from netdsl.codegen.cuda.synapses import UpdateActions
from netdsl.codegen.cuda.writer import KernelWriter
from netdsl.codegen.errors import BackendError
from netdsl.codegen.plan.derived import plan_routine
from netdsl.codegen.plan.instructions import Exchange, Instruction, MakeList, MakeSum, MakeTurned
from netdsl.codegen.templates import render
from netdsl.ir.expr import loads
from netdsl.ir.places import expected_edges
from netdsl.ir.program import Program, Routine, SynapseUpdate
from netdsl.ir.roles import parts

_INLINE = "__device__ __forceinline__"
_PARTS = ("once", "before_steps", "step", "after")
_LIBRARY = ("random", "blocks", "products")
_DERIVED = MakeList | MakeSum | MakeTurned


@dataclass(frozen=True)
class CudaUnit:
    """A compilation unit: source, memory, kernels by index and the actions of each routine.

    `start`, `advance` and `finish` keep the counters of a phase; `start` begins at the step that
    `phase.step` holds. `back`: the same of an update, which goes back through a phase in one call.
    """

    source: str
    layout: CudaLayout
    kernels: tuple[Kernel, ...]
    routines: dict[str, RoutineActions]
    start: Action
    advance: Action
    finish: Action
    back: tuple[Action, Action] | None = None  # start, advance


def _draws(program: Program, distribution: str) -> bool:
    """Is something drawn from a distribution?"""
    ops = (op for r in program.routines.values() for op in (*r.once, *r.step, *r.after))
    drawn = (part for op in ops for part in parts(op))
    return any(getattr(part, "distribution", "") == distribution for part in drawn)


def _drawn(program: Program) -> dict[str, bool]:
    return {name: _draws(program, name) for name in ("poisson", "gamma")}


def generate(program: Program, dtype: str, edges: Mapping[str, int] | None = None) -> CudaUnit:
    """The CUDA source of a program; BackendError E0855 for an expression that CUDA cannot say.

    `edges`: how many synapses projections have that store only existing ones, for memory and grids;
    what is expected, if not given. The source is the same.
    """
    real = "float" if dtype == "float32" else "double"
    header = partial(render, "cuda", "header.cu", real=real)
    library = "\n".join(
        [
            render("c", "functions.c", inline=_INLINE),
            render("c", "words.c", inline=_INLINE, **_drawn(program)),
            *(render("cuda", f"{part}.cu", real=real) for part in _LIBRARY),
            render("cuda", "windows.cu") if program.windows else "",
        ]
    )
    layout = CudaLayout.of(program, dtype, header(title="") + library)
    assert isinstance(layout, CudaLayout)
    layout.edge_counts = expected_edges(program) if edges is None else edges
    try:
        title = f"{program.name} in {real}"
        return _Writer(layout).write(header(title=title), library)
    except (KeyError, ValueError) as error:
        raise BackendError(
            "E0855",
            f"the CUDA backend cannot translate `{program.name}`: {error}",
            "use --backend numpy",
        ) from error


class _Writer:
    def __init__(self, layout: CudaLayout) -> None:
        self.program, self.layout = layout.program, layout
        self.kernels = KernelWriter(layout)
        self._made: dict[object, Any] = {}

    def write(self, header: str, library: str) -> CudaUnit:
        step, t = self._counter("phase.step"), self._counter("t")
        start = self.kernels.globals("start phase", [f"{step} -= 1;", f"{t} -= 1;"])
        advance = self.kernels.globals("next step", [f"{step} += 1;", f"{t} += 1;"])
        finish = self.kernels.globals("end of phase", [f"{t} += 1;"])
        back = None
        if any(routine.steps for routine in self.program.routines.values()):
            back = (
                self.kernels.globals("start back", [f"{step} = -1;"]),
                self.kernels.globals("next step back", [f"{step} += 1;"]),
            )
        plans = [self._plan(routine) for routine in self.program.routines.values()]
        # Which lists hold values is known when all operations have been written.
        for plan in plans:
            for instruction in (i for part in plan.values() for i in part):
                if not isinstance(instruction, _DERIVED):
                    self._actions(instruction)
        routines = {
            routine.name: self._routine(routine, parts)
            for routine, parts in zip(self.program.routines.values(), plans, strict=True)
        }
        net = render("c", "net.c", fields=list(self.layout.fields()))
        source = "\n".join([header, net, library, *self.kernels.texts])
        made = tuple(self.kernels.kernels)
        return CudaUnit(source, self.layout, made, routines, start, advance, finish, back)

    def _counter(self, of: str) -> str:
        name = self.program.counter(of)
        if name not in self.program.buffers:
            raise KeyError(f"the program has no counter `{name}`")
        return f"net->{self.layout.names(name)}"

    def _plan(self, routine: Routine) -> dict[str, tuple[Instruction, ...]]:
        """Instructions by part; pointers cannot be exchanged, since graphs hold them."""
        plan = plan_routine(routine, self.layout)
        return {
            part: tuple(i.copy if isinstance(i, Exchange) else i for i in getattr(plan, part))
            for part in _PARTS
        }

    def _routine(
        self, routine: Routine, parts: dict[str, tuple[Instruction, ...]]
    ) -> RoutineActions:
        users: dict[Listing, list[Clause]] = {}
        for instruction in (i for part in parts.values() for i in part):
            if isinstance(instruction, _DERIVED):
                continue
            for action in self._actions(instruction):
                for listing in action.lists:
                    users.setdefault(listing, []).extend(action.when)
        actions = {name: self._sequence(part, users) for name, part in parts.items()}
        clauses = (c for part in actions.values() for action in part for c in action.when)
        tests = tuple(dict.fromkeys(test for clause in clauses for test, _ in clause))
        windows = tuple(dict.fromkeys(window for test in tests for window, _ in test.limits))
        counts: tuple[Action, ...] = ()
        if routine.step:
            counts = tuple(
                self._once((window, "count"), partial(count, window, self.kernels))
                for window in windows
            )
        return RoutineActions(routine.name, **actions, count=counts, tests=tests, windows=windows)

    def _sequence(
        self, instructions: Sequence[Instruction], users: dict[Listing, list[Clause]]
    ) -> tuple[Action, ...]:
        """Actions in order. Successive updates are prepared for together and run beside each other:
        each writes to its own synapses, which none of the others reads, and no list or sum does."""
        out: list[Action] = []
        updates: list[Action] = []
        instructions = _lists_together(instructions)
        for position, instruction in enumerate(instructions):
            if _update_of(instruction):
                if _run_of_updates(instructions, position)[0] is instruction:
                    out += updates
                    updates = []
                    out += self._preparation(instructions, position)
                made = self._actions(instruction)
                updates += [replace(do, beside=Beside.LEARNING) for do in made]
            elif isinstance(instruction, _DERIVED):
                if isinstance(instruction, MakeList):
                    made = self._list(instruction, users)
                else:
                    made = self._actions(instruction)
                out += [replace(do, beside=Beside.DERIVED) for do in made]
            else:
                out += [*updates, *self._actions(instruction)]
                updates = []
        return (*out, *updates)

    def _list(self, need: MakeList, users: dict[Listing, list[Clause]]) -> tuple[Action, ...]:
        """The launch that lists a window, for whichever of the routine's operations use it."""
        when = users.get(Listing(need.window, need.columns))
        if not when:
            return ()
        launch: Launch = self._once(need, lambda: row_list(need, self.kernels))
        return (Action(launch, tuple(dict.fromkeys(when))),)

    def _preparation(
        self, instructions: Sequence[Instruction], position: int
    ) -> tuple[Action, ...]:
        """What one thread does before the run of updates that begins here."""
        run = _run_of_updates(instructions, position)
        lines = []
        for op in run:
            own = self._update(op).prepare
            lines += ["{", *(f"  {line}" for line in own), "}"] if own else []
        if not lines:
            return ()
        label = f"before {run[0].title}" + (f" and {len(run) - 1} more" if run[1:] else "")
        key = ("before", *run)
        return (self._once(key, lambda: self.kernels.globals(label, lines, run[0].span)),)

    def _actions(self, op: Instruction) -> tuple[Action, ...]:
        if update := _update_of(op):
            return self._update(update).actions
        made: tuple[Action, ...] = self._once(op, lambda: emit(op, self.kernels))
        return made

    def _update(self, op: SynapseUpdate) -> UpdateActions:
        made: UpdateActions = self._once(op, lambda: update(op, self.kernels))
        return made

    def _once(self, key: object, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _lists_together(instructions: Sequence[Instruction]) -> list[Instruction]:
    """Lists and sums moved up to others where their buffer has been written by then, so that they
    can run beside each other."""
    out: list[Instruction] = []
    for instruction in instructions:
        place = at = len(out)
        if isinstance(instruction, _DERIVED):
            while at and not instruction.reads & out[at - 1].writes:
                place = at if isinstance(out[at - 1], _DERIVED) else place
                at -= 1
        out.insert(place, instruction)
    return out


def _run_of_updates(
    instructions: Sequence[Instruction], position: int
) -> tuple[SynapseUpdate, ...]:
    """The updates around a position that can be prepared for together: nothing but lists and sums
    stands between them, and none reads a scalar that a later one changes."""
    runs: list[list[SynapseUpdate]] = [[]]
    for instruction in instructions:
        if update := _update_of(instruction):
            changed = {store.buffer for store in update.before}
            if any(changed & _scalars_read(earlier) for earlier in runs[-1]):
                runs.append([])
            runs[-1].append(update)
        elif not isinstance(instruction, _DERIVED):
            runs.append([])
    return tuple(next(run for run in runs if instructions[position] in run))


def _update_of(instruction: Instruction) -> SynapseUpdate | None:
    """An instruction that is a pass over synapses."""
    return instruction if isinstance(instruction, SynapseUpdate) else None


def _scalars_read(op: SynapseUpdate) -> set[str]:
    values = [bind.value for bind in (*op.scalars, *op.statements)]
    values += [p.coefficient for s in op.sums for p in s.products if p.coefficient is not None]
    return {name for value in values for name in loads(value)}
