"""Slopes that expressions bring along are taken out once nothing is differentiated any more."""

from __future__ import annotations

from netdsl.ir.expr import stripped
from netdsl.ir.program import Program
from netdsl.ir.roles import mapped
from netdsl.passes.program.rewrite import by_op


def strip(program: Program) -> Program:
    """Leave of values with a derivative of their own (surrogates, `detach`) the value."""
    return by_op(program, lambda op: (mapped(op, stripped),))
