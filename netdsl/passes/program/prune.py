"""Buffers that no operation touches any more are taken away."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.program import Program

_PASSING = ("scratch", "snapshot", "hoisted")  # what only operations know of


def prune(program: Program) -> Program:
    """The program without passing buffers that nothing uses."""
    used: set[str] = set()
    for routine in program.routines.values():
        used |= routine.reads | routine.writes
    buffers = {
        name: buffer
        for name, buffer in program.buffers.items()
        if name in used or buffer.kept or buffer.role not in _PASSING
    }
    return replace(program, buffers=buffers)
