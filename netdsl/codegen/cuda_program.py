"""A step program as one CUDA source: kernels for every operation, and what a routine launches.

Expressions, statements and their fusion are those of the C file (`c_printer`, `c_elementwise`,
`c_synapses`, `c_plan`); here stand the loops' distribution over blocks and threads. Equal
operations of several routines share their kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from netdsl.backends.base import BackendError
from netdsl.codegen.c_elementwise import elementwise
from netdsl.codegen.c_plan import Exchange, Instruction, MakeList, MakeSum, plan_routine
from netdsl.codegen.c_printer import literal
from netdsl.codegen.c_program import count_of, label_of
from netdsl.codegen.c_scope import Scope
from netdsl.codegen.c_synapses import propagate
from netdsl.codegen.c_templates import render
from netdsl.codegen.comments import spec_line
from netdsl.codegen.cuda_layout import COUNT_BLOCKS, CudaLayout
from netdsl.codegen.cuda_plan import (
    THREADS,
    Action,
    Extent,
    Gemm,
    Kernel,
    Launch,
    RoutineActions,
    flat_grid,
    rows_grid,
    synapse_grid,
    tile_grid,
)
from netdsl.codegen.cuda_synapses import batch_windows, rowwise, tiled
from netdsl.codegen.simplify import number, simplify
from netdsl.diagnostics.span import Span
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Copy,
    Elementwise,
    Fill,
    Program,
    Propagate,
    Routine,
    Store,
    SynapseUpdate,
    Transpose,
)

TILE, TILE_THREADS, TRANSPOSE_SIDE, LISTED_COLUMNS = 64, 256, 32, 32
_INLINE = "__device__ __forceinline__"


@dataclass(frozen=True)
class CudaUnit:
    """A compilation unit: source, memory, kernels by index and the actions of each routine.

    `start`, `advance` and `finish` keep the counters of a phase; `start` begins at the step that
    `phase.step` holds.
    """

    source: str
    layout: CudaLayout
    kernels: tuple[Kernel, ...]
    routines: dict[str, RoutineActions]
    start: Action
    advance: Action
    finish: Action


def generate(program: Program, dtype: str) -> CudaUnit:
    """The CUDA source of a program; BackendError E0802 for an expression that CUDA cannot say."""
    shared = Shared("float" if dtype == "float32" else "double", program.name)
    layout = CudaLayout.of(program, dtype, shared.text)
    assert isinstance(layout, CudaLayout)
    try:
        return _Writer(program, layout, shared).write()
    except (KeyError, ValueError) as error:
        raise BackendError(
            "E0802",
            f"the CUDA backend cannot translate `{program.name}`: {error}",
            "use --backend numpy",
        ) from error


class Shared:
    """Text that does not depend on the program, before and after `struct net`."""

    def __init__(self, real: str, title: str) -> None:
        self.header = render("cuda", "header.cu", real=real, title=f"{title} in {real}")
        parts = [
            render("c", "functions.c", inline=_INLINE),
            render("c", "words.c", inline=_INLINE),
            render("cuda", "random.cu"),
            render("cuda", "blocks.cu"),
            render("cuda", "products.cu", real=real),
        ]
        self.library = "\n".join(parts)

    @property
    def text(self) -> str:
        """All of it: names of the program must differ from these."""
        return self.header + self.library


@dataclass
class _Writer:
    program: Program
    layout: CudaLayout
    shared: Shared
    made: dict[Instruction, tuple[Action, ...]] = field(default_factory=dict)
    kernels: list[Kernel] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def write(self) -> CudaUnit:
        step, t = self._counter("phase.step"), self._counter("t")
        start = self._globals("start phase", [f"{step} -= 1;", f"{t} -= 1;"])
        advance = self._globals("next step", [f"{step} += 1;", f"{t} += 1;"])
        finish = self._globals("end of phase", [f"{t} += 1;"])
        routines = {name: self._routine(r) for name, r in self.program.routines.items()}
        net = render("c", "net.c", fields=list(self.layout.fields()))
        source = "\n".join([self.shared.header, net, self.shared.library, *self.texts])
        return CudaUnit(
            source, self.layout, tuple(self.kernels), routines, start, advance, finish
        )

    def _counter(self, name: str) -> str:
        if name not in self.program.buffers:
            raise KeyError(f"the program has no counter `{name}`")
        return f"net->{self.layout.names(name)}"

    def _routine(self, routine: Routine) -> RoutineActions:
        plan = plan_routine(routine, self.layout)
        parts = {
            part: tuple(i.copy if isinstance(i, Exchange) else i for i in getattr(plan, part))
            for part in ("once", "before_steps", "step", "after")
        }
        # Operations first: they say which lists they want.
        for instructions in parts.values():
            for instruction in instructions:
                if not isinstance(instruction, MakeList | MakeSum):
                    self._actions(instruction)
        actions = {
            part: tuple(a for i in instructions for a in self._actions(i))
            for part, instructions in parts.items()
        }
        all_actions = (action for part in actions.values() for action in part)
        windows = tuple(dict.fromkeys(w for action in all_actions for w in action.windows))
        count = tuple(self._count(window) for window in windows) if routine.step else ()
        return RoutineActions(routine.name, **actions, count=count, windows=windows)

    def _actions(self, instruction: Instruction) -> tuple[Action, ...]:
        if isinstance(instruction, MakeList):
            return self._list(instruction)
        if instruction not in self.made:
            self.made[instruction] = self._make(instruction)
        return self.made[instruction]

    def _make(self, op: Instruction) -> tuple[Action, ...]:
        if isinstance(op, Elementwise):
            return (self._elementwise(op),)
        if isinstance(op, Propagate):
            return self._propagate(op)
        if isinstance(op, SynapseUpdate):
            return self._synapses(op)
        if isinstance(op, MakeSum):
            return (self._sum(op),)
        assert isinstance(op, Copy | Fill | Transpose)
        return (self._whole(op),)

    def _kernel(self, kind: str, op: Any, grid: dict[str, Any], **code: Any) -> Launch:
        """Write a kernel from a template and say how it is launched."""
        return self._text(kind, label_of(op), _written(op), grid, code)

    def _text(self, kind: str, label: str, span: Span | None, grid: dict[str, Any],
              code: dict[str, Any]) -> Launch:
        line = spec_line(span, self.program.sources)
        name = self.layout.names.fresh(f"{kind} {label}")
        index = len(self.kernels)
        self.kernels.append(Kernel(name, label, span))
        title = f"{label}: {line}" if line else label
        self.texts.append(render("cuda", f"{kind}.cu", name=name, index=index, label=title, **code))
        return Launch(name, index, **grid)

    def _globals(self, label: str, lines: list[str], span: Span | None = None) -> Action:
        return Action(self._text("globals", label, span, {}, {"lines": lines}))

    def _elementwise(self, op: Elementwise) -> Action:
        code = elementwise(op, self.layout)
        reduced = any(level.accumulators for level in code.levels)
        grid = rows_grid(code.size, spread=not reduced and not code.stored)
        counter = self.layout.names("t")
        return Action(self._kernel("elementwise", op, grid, code=code, step_counter=counter))

    def _propagate(self, op: Propagate) -> tuple[Action, ...]:
        layout, code = self.layout, propagate(op, self.layout)
        actions = []
        constant = 1.0 if op.scale is None else number(simplify(op.scale))
        if constant is None:
            slot = layout.scale_slot(None)
            actions.append(Action(self._kernel("scale", op, {}, code=code, slot=slot)))
        else:
            slot = layout.scale_slot(constant)
        gemm = Gemm(
            code.weight, code.m, code.n, code.source, code.source_offset, code.source_stride,
            code.target, code.target_offset, code.target_stride, code.transposed, slot,
            1 if code.accumulate else 0,
        )
        if not code.list:
            return (*actions, Action(gemm))
        window = layout.window(op.source, op.pre_slice)
        layout.cuda_list(window, by_row=True)
        gather = self._kernel("gather", op, rows_grid(code.n, spread=True), code=code)
        dense = [replace(action, windows=(window,), gathered=False) for action in actions]
        return (*dense, Action(gemm, (window,), False), Action(gather, (window,), True))

    def _synapses(self, op: SynapseUpdate) -> tuple[Action, ...]:
        actions = [self._before(op)] if op.before else []
        op = replace(op, before=())
        windows, listed = batch_windows(op, self.layout)
        m, n = self.program.shapes[op.projection]
        if windows is None:
            code, _ = rowwise(op, self.layout)
            grid = synapse_grid(m, n)
            return (*actions, Action(self._kernel("synapse_rows", op, grid, code=code, groups=[])))
        grid = {**tile_grid(m, n, TILE, TILE_THREADS), "fixed_threads": True}
        code = tiled(op, self.layout)
        tiles = self._kernel("synapse_tiles", op, grid, code=code)
        if not listed:
            return (*actions, Action(tiles))
        for window in windows:
            self.layout.cuda_list(window, by_column=True)
        code, groups = rowwise(op, self.layout)
        rows = self._kernel("synapse_rows", op, synapse_grid(m, n), code=code, groups=groups)
        return (*actions, Action(tiles, windows, False), Action(rows, windows, True))

    def _before(self, op: SynapseUpdate) -> Action:
        scope = Scope(self.layout, {})
        lines = [_store_global(store, scope) for store in op.before]
        return self._globals(f"before {label_of(op)}", scope.lines + lines, op.span)

    def _whole(self, op: Copy | Fill | Transpose) -> Action:
        layout, names = self.layout, self.layout.names
        target = names(op.target)
        is_global = self.program.buffers[op.target].place is Place.GLOBAL
        if isinstance(op, Transpose):
            m, n = self.program.shapes[self.program.buffers[op.source].owner]
            grid = tile_grid(m, n, TRANSPOSE_SIDE, THREADS)
            code = {"target": target, "source": names(op.source), "m": m, "n": n}
            return Action(self._kernel("transpose", op, grid, code=code))
        if isinstance(op, Fill):
            value = literal(op.value, "double" if is_global else layout.real)
        else:
            value = f"net->{names(op.source)}"
        if is_global:
            return self._globals(f"set {label_of(op)}", [f"net->{target} = {value};"], op.span)
        grid = flat_grid(*layout.extent(op.target))
        code = {"target": target, "value": value, "count": count_of(op.target, self.program)}
        if isinstance(op, Fill):
            return Action(self._kernel("fill", op, grid, code=code))
        return Action(self._kernel("copy", op, grid, code={**code, "source": names(op.source)}))

    def _window(self, window: Any) -> dict[str, Any]:
        return {
            "source": self.layout.names(window.buffer),
            "stride": self.layout.width(window.buffer),
            "first": window.first,
            "width": window.width,
        }

    def _list(self, need: MakeList) -> tuple[Action, ...]:
        """Kernels that list a window, if an operation of any routine written so far wants it."""
        use = self.layout.wanted.get(need.window)
        if use is None or not (use.by_column if need.columns else use.by_row):
            return ()
        if need not in self.made:
            code = {**self._window(need.window), "list": use.name}
            if need.columns:
                grid = {"threads": 512, "x": Extent(need.window.width, 0, LISTED_COLUMNS)}
                launch = self._kernel("list_columns", need, grid, code=code)
            else:
                grid = {"threads": THREADS, "x": Extent(0, 1)}
                launch = self._kernel("list_rows", need, grid, code=code)
            self.made[need] = (Action(launch, (need.window,), True),)
        return self.made[need]

    def _sum(self, need: MakeSum) -> Action:
        code = {**self._window(need.window), "sum": self.layout.sum_of(need.window)}
        grid = {"threads": 512, "x": Extent(need.window.width, 0, LISTED_COLUMNS)}
        return Action(self._kernel("make_sum", need, grid, code=code))

    def _count(self, window: Any) -> Action:
        need = MakeList(window)
        code = self._window(window)
        slot = self.layout.count_slot(window)
        grid = {"threads": THREADS, "x": Extent(COUNT_BLOCKS)}
        return Action(self._kernel("count", need, grid, code=code, slot=slot))


def _written(op: Any) -> Span | None:
    """Where an operation stands in the spec: its own span, or its first statement's."""
    own = getattr(op, "span", None)
    spans = (statement.span for statement in getattr(op, "statements", ()))
    return own if own is not None else next((span for span in spans if span is not None), None)


def _store_global(store: Store, scope: Scope) -> str:
    return f"net->{scope.layout.names(store.buffer)} = {scope.double(store.value)};"
