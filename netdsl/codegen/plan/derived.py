"""What surrounds the operations of a routine: index lists, column sums and exchanged buffers.

Lists of nonzeros and sums over rows are derived from a buffer; they are made just before their
first use and shared until the buffer is written. Those of buffers that no step writes are made
once, before the loop over steps. A copy whose source is overwritten before it is read again
becomes an exchange of pointers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from netdsl.codegen.plan.layout import Layout, Window
from netdsl.ir.network import Place
from netdsl.ir.program import Copy, Elementwise, Op, Propagate, Routine, SynapseUpdate, WindowSum
from netdsl.ir.roles import Node


@dataclass(frozen=True)
class Derived(Node):
    """What is made from a window of a buffer, and holds until the buffer changes."""

    window: Window

    @cached_property
    def reads(self) -> frozenset[str]:
        """The buffer of the window."""
        return frozenset({self.window.buffer})

    @property
    def title(self) -> str:
        """The buffer of the window."""
        return self.window.buffer


@dataclass(frozen=True)
class MakeList(Derived):
    """List the nonzeros of a window by row, or (`columns`) turn those into lists by column."""

    columns: bool = False

    @property
    def title(self) -> str:
        """Which lists."""
        return f"{'columns' if self.columns else 'rows'} of {self.window.buffer}"


@dataclass(frozen=True)
class MakeSum(Derived):
    """Sum a window over rows; `listed`: its list is at hand."""

    listed: bool = False


@dataclass(frozen=True)
class MakeTurned(Derived):
    """Bring the rows of a window together by neuron, for products over existing synapses."""


@dataclass(frozen=True)
class Exchange(Node):
    """`Copy` by exchanging the two buffers' memory, and their index lists where both have some."""

    copy: Copy
    lists: bool = False

    @cached_property
    def reads(self) -> frozenset[str]:
        """Both buffers."""
        return self.writes

    @cached_property
    def writes(self) -> frozenset[str]:
        """Both buffers."""
        return self.copy.reads | self.copy.writes

    @property
    def title(self) -> str:
        """Both buffers."""
        return f"{self.copy.target} {self.copy.source}"


@dataclass(frozen=True)
class Gather(Node):
    """Deliveries of binary sources to one target, added up while the target is in registers."""

    members: tuple[Propagate, ...]

    @property
    def title(self) -> str:
        """The projections."""
        return " ".join(member.projection for member in self.members)

    def first_access(self, buffer: str, owner: str) -> str | None:
        """Reads count before what the first delivery overwrites."""
        answers = [member.first_access(buffer, owner) for member in self.members]
        return "reads" if "reads" in answers else answers[0]


