"""The sweep: a tape's operations in reverse, each handing on the adjoints of what it wrote.

Where a phase has several steps the reverse of one is a loop. What it carries from step to step are
the adjoints that are live at both ends of it; these start from 0 where nothing was added before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netdsl.ir.algebra.factor import times
from netdsl.ir.expr import Const, Expr, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Copy,
    Elementwise,
    Fill,
    Op,
    Product,
    Propagate,
    Push,
    Store,
    Sum,
    SynapseUpdate,
)
from netdsl.ir.roles import renamed
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import add
from netdsl.passes.reverse.adjoints import Adjoints, Slot
from netdsl.passes.reverse.cells import CellsReversal
from netdsl.passes.reverse.tape import LOSS, Tape

SUM = "g"


@dataclass
class Sweep:
    """The reverse of a tape, from what computes the loss on.

    `weights`: buffers that are delivered through and learn. `products`: of what runs once, by
    weight; `totals`: where the sum over steps of the others lies. Both are of the *change*, which
    is minus the gradient.
    """

    tape: Tape
    adjoints: Adjoints
    active: set[str]
    weights: set[str]
    products: dict[str, list[Product]] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    read: dict[Load, str] = field(default_factory=dict)  # what is kept, as read in a step
    once: list[Op] = field(default_factory=list)
    step: list[Op] = field(default_factory=list)
    after: list[Op] = field(default_factory=list)

    def run(self, loss: tuple[Op, ...]) -> None:
        """Fill `once`, `step` and `after` of the sweep; the adjoint of the loss is live."""
        tape = self.tape
        self.once += self._reversed(LOSS, loss)
        self.once += self._reversed("after", tape.parts["after"])
        if tape.loops:
            self._loop()
            self.after += self._reversed("once", tape.parts["once"])
        else:
            self.once += self._reversed("step", tape.parts["step"])
            self.once += self._reversed("once", tape.parts["once"])
        self.after = self._without_copies(self.after)
        self.once = self._without_copies(self.once)

    def _loop(self) -> None:
        live = self.adjoints.live
        begun, carried = set(live), set(live)
        while True:
            live.clear()
            live |= carried
            self.read.clear()
            body = self._reversed("step", self.tape.parts["step"])
            if live <= carried:
                break
            carried |= live
        self.once += [Fill(self.adjoints.name(*s), 0.0) for s in sorted(carried - begun)]
        self.once += [Fill(total, 0.0) for total in self.totals.values()]
        ended = sorted(carried - live)
        self.step += [*body, *(Fill(self.adjoints.name(*s), 0.0) for s in ended)]
        live |= carried

    def _reversed(self, section: str, ops: tuple[Op, ...]) -> list[Op]:
        found: list[Op] = []
        for index in range(len(ops) - 1, -1, -1):
            found += self._reverse(section, index, ops[index])
        return found

    def _reverse(self, section: str, index: int, op: Op) -> list[Op]:
        if isinstance(op, Elementwise):
            return CellsReversal(
                self.adjoints,
                self.active,
                op,
                lambda expr: self.tape.then(section, index, expr),
                lambda expr: self.tape.then(section, index + 1, expr),
            ).ops()
        live = self.adjoints.live
        if isinstance(op, Copy) and (op.target, 0) in live:
            live.discard((op.target, 0))
            once = section != "step" or not self.tape.loops
            if once and op.source in self.active and (op.source, 0) not in live:
                self.adjoints.hand(op.target, op.source)
                return []
            return self._moved((op.source, 0), Load(self.adjoints.name(op.target)))
        if isinstance(op, Push):
            return self._pushed(op)
        if isinstance(op, Propagate) and (op.target, 0) in live:
            return self._propagate(section, index, op)
        if isinstance(op, Fill):
            live.discard((op.target, 0))
        return []

    def _pushed(self, op: Push) -> list[Op]:
        """What was pushed gets the adjoint of the newest slot, each slot that of the next older."""
        ops: list[Op] = []
        live = self.adjoints.live
        for ago in range(self.tape.context.buffers[op.target].slots):
            if (op.target, ago) in live:
                live.discard((op.target, ago))
                into = (op.target, ago - 1) if ago and not op.all else (op.source, 0)
                ops += self._moved(into, Load(self.adjoints.name(op.target, ago)))
        return ops

    def _moved(self, slot: Slot, value: Expr) -> list[Op]:
        """Add to the adjoint of a buffer."""
        buffer = slot[0]
        if buffer not in self.active:
            return []
        adjoint = self.adjoints.name(*slot)
        if slot in self.adjoints.live:
            value = add(Load(adjoint), value)
        self.adjoints.live.add(slot)
        owner = self.tape.context.buffers[buffer].owner
        return [Elementwise(owner, (Store(adjoint, value),), label=adjoint)]

    # -- deliveries ---------------------------------------------------------------------------

    def _propagate(self, section: str, index: int, op: Propagate) -> list[Op]:
        adjoint, ops = self.adjoints.name(op.target), []
        if op.weight in self.weights:
            ops += self._weight(section, index, op, adjoint)
        if not op.accumulate:
            self.adjoints.live.discard((op.target, 0))
        return ops + (self._sent(section, index, op, adjoint) if op.source in self.active else [])

    def _sent(self, section: str, index: int, op: Propagate, adjoint: str) -> list[Op]:
        """The adjoint of what was sent: the transposed delivery."""
        live, slot = self.adjoints.live, (op.source, op.ago)
        target = self.adjoints.name(*slot)
        ops: list[Op] = []
        part = op.post_slice if op.transposed else op.pre_slice
        if part is not None and slot not in live:  # the other units sent nothing
            ops.append(Fill(target, 0.0))
            live.add(slot)
        back = replace(
            op,
            projection=self._owner(op),
            source=adjoint,
            target=target,
            scale=self._scale(section, index, op),
            accumulate=slot in live,
            transposed=not op.transposed,
            binary=False,
            ago=0,
        )
        live.add(slot)
        weight = Load(op.weight)
        self.tape.then(section, index, weight)  # refuses weights that change meanwhile
        return [*ops, back]

    def _owner(self, op: Propagate) -> str:
        """The projection that stores the weights, as soon as these are not read backwards."""
        network, owner = self.tape.context.network, self.tape.context.buffers[op.weight].owner
        shared = network.projections[op.projection].connectivity.windows is not None
        return op.projection if shared or not op.transposed else owner

    def _scale(self, section: str, index: int, op: Propagate) -> Expr | None:
        """The scale as it was: one number for all samples."""
        scale = None if op.scale is None else self.tape.then(section, index, op.scale)
        if scale is not None and self.tape.context.place(scale) is not Place.GLOBAL:
            raise LoweringError(
                "E0806",
                f"`bptt` cannot differentiate what `{op.projection}` delivers: its scale changes",
                op.span,
                "let the cell that sends multiply by what changes",
            )
        return scale

    def _weight(self, section: str, index: int, op: Propagate, adjoint: str) -> list[Op]:
        """The change of the weight: added up over steps, or left to the pass that learns."""
        ops, source = self._source(section, index, Load(op.source, ago=op.ago))
        ends = (adjoint, source) if op.transposed else (source, adjoint)
        product = Product(*ends, times(Const(-1.0), self._scale(section, index, op)))
        if section != "step" or not self.tape.loops:
            held = self._held(adjoint)
            ends = (held.target, source) if op.transposed else (source, held.target)
            product = replace(product, pre=ends[0], post=ends[1])
            self.products.setdefault(op.weight, []).append(product)
            return [*ops, held]
        return [*ops, self._added(op, product)]

    def _source(self, section: str, index: int, sent: Load) -> tuple[list[Op], str]:
        """A buffer that holds what was sent then."""
        then, source = self.tape.then(section, index, sent), sent.buffer
        assert isinstance(then, Load)
        if self.tape.context.buffers[then.buffer].slots == 1:
            return [], then.buffer
        if then in self.read:
            return [], self.read[then]
        context = self.tape.context
        held = context.buffers[source]
        name = context.scratch(f"{source}@then", Place.UNIT, held.owner, "what was sent then")
        context.buffers[name] = replace(context.buffers[name], type=held.type)
        self.read[then] = name
        return [Elementwise(held.owner, (Store(name, then),), label=name)], name

    def _held(self, adjoint: str) -> Copy:
        """The adjoint, for the pass that learns, which comes last."""
        context = self.tape.context
        owner = context.buffers[adjoint].owner
        name = context.scratch(f"{adjoint}.held", Place.UNIT, owner, "derivative of the loss")
        self.copies.append(Copy(name, adjoint))
        return self.copies[-1]

    def _without_copies(self, ops: list[Op]) -> list[Op]:
        """Of adjoints that stay as they are no copy is needed."""
        kept: list[Op] = []
        changed: set[str] = set()
        for op in reversed(ops):
            if op in self.copies and isinstance(op, Copy) and op.source not in changed:
                self._rename(op.target, op.source)
                continue
            changed |= op.writes
            kept.append(op)
        return kept[::-1]

    def _rename(self, old: str, new: str) -> None:
        """Let the products read another buffer."""
        for products in self.products.values():
            products[:] = [renamed(p, lambda n: new if n == old else n) for p in products]

    def _added(self, op: Propagate, product: Product) -> Op:
        context = self.tape.context
        owner = context.buffers[op.weight].owner
        if op.weight not in self.totals:
            self.totals[op.weight] = context.scratch(
                f"{op.weight}@gradient", Place.SYNAPSE, owner, "change, summed over steps"
            )
        total = self.totals[op.weight]
        store = Store(total, add(Load(total), Local(SUM)), op.span)
        return SynapseUpdate(
            owner,
            (Sum(SUM, (product,)),),
            (store,),
            pre_slice=op.pre_slice,
            post_slice=op.post_slice,
            label=total,
            span=op.span,
        )
