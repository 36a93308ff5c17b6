"""Shared kernels: their sums over positions, taken out of the pass over the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netdsl.ir.expr import Const
from netdsl.ir.network import Network, Place, Projection
from netdsl.ir.program import Op, Propagate, WindowSum
from netdsl.ir.windows import Windows
from netdsl.passes.lower.context import Context


def shared_kernels(network: Network) -> Mapping[str, Windows]:
    """The windows of every projection that has some; a transpose has its owner's."""
    found = {name: p.connectivity.windows for name, p in network.projections.items()}
    return {name: windows for name, windows in found.items() if windows is not None}


def ones_of(context: Context, projection: Projection) -> str:
    """A kernel of ones: what a projection without weight delivers through."""
    return context.need(
        f"{projection.name}.ones",
        Place.SYNAPSE,
        projection.name,
        "mask",
        "every synapse of the window counts 1",
        init=Const(1.0),
        tag="",
    )


def window_notes(network: Network, ops: Iterable[Op]) -> tuple[str, ...]:
    """How the products with shared kernels among some operations are done."""
    used = [op.projection for op in ops if isinstance(op, Propagate | WindowSum)]
    known = shared_kernels(network)
    return tuple(_note(name, known[name]) for name in dict.fromkeys(used) if name in known)


def _note(name: str, windows: Windows) -> str:
    taps, kernels = windows.shape
    forms = {
        "patches": f"patches of {taps} taps times {kernels} kernels",
        "channels": f"{taps} taps of each of {kernels} channels",
        "still": f"one product with {taps} x {kernels} weights for all",
    }
    return f"{name}: {forms[windows.form]}, {windows.positions} positions"
