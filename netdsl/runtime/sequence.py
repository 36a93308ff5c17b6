"""Protocols that run others, one after the other: whose counters and arguments are in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.ir.protocol import Protocol, RunProtocol, SplitRef
from netdsl.runtime import simulation

if TYPE_CHECKING:
    from netdsl.runtime.engine import Interpreter

COUNTERS = ("epoch", "iteration")


def begin(interpreter: Interpreter, protocol: Protocol, splits: tuple[SplitRef, ...]) -> None:
    """Let the arguments of a protocol be in force; `splits` are its data in order."""
    session = interpreter.session
    data_names = [name for name, default in protocol.parameters if default is None]
    interpreter.splits = dict(zip(data_names, splits, strict=False))
    for name, default in protocol.parameters:
        if default is not None:
            session.host[name] = session.evaluate(default)
    simulation.begin(interpreter, protocol)


def run_protocol(interpreter: Interpreter, step: RunProtocol) -> None:
    """`run PROTOCOL`: with counters from 0; those of the protocol around have their values again
    afterwards. Where a stopped run goes on within it, its counters stand as they were."""
    session, protocol = interpreter.session, interpreter.session.network.protocols[step.protocol]
    rounds = None if step.rounds is None else session.evaluate(step.rounds)
    splits = tuple(interpreter.resolve(ref) for ref in step.args)
    outer = (interpreter.splits, interpreter.running, interpreter.counter, interpreter.alone)
    names = [*COUNTERS, *(f"{name}s" for name in COUNTERS), *(n for n, _ in protocol.parameters)]
    held = {name: session.host[name] for name in names if name in session.host}
    begin(interpreter, protocol, splits)
    if rounds is not None:
        session.host.update({f"{name}s": rounds for name in COUNTERS})
    if not interpreter.resume:
        for name in COUNTERS:
            session.set_host(name, 0.0)
    interpreter.running = protocol
    interpreter.block(protocol.body)
    if interpreter.alone and not outer[-1]:
        interpreter.hooks.start_row(interpreter)
    interpreter.splits, interpreter.running, interpreter.counter, interpreter.alone = outer
    for name in set(names) & set(session.host) - set(held):
        del session.host[name]
    for name, value in held.items():
        session.set_host(name, 0.0 if name in COUNTERS else value)
