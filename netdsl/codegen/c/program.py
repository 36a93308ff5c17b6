"""A step program as one C file: one function per operation, one per routine.

Equal operations of several routines share a function. `Unit` carries what the executor must know
to allocate and call: the fields of `struct net`, entry points and the label of each statistic.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.codegen.c.emit import derived_code, emit
from netdsl.codegen.comments import spec_line
from netdsl.codegen.errors import BackendError
from netdsl.codegen.plan.derived import RoutinePlan, plan_routine
from netdsl.codegen.plan.fusion import list_in_cells
from netdsl.codegen.plan.instructions import Gather, Instruction, ListedCells, MakeList
from netdsl.codegen.plan.layout import Layout
from netdsl.codegen.plan.light import keep_lists, store_late
from netdsl.codegen.templates import render
from netdsl.ir.program import Program

PARTS = ("functions", "random", "lists", "products", "outer", "edges", "windows", "bits", "chunk")


ALL_DRAWS = (True, True, True)  # are normal draws made, Poisson counts, and gamma draws


@dataclass(frozen=True)
class Operation:
    """One generated function: its kind (the template), name, label and the instruction."""

    kind: str
    name: str
    label: str
    instruction: Instruction


@dataclass(frozen=True)
class Unit:
    """A compilation unit: source text, layout, operations by statistic index, entry points."""

    source: str
    layout: Layout
    operations: tuple[Operation, ...]
    routines: dict[str, str]
    plans: tuple[RoutinePlan, ...]


def generate(program: Program, dtype: str, *, profile: bool = False) -> Unit:
    """The C file of a program; BackendError E0816 for an expression that C cannot say."""
    reserved = "".join(_shared(part, profile, ALL_DRAWS, "float") for part in ("header", *PARTS))
    layout = Layout.of(program, dtype, reserved)
    try:
        return _Writer(layout, profile).write()
    except (KeyError, ValueError) as error:
        raise BackendError(
            "E0816",
            f"the native backend cannot translate `{program.name}`: {error}",
            "use --backend numpy",
        ) from error


def _shared(
    part: str,
    profile: bool,
    draws: tuple[bool, bool, bool],
    real: str,
    title: str = "",
    most_sources: int = 1,
) -> str:
    single = real == "float"
    return render(
        "c",
        f"{part}.c",
        profile=profile,
        normal=draws[0],
        poisson=draws[1],
        gamma=draws[2],
        real=real,
        title=title,
        lanes=16 if single else 8,
        ps="ps" if single else "pd",
        most_sources=most_sources,
    )


class _Writer:
    def __init__(self, layout: Layout, profile: bool) -> None:
        self.program, self.layout, self.profile = layout.program, layout, profile
        self.operations: dict[Instruction, Operation] = {}
        self.texts: list[str] = []
        self.routines: dict[str, str] = {}

    def write(self) -> Unit:
        routines = self.program.routines.values()
        listed = [list_in_cells(plan_routine(r, self.layout, grouped=True)) for r in routines]
        light = (keep_lists(plan, self.layout) for plan in listed)
        plans = tuple(store_late(plan, self.layout) for plan in light)
        for plan in plans:
            self._routine(plan)
        title = f"{self.program.name} in {self.layout.real}"
        head = self._part("header", title=title)
        net = render("c", "net.c", fields=list(self.layout.fields()))
        shared = [self._part(part) for part in PARTS]
        # struct list stands in struct net, and products read struct net.
        functions, random, lists, products, outer, edges, windows, bits, chunk = shared
        source = "".join(
            [
                head,
                functions,
                "\n",
                random if self._draws() else "",
                "\n",
                lists,
                "\n",
                net,
                products,
                outer,
                edges if self.layout.edges else "",
                windows if self.program.windows else "",
                bits if any(b.packed for b in self.program.buffers.values()) else "",
                self._part("profile"),
                *self.texts,
                chunk,
            ]
        )
        operations = tuple(self.operations.values())
        return Unit(source, self.layout, operations, self.routines, plans)

    def _part(self, part: str, title: str = "") -> str:
        draws = (self.layout.normals > 0, self.layout.poisson, self.layout.gamma)
        return _shared(part, self.profile, draws, self.layout.real, title, self.layout.most_sources)

    def _draws(self) -> bool:
        return self.layout.words > 0

    def _routine(self, plan: RoutinePlan) -> None:
        calls = {
            part: [self._call(instruction) for instruction in getattr(plan, part)]
            for part in ("once", "before_steps", "step", "after")
        }
        used = {i for part in (plan.once, plan.before_steps, plan.step, plan.after) for i in part}
        lists = [
            self.layout.lists[i.window].name
            for i in used
            if isinstance(i, MakeList) and not i.columns
        ]
        lists += [
            self.layout.lists[window].name
            for i in used
            if isinstance(i, ListedCells)
            for window in i.windows
        ]
        members = {m for i in used if isinstance(i, Gather) for m in i.members}
        gathering = [n for n, i in enumerate(self.operations) if i in members]
        routine = plan.routine
        name = f"routine_{self.layout.names.fresh(routine.name)}"
        self.routines[routine.name] = name
        label = f"{routine.kind} {routine.phase or routine.name}"
        line = spec_line(routine.span, self.program.sources)
        label = f"{label}: {line}" if line else label
        self.texts.append(
            render(
                "c",
                "routine.c",
                name=name,
                label=label,
                phase_step=self._counter("phase.step"),
                step_counter=self._counter("t"),
                back=routine.steps,
                lists=sorted(set(lists)),
                gathering=gathering,
                light=[derived_code(MakeList(w), self.layout) for w in plan.light],
                **calls,
            )
        )

    def _counter(self, of: str) -> str:
        name = self.program.counter(of)
        if name not in self.program.buffers:
            raise KeyError(f"the program has no counter `{name}`")
        return self.layout.names(name)

    def _call(self, instruction: Instruction) -> str:
        operation = self.operations.get(instruction)
        if operation is None:
            operation = self._operation(instruction)
        index = list(self.operations).index(instruction)
        return f"RUN({index}, {operation.name});"

    def _operation(self, instruction: Instruction) -> Operation:
        index, label = len(self.operations), instruction.title
        emitted = emit(instruction, self.layout, index)
        name = self.layout.names.fresh(f"{emitted.kind} {label}")
        line = spec_line(getattr(instruction, "span", None), self.program.sources)
        operation = Operation(emitted.kind, name, label, instruction)
        self.operations[instruction] = operation
        for member in instruction.members if isinstance(instruction, Gather) else ():
            self.operations[member] = Operation("propagate", "", member.title, member)
        self.texts.append(
            render(
                "c",
                f"{emitted.kind}.c",
                name=name,
                index=index,
                code=emitted.code,
                label=f"{label}: {line}" if line else label,
                step_counter=self._counter("t"),
            )
        )
        return operation
