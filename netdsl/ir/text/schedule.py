"""Routines as a reader of `netdsl show schedule` sees them."""

from __future__ import annotations

from netdsl.ir.program import Routine
from netdsl.ir.text.printing import node_lines


def routine_text(routine: Routine) -> str:
    """A routine as its schedule: what runs once, at every step, at the end, with notes."""
    where = f"  # line {routine.span.line}" if routine.span else ""
    title = f"phase {routine.phase}" if routine.kind == "phase" else routine.kind
    lines = [f"{title} [{routine.name}]{where}"]
    for label, ops in (
        ("once", routine.once),
        ("each step", routine.step),
        ("at the end", routine.after),
    ):
        if ops:
            lines.append(f"  {label}:" if routine.kind == "phase" else "  do:")
            for op in ops:
                lines += [f"    {line}" for line in node_lines(op)]
    lines += [f"  note: {note}" for note in routine.notes]
    return "\n".join(lines)
