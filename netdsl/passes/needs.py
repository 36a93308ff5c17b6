"""What a program reads that is not there: samples, in protocols without data."""

from __future__ import annotations

from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.diagnostics.span import Span
from netdsl.ir.network import Network
from netdsl.ir.program import Program
from netdsl.ir.protocol import Protocol, simulates, steps_of


def needing_data(network: Network, program: Program) -> tuple[tuple[str, Diagnostic], ...]:
    """E0535: what reads a sample in protocols that present none, with their names."""
    made = {name for name, buffer in program.buffers.items() if buffer.role == "sample"}
    made |= set(program.host_scalars)
    found = []
    for protocol in network.protocols.values():
        if simulates(protocol, network.protocols):
            for step in steps_of(protocol.body):
                routine = program.routines.get(getattr(step, "site", ""))
                reads = () if routine is None else (r for op in routine.ops for r in op.reads)
                name = next((name for name in reads if name in made), None)
                if name is not None:
                    fault = _needed(program, protocol, name, step.span or NO_SPAN)
                    found.append((protocol.name, fault))
                    break
    return tuple(found)


def _needed(program: Program, protocol: Protocol, buffer: str, at: Span) -> Diagnostic:
    held = program.buffers[buffer]
    what = f"`{held.of}`" if held.of else "a value of the sample"
    reader = held.span if held.span not in (None, NO_SPAN) else at
    labels = (Label(at, "runs without data"),) if reader is not at and at is not NO_SPAN else ()
    return Diagnostic(
        "E0535",
        f"protocol `{protocol.name}` presents no samples, and {what} is read in it",
        reader or NO_SPAN,
        labels,
        f"run its phases in `each sample of …`, or read an input that `{protocol.name}` clamps",
    )
