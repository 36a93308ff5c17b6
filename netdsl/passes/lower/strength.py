"""The matrix that a delivery goes through: a weight, a function of it, or which synapses exist.

A transpose reads the synapses of its original backwards: what it needs of each is computed over
the original's, where its senders are the receivers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from netdsl.ir.algebra.factor import POST, PRE, SYNAPSE, Classify, Term, classes, factor, times
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local, Ref, children, refs, transform
from netdsl.ir.expr import walk as nodes
from netdsl.ir.network import Kind, Network, Place, Projection
from netdsl.ir.program import Each, Op, Store, SynapseUpdate
from netdsl.ir.space import edge
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.mask import mask_of, presence_of
from netdsl.passes.lower.resolve import variable_buffer
from netdsl.passes.lower.windows import ones_of

_SIDES = {PRE: POST, POST: PRE}
_SUMS = ("add", "sub", "neg", "mul", "div")  # what factors of a term are joined by
_STEADY = (Kind.PARAM, Kind.WEIGHT, Kind.TABLE)


def synapses_of(network: Network, projection: Projection) -> Projection:
    """The projection whose synapses are stored: itself, or what it reads backwards."""
    if projection.carrier is None or projection.connectivity.windows is not None:
        return projection
    return network.projections[projection.carrier]


def weights_read(network: Network, projection: Projection) -> frozenset[str]:
    """Projections whose weights decide through what this one delivers, tables included."""
    tables = {b.path: t.projection for t in network.tables.values() for b in t.blocks}
    read = (tables.get(ref.path) for d in projection.delivers for ref in refs(d.value))
    own = (projection.name, projection.carrier)
    return frozenset(name for name in (*own, *read) if name is not None)


def factored(
    context: Context, projection: Projection, expr: Expr, classify: Classify
) -> tuple[Term, ...]:
    """Terms whose sum is `expr`. What mixes both ends in one choice or comparison, and changes
    with no sample, is a number of the synapse. Raises NotFactorable."""
    held: dict[str, Expr] = {}

    def hide(node: Expr) -> Expr | None:
        if not isinstance(node, Apply) or node.function in _SUMS:
            return None
        if not {PRE, POST} <= classes(node, classify) or not steady(context, projection, node):
            return None
        name = f"synapse{len(held)}"
        held[name] = node
        return Local(name)

    def leaf(node: Expr) -> str | None:
        return SYNAPSE if isinstance(node, Local) else classify(node)

    def shown(node: Expr) -> Expr | None:
        return held.get(node.name) if isinstance(node, Local) else None

    terms = factor(transform(expr, hide), leaf)
    return tuple(
        replace(t, synapse=transform(t.synapse, shown)) if t.synapse is not None else t
        for t in terms
    )


def steady(context: Context, projection: Projection, expr: Expr) -> bool:
    """Is every leaf a constant, an index, a weight, or a parameter of a neuron of a whole end?"""
    parts = {PRE: projection.pre_slice, POST: projection.post_slice}
    for node in nodes(expr):
        if isinstance(node, Ref):
            variable = context.variable(node.path)
            own = variable.place is Place.NEURON and parts.get(node.side, (0, 0)) is None
            shared = variable.place in (Place.GLOBAL, Place.SYNAPSE)
            if variable.kind not in _STEADY or not (own or shared):
                return False
        elif not children(node) and not isinstance(node, Const | Index):
            return False
    return True


@dataclass
class Strength:
    """What deliveries of one projection go through; `ops` compute it from weights and types."""

    context: Context
    projection: Projection
    ops: list[Op] = field(default_factory=list)

    @property
    def owner(self) -> Projection:
        """The projection whose synapses are stored."""
        return synapses_of(self.context.network, self.projection)

    @property
    def listed(self) -> str:
        """The projection whose list of synapses is gone through, where there is one."""
        name = self.owner.name
        return name if name in self.context.layouts else self.projection.name

    @property
    def turned(self) -> bool:
        """Are the synapses read backwards?"""
        return self.owner is not self.projection

    def everywhere(self) -> bool:
        """Does every unit receive from every other, if no number of the synapse says otherwise?"""
        windows = self.projection.connectivity.windows
        if windows is not None:
            return windows.still
        signed = self.projection.mask_of is not None and self.owner.sign is not None
        return not signed and presence_of(self.context, self.owner) is None

    def buffer(self, synapse: Expr | None) -> str:
        """The buffer that holds a number for each synapse, `synapse` or 1, and 0 where none is."""
        context, owner = self.context, self.owner
        if self.projection.mask_of is not None:
            here = times(present(context, owner), self.resolve(synapse))
            value = here if here is not None else Const(1.0)
        elif synapse is None:
            exists = presence_of(context, owner)
            return exists if exists is not None else ones_of(context, self.projection)
        else:
            value = self.resolve(synapse) or Const(1.0)
        mask = mask_of(context, owner)
        if isinstance(value, Load) and (mask is None or value.buffer == owner.weight):
            return value.buffer
        if mask is not None:
            value = Apply("mul", (Load(mask), value))
        name = context.effective_weight(owner.name, value)
        span = self.projection.span
        store = (Store(name, value, span),)
        self.ops.append(SynapseUpdate(owner.name, (), store, label=name, span=span))
        return name

    def resolve(self, expr: Expr | None) -> Expr | None:
        """A number of the synapse over the buffers of the synapses that are stored."""
        return None if expr is None else simplify(transform(expr, self._visit))

    def _visit(self, node: Expr) -> Expr | None:
        if isinstance(node, Index) and self.turned:
            return replace(node, side=_SIDES[node.side])
        if not isinstance(node, Ref):
            return None
        variable = self.context.variable(node.path)
        buffer = variable_buffer(self.context, variable)
        if variable.place is not Place.NEURON:
            return Load(buffer, node.span)
        side = _SIDES[node.side] if self.turned else node.side
        return self._spread(buffer, side, node)

    def _spread(self, buffer: str, side: str, node: Ref) -> Expr:
        """A parameter of one end, at every synapse."""
        if self.projection.connectivity.kind == "one_to_one":
            return Load(buffer, node.span)
        name, ops = spread(self.context, self.owner.name, buffer, side)
        self.ops += [op for op in ops if op not in self.ops]
        return Load(name, node.span)


def spread(context: Context, owner: str, buffer: str, side: str) -> tuple[str, Iterable[Op]]:
    """A buffer for each synapse with what the neuron at one of its ends has, and what fills it."""
    name = context.effective_weight(owner, Load(buffer, side=side))
    store = Store(name, Load(buffer, side=side))
    return name, (Each((edge(owner),), (store,), label=f"{buffer} at {side}"),)


def present(context: Context, projection: Projection) -> Expr | None:
    """1 where a synapse is present, beside its mask: its magnitude is above 0. None: all are."""
    if projection.sign is None or projection.weight is None:
        return None
    stored = Load(variable_buffer(context, context.variable(projection.weight)))
    return Apply("select", (Apply("gt", (stored, Const(0.0))), Const(1.0), Const(0.0)))
