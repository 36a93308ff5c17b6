"""What surrounds the operations of a routine: index lists, column sums and exchanged buffers.

Lists of nonzeros and sums over rows are derived from a buffer; they are made just before their
first use and shared until the buffer is written. Those of buffers that no step writes are made
once, before the loop over steps. A copy whose source is overwritten before it is read again
becomes an exchange of pointers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netdsl.codegen.plan.instructions import (
    Aim,
    Derived,
    Exchange,
    Gather,
    Instruction,
    MakeList,
    MakeSum,
    MakeTurned,
    Pushed,
)
from netdsl.codegen.plan.layout import Layout, Window
from netdsl.ir.expr import Const, Expr
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Copy,
    Op,
    Propagate,
    Push,
    Routine,
    SynapseUpdate,
    WindowSum,
)


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

    def group(ops: Sequence[Op]) -> tuple[Instruction, ...]:
        seen = _with_views(ops, layout)
        return _grouped(seen, layout) if grouped else seen

    step = _exchange(group(routine.step), layout, lists=grouped)
    written = {buffer for op in step for buffer in op.writes}
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


def _with_views(ops: Sequence[Op], layout: Layout) -> tuple[Instruction, ...]:
    """Operations on rings with what moves their views."""
    moving = {n: v for n, v in layout.views.items() if layout.found_late(n)}
    out: list[Instruction] = []
    for op in ops:
        for name in sorted(op.reads & moving.keys()):
            ago = moving[name].ago
            back = ago if isinstance(ago, Expr) else Const(float(ago))
            out.append(Aim(name, moving[name].ring, back))
        if isinstance(op, Push):
            still = (n for n, v in layout.views.items() if n not in moving and v.ring == op.target)
            out.append(Pushed(op, tuple(still)))
        else:
            out.append(op)
    return tuple(out)


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
        if product.newest:
            continue
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


def _grouped(ops: Sequence[Instruction], layout: Layout) -> tuple[Instruction, ...]:
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
