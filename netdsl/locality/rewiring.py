"""What the certificate says of rewiring: a global operation outside rules, which it marks not."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.network import Network, Projection
from netdsl.ir.protocol import Rewire, steps_of
from netdsl.locality.reads import line_of


def rewiring_notes(network: Network, projection: Projection) -> Iterator[str]:
    """A line for each rewiring that closes or opens synapses of a projection."""
    steps = (s for protocol in network.protocols.values() for s in steps_of(protocol.body))
    for step in steps:
        names = [part.projection for part in step.over] if isinstance(step, Rewire) else []
        if isinstance(step, Rewire) and projection.name in names:
            yield (
                f"{line_of(step.span)}: `rewire {step.name}` closes and opens its synapses by what "
                f"is counted over {', '.join(f'`{name}`' for name in names)}: aggregated-weights, "
                "outside the rule"
            )
