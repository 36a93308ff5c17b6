"""A step program as one C file: one function per operation, one per routine.

Equal operations of several routines share a function. `Unit` carries what the executor must know
to allocate and call: the fields of `struct net`, entry points and the label of each statistic.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.codegen.c.edges import edge_update
from netdsl.codegen.c.elementwise import elementwise
from netdsl.codegen.c.rings import aim, push, view_line
from netdsl.codegen.c.synapses import gather, propagate, synapse_update
from netdsl.codegen.c.windows import propagate_windows, window_sum
from netdsl.codegen.comments import spec_line
from netdsl.codegen.errors import BackendError
from netdsl.codegen.plan.derived import (
    Aim,
    Exchange,
    Gather,
    Instruction,
    ListedCells,
    MakeList,
    MakeSum,
    Pushed,
    RoutinePlan,
    plan_routine,
)
from netdsl.codegen.plan.fusion import list_in_cells
from netdsl.codegen.plan.layout import Layout
from netdsl.codegen.plan.light import keep_lists, store_late
from netdsl.codegen.templates import render
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Copy,
    Elementwise,
    Fill,
    GroupReduce,
    Program,
    Propagate,
    SynapseUpdate,
    Transpose,
    WindowSum,
)

_TEMPLATES = {
    Elementwise: "elementwise",
    ListedCells: "elementwise",
    Propagate: "propagate",
    SynapseUpdate: "synapse_update",
    WindowSum: "window_sum",
    GroupReduce: "group_reduce",
    Copy: "copy",
    Fill: "fill",
    Transpose: "transpose",
    Exchange: "exchange",
    Pushed: "push",
    Aim: "aim",
    Gather: "gather",
    MakeList: "make_list",
    MakeSum: "make_sum",
}
PARTS = ("functions", "random", "lists", "products", "outer", "edges", "windows")


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
    reserved = "".join(_shared(part, profile, True, "float") for part in ("header", *PARTS))
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
    part: str, profile: bool, normal: bool, real: str, title: str = "", most_sources: int = 1
) -> str:
    single = real == "float"
    return render(
        "c",
        f"{part}.c",
        profile=profile,
        normal=normal,
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
        functions, random, lists, products, outer, edges, windows = shared
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
                self._part("profile"),
                *self.texts,
            ]
        )
        operations = tuple(self.operations.values())
        return Unit(source, self.layout, operations, self.routines, plans)

    def _part(self, part: str, title: str = "") -> str:
        normal = self.layout.normals > 0
        return _shared(
            part, self.profile, normal, self.layout.real, title, self.layout.most_sources
        )

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
                light=[self._derived(MakeList(window)) for window in plan.light],
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
        kind, layout = _TEMPLATES[type(instruction)], self.layout
        if isinstance(instruction, Propagate) and instruction.projection in self.program.windows:
            kind = "propagate_windows"
        if isinstance(instruction, Fill) and self._place(instruction.target) is Place.GLOBAL:
            kind = "set_global"
        if isinstance(instruction, Copy) and self._place(instruction.target) is Place.GLOBAL:
            kind = "set_global"
        if isinstance(instruction, Propagate) and layout.edges_of(instruction.weight):
            kind = "propagate_edges"
        if isinstance(instruction, SynapseUpdate) and instruction.projection in layout.edges:
            kind = "synapse_edges"
        label = instruction.title
        name = self.layout.names.fresh(f"{kind} {label}")
        line = spec_line(getattr(instruction, "span", None), self.program.sources)
        operation = Operation(kind, name, label, instruction)
        index = len(self.operations)
        self.operations[instruction] = operation
        for member in instruction.members if isinstance(instruction, Gather) else ():
            self.operations[member] = Operation("propagate", "", member.title, member)
        self.texts.append(
            render(
                "c",
                f"{kind}.c",
                name=name,
                index=index,
                code=self._code(instruction),
                label=f"{label}: {line}" if line else label,
                step_counter=self._counter("t"),
            )
        )
        return operation

    def _code(self, instruction: Instruction) -> object:
        names, layout = self.layout.names, self.layout
        if isinstance(instruction, Elementwise | ListedCells):
            return elementwise(instruction, layout)
        if isinstance(instruction, WindowSum):
            return window_sum(instruction, layout)
        if isinstance(instruction, Propagate):
            if instruction.projection in self.program.windows:
                return propagate_windows(instruction, layout)
            return propagate(instruction, layout)
        if isinstance(instruction, Gather):
            return gather(instruction, layout, list(self.operations).index(instruction) + 1)
        if isinstance(instruction, SynapseUpdate) and instruction.projection in layout.edges:
            return edge_update(instruction, layout)
        if isinstance(instruction, SynapseUpdate):
            return synapse_update(instruction, layout)
        if isinstance(instruction, Exchange):
            copy = instruction.copy
            return {
                "target": names(copy.target),
                "source": names(copy.source),
                "lists": layout.pairs(copy.target, copy.source) if instruction.lists else [],
            }
        if isinstance(instruction, Pushed):
            return push(instruction, layout, count_of(instruction.push.source, layout))
        if isinstance(instruction, Aim):
            head, slot = aim(instruction, layout)
            return [*head, view_line(instruction.view, layout, slot)]
        if isinstance(instruction, MakeList | MakeSum):
            return self._derived(instruction)
        if isinstance(instruction, Fill):
            return {
                "ctype": layout.ctype(instruction.target),
                "target": names(instruction.target),
                "value": layout.literal(instruction.value, instruction.target),
                "count": count_of(instruction.target, layout),
            }
        if isinstance(instruction, GroupReduce):
            return group_code(instruction, layout)
        if isinstance(instruction, Copy):
            return {
                "target": names(instruction.target),
                "source": names(instruction.source),
                "value": f"net->{names(instruction.source)}",
                "count": count_of(instruction.target, layout),
            }
        assert isinstance(instruction, Transpose)
        m, n = self.program.shapes[self.program.buffers[instruction.source].owner]
        return {
            "target": names(instruction.target),
            "source": names(instruction.source),
            "m": m,
            "n": n,
        }

    def _derived(self, need: MakeList | MakeSum) -> dict[str, object]:
        window, layout = need.window, self.layout
        use = layout.lists.get(window)
        code: dict[str, object] = {
            "list": use.name if use else "",
            "with_values": use is not None and use.values,
            "source": layout.names(window.buffer),
            "stride": layout.width(window.buffer),
            "first": window.first,
            "last": window.last,
            "width": window.width,
        }
        if isinstance(need, MakeList):
            return {**code, "columns": need.columns}
        return {**code, "sum": layout.sum_of(window), "list": code["list"] if need.listed else ""}

    def _place(self, buffer: str) -> Place:
        return self.program.buffers[buffer].place


def group_code(op: GroupReduce, layout: Layout) -> dict[str, object]:
    """What the templates of a reduction over groups need."""
    return {
        "target": layout.names(op.target),
        "source": layout.names(op.source),
        "size": layout.width(op.target),
        "kind": op.kind,
        "length": op.length,
        "inner": op.inner,
    }


def count_of(buffer: str, layout: Layout) -> str:
    """C text of the number of elements of a buffer's present rows."""
    program = layout.program
    entry = program.buffers[buffer]
    if entry.place is Place.GLOBAL:
        return "1"
    if entry.place is Place.ROW:
        return "net->rows"
    if entry.place is Place.SYNAPSE:
        m, n = program.shapes[entry.owner]
        if entry.owner in layout.edges:
            return f"net->{layout.edges[entry.owner]}.start[{m}]"
        return f"INT64_C({m * n})"
    size = program.sizes[entry.owner]
    return f"net->rows * {size}" if entry.place is Place.UNIT else str(size)