@dataclass(frozen=True)
class ListedCells(Node):
    """An `Elementwise` that lists windows of its buffers by row, each row just after its store.

    Buffers of `light` windows are only listed, those of `late` are stored only at the last step of
    a call (`netdsl.codegen.plan.light`).
    """

    cells: Elementwise
    windows: tuple[Window, ...]
    light: tuple[Window, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the cells do, or whose they are."""
        return self.cells.title


Instruction = Op | Derived | Exchange | Gather | ListedCells


@dataclass(frozen=True)
class RoutinePlan:
    """Instructions of a routine; `before_steps` is run at every call that has steps.

    `light`: windows whose buffers must be filled from their lists after the steps.
    """

    routine: Routine
    once: tuple[Instruction, ...]
    before_steps: tuple[Instruction, ...]
    step: tuple[Instruction, ...]
    after: tuple[Instruction, ...]
    light: tuple[Window, ...] = ()


def plan_routine(routine: Routine, layout: Layout, *, grouped: bool = False) -> RoutinePlan:
    """Add derived data to a routine's operations and exchange buffers where that is allowed.

    `grouped`: deliveries of binary sources to one target become one `Gather`, and lists are handed
    from step to step, also through exchanges.
    """
    written = {buffer for op in routine.step for buffer in op.writes}

    def group(ops: Sequence[Op]) -> tuple[Instruction, ...]:
        return _grouped(ops, layout) if grouped else tuple(ops)

    step = _exchange(group(routine.step), layout, lists=grouped)
    wanted = dict.fromkeys(need for op in step for need in derived(op, layout))
    constant = {need for need in wanted if need.window.buffer not in written}
    # What is still valid at the end of a step is so at the beginning of the next one.
    left = _Derivation(layout, constant).run(step)[1] if grouped else set()
    steps = _Derivation(layout, constant | left)
    instructions = steps.run(step)[0]
    given = sorted(constant | steps.used, key=_order)
    return RoutinePlan(
        routine,
        _Derivation(layout, ()).run(group(routine.once))[0],
        tuple(_emitted(need, given) for need in given),
        instructions,
        _Derivation(layout, ()).run(group(routine.after))[0],
    )


def _order(need: Derived) -> tuple[int, str, int]:
    rank = int(need.columns) if isinstance(need, MakeList) else 2
    return rank, need.window.buffer, need.window.first


def derived(op: Instruction, layout: Layout) -> tuple[Derived, ...]:
    """The lists and sums that an operation uses, in the order in which to make them."""
    needs = _NEEDS.get(type(op))
    return () if needs is None else needs(op, layout)


def _of_delivery(op: Propagate, layout: Layout) -> tuple[Derived, ...]:
    if layout.turns and layout.edges_of(op.weight):
        return (MakeTurned(layout.window(op.source, out_of(op))),)
    listed = op.binary and not op.transposed
    return (_listed(op.source, op.pre_slice, layout),) if listed else ()


def _of_windows(op: WindowSum, layout: Layout) -> tuple[Derived, ...]:
    return (_listed(op.pre, None, layout),) if op.binary_pre else ()


def _of_gather(op: Gather, layout: Layout) -> tuple[Derived, ...]:
    return tuple(dict.fromkeys(_listed(m.source, m.pre_slice, layout) for m in op.members))


def _listed(buffer: str, part: tuple[int, int] | None, layout: Layout) -> MakeList:
    window = layout.window(buffer, part)
    layout.list_of(window)
    return MakeList(window)


def _of_update(op: SynapseUpdate, layout: Layout) -> tuple[Derived, ...]:
    needs: list[Derived] = []
    for product in (product for total in op.sums for product in total.products):
        pre = None if product.pre is None else layout.window(product.pre, op.pre_slice)
        post = None if product.post is None else layout.window(product.post, op.post_slice)
        if pre is not None and post is not None:
            if layout.turns and op.projection in layout.edges:
                needs += [MakeTurned(pre), MakeTurned(post)]
            elif product.binary_pre:
                layout.list_of(pre, columns=True)
                needs += [MakeList(pre), MakeList(pre, columns=True)]
                if op.projection not in layout.edges:
                    layout.list_of(post, values=True, turned=True)
                    needs.append(MakeList(post))
        else:
            needs += [MakeSum(window) for window in (pre, post) if window is not None]
    # Sums last: they are taken from lists where there are any.
    needs.sort(key=lambda need: isinstance(need, MakeSum))
    return tuple(dict.fromkeys(needs))


_NEEDS: dict[type, Callable[[Any, Layout], tuple[Derived, ...]]] = {
    Propagate: _of_delivery,
    WindowSum: _of_windows,
    Gather: _of_gather,
    SynapseUpdate: _of_update,
}


def out_of(op: Propagate) -> tuple[int, int] | None:
    """The part of its source that a delivery reads."""
    return op.post_slice if op.transposed else op.pre_slice


class _Derivation:
    """Puts lists and sums before their first use. `given` ones are valid at the beginning.

    `used` collects those of the given ones that saved a build.
    """

    def __init__(self, layout: Layout, given: Collection[Derived]) -> None:
        self.layout = layout
        self.valid: dict[Derived, Derived | None] = {need: need for need in given}
        self.used: set[Derived] = set()

    def run(self, ops: Sequence[Instruction]) -> tuple[tuple[Instruction, ...], set[Derived]]:
        """The instructions with what they need, and what is valid after them."""
        out: list[Instruction] = []
        for op in ops:
            for need in derived(op, self.layout):
                origin = self.valid.get(need, need)
                if need not in self.valid:
                    self.valid[need] = None
                    out.append(_emitted(need, self.valid))
                elif origin is not None:
                    self.used.add(origin)
            out.append(op)
            moved = self._moved(op)
            self.valid = {n: o for n, o in self.valid.items() if not n.reads & op.writes}
            self.valid.update(moved)
        return tuple(out), set(self.valid)

    def _moved(self, op: Instruction) -> dict[Derived, Derived | None]:
        """Lists that an exchange hands from its source to its target."""
        if not isinstance(op, Exchange) or not op.lists:
            return {}
        return {
            replace(need, window=replace(need.window, buffer=op.copy.target)): origin
            for need, origin in self.valid.items()
            if isinstance(need, MakeList) and need.window.buffer == op.copy.source
        }


def _emitted(need: Derived, valid: Collection[Derived]) -> Derived:
    if isinstance(need, MakeSum):
        return MakeSum(need.window, MakeList(need.window) in valid)
    return need


def _exchange(
    ops: Sequence[Instruction], layout: Layout, *, lists: bool
) -> tuple[Instruction, ...]:
    out: list[Instruction] = []
    listed = {
        need.window for op in ops for need in derived(op, layout) if isinstance(need, MakeList)
    }
    for position, op in enumerate(ops):
        rest = ops[position + 1 :]
        if isinstance(op, Copy) and _exchangeable(op, rest, layout):
            op = Exchange(op, lists and _alike(op, listed, layout))
        out.append(op)
    return tuple(out)


def _exchangeable(copy: Copy, rest: Sequence[Instruction], layout: Layout) -> bool:
    """An array, of which nobody wants the source; a number has no memory of its own."""
    return not layout.is_global(copy.target) and _dead_after(copy.source, rest, layout)


def _alike(copy: Copy, listed: Collection[Window], layout: Layout) -> bool:
    """Whether the lists of both buffers can change places: the same windows, equally equipped."""

    def windows(buffer: str) -> set[tuple[int, int]]:
        return {(w.first, w.last) for w in listed if w.buffer == buffer}

    both = windows(copy.target)
    if not both or both != windows(copy.source):
        return False
    for first, last in both:
        uses = [layout.list_of(Window(name, first, last)) for name in (copy.target, copy.source)]
        for use in uses:
            use.values = any(other.values for other in uses)
            use.columns = any(other.columns for other in uses)
            use.turned = any(other.turned for other in uses)
    return True


def _grouped(ops: Sequence[Op], layout: Layout) -> tuple[Instruction, ...]:
    """Bring together the deliveries to one target within each run of independent deliveries."""
    out: list[Instruction] = []
    run: list[Propagate] = []
    for op in ops:
        if not isinstance(op, Propagate):
            out += [*_by_target(run, layout), op]
            run = []
            continue
        if _touches(op, run):
            out += _by_target(run, layout)
            run = []
        run.append(op)
    return (*out, *_by_target(run, layout))


def _touches(op: Propagate, run: Sequence[Propagate]) -> bool:
    read, targets = {op.source, op.weight}, {other.target for other in run}
    return bool(read & targets) or any(op.target in (o.source, o.weight) for o in run)


def _by_target(run: Sequence[Propagate], layout: Layout) -> list[Instruction]:
    out: list[Instruction] = []
    for target in dict.fromkeys(op.target for op in run):
        group: list[Propagate] = []
        for op in (op for op in run if op.target == target):
            plain = not layout.edges_of(op.weight) and op.projection not in layout.program.windows
            gathers = plain and op.binary and not op.transposed
            if group and (not gathers or op.post_slice != group[0].post_slice or not op.accumulate):
                out.append(Gather(tuple(group)))
                group = []
            if gathers:
                group.append(op)
            else:
                out.append(op)
        out += [Gather(tuple(group))] if group else []
    return out


def _dead_after(buffer: str, ops: Sequence[Instruction], layout: Layout) -> bool:
    """Whether all of an array is overwritten by `ops` before anything reads it."""
    if layout.program.buffers[buffer].place is Place.GLOBAL:
        return False
    owner = layout.program.buffers[buffer].owner
    for op in ops:
        answer = op.first_access(buffer, owner)
        if answer is not None:
            return answer == "overwrites"
    return False
