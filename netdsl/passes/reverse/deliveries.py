"""The reverse of deliveries: what goes back through a weight, and what the weight gets.

A weight gets the batch sum of products of what was sent and of the adjoint of what arrived. Those
of the loop over steps are added up; the others are left to the pass that learns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netdsl.ir.algebra.factor import times
from netdsl.ir.expr import Const, Expr, Load, Local
from netdsl.ir.network import Place, Type
from netdsl.ir.program import (
    Copy,
    Elementwise,
    Fill,
    Op,
    Product,
    Propagate,
    Store,
    Sum,
    SynapseUpdate,
)
from netdsl.ir.roles import renamed
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import add
from netdsl.passes.reverse.adjoints import Adjoints, Slot
from netdsl.passes.reverse.moment import Moment
from netdsl.passes.reverse.tape import Tape

SUM = "g"


@dataclass
class Deliveries:
    """Reverses the deliveries of a tape.

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

    def moved(self, slot: Slot, value: Expr) -> list[Op]:
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

    def delivered(self, moment: Moment, op: Propagate) -> list[Op]:
        """The weight gets a product, the source what goes back through the weight."""
        if (op.target, 0) not in self.adjoints.live:
            return []
        if op.weight in self.active and self.tape.changed(moment, op.weight):
            raise self.tape.weights_change(op.span)
        adjoint, ops = self.adjoints.name(op.target), []
        if op.weight in self.weights:
            ops += self._weight(moment, op, adjoint)
        if not op.accumulate:
            self.adjoints.live.discard((op.target, 0))
        return ops + (self._sent(moment, op, adjoint) if op.source in self.active else [])

    def _sent(self, moment: Moment, op: Propagate, adjoint: str) -> list[Op]:
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
            scale=self._scale(moment, op),
            accumulate=slot in live,
            transposed=not op.transposed,
            binary=False,
            ago=0,
        )
        live.add(slot)
        weight = Load(op.weight)
        self.tape.then(moment, weight)  # refuses weights that change meanwhile
        return [*ops, back]

    def _owner(self, op: Propagate) -> str:
        """The projection that stores the weights, as soon as these are not read backwards."""
        network, owner = self.tape.context.network, self.tape.context.buffers[op.weight].owner
        shared = network.projections[op.projection].connectivity.windows is not None
        return op.projection if shared or not op.transposed else owner

    def _scale(self, moment: Moment, op: Propagate) -> Expr | None:
        """The scale as it was: one number for all samples."""
        scale = None if op.scale is None else self.tape.then(moment, op.scale)
        if scale is not None and self.tape.context.place(scale) is not Place.GLOBAL:
            raise LoweringError(
                "E0806",
                f"`bptt` cannot differentiate what `{op.projection}` delivers: its scale changes",
                op.span,
                "let the cell that sends multiply by what changes",
            )
        return scale

    def _weight(self, moment: Moment, op: Propagate, adjoint: str) -> list[Op]:
        """The change of the weight: added up over steps, or left to the pass that learns."""
        ops, source = self._source(moment, Load(op.source, ago=op.ago))
        held = self._held(adjoint) if not moment.loops else None
        back = adjoint if held is None else held.target
        pre, post = (back, source) if op.transposed else (source, back)
        binary = self.tape.context.buffers[pre].type is Type.BOOL
        product = Product(pre, post, times(Const(-1.0), self._scale(moment, op)), binary)
        if held is None:
            return [*ops, self._added(op, product)]
        self.products.setdefault(op.weight, []).append(product)
        return [*ops, held]

    def _source(self, moment: Moment, sent: Load) -> tuple[list[Op], str]:
        """A buffer that holds what was sent then."""
        then, source = self.tape.then(moment, sent), sent.buffer
        assert isinstance(then, Load)
        context = self.tape.context
        alone = moment.section != "step" or self.tape.steps == 1
        if context.buffers[then.buffer].slots == 1 and (alone or then == sent):
            return [], then.buffer
        if then in self.read:
            return [], self.read[then]
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

    def rename(self, old: str, new: str) -> None:
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
