"""Generated data: what `task` declares, with expressions resolved."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr
from netdsl.ir.network import Draw

PERMUTATION = "permutation"  # of a batch: its first numbers, so that none occurs twice


@dataclass(frozen=True)
class TaskField:
    """A field of the samples, `size` numbers of each (None: one), drawn or computed from the
    fields before it, which are read as `sample.NAME`; with `once` drawn once for all samples."""

    name: str
    size: int | None
    value: Expr | Draw
    once: bool = False
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Task:
    """`task NAME(batch = 64, size = 640) { … }`: a stream of samples; a pass over it takes `size`
    of them. With splits it is `finite`: `size` samples, drawn once."""

    size: int
    finite: bool = False
