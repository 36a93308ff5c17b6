"""What backends execute: operations, and what is planned around them."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.codegen.plan.layout import Window
from netdsl.ir.expr import Expr
from netdsl.ir.program import Copy, Elementwise, Op, Propagate, Push
from netdsl.ir.roles import Node, Read, Written, once


@dataclass(frozen=True)
class Derived(Node):
    """What is made from a window of a buffer, and holds until the buffer changes."""

    window: Window

    @once
    def reads(self) -> frozenset[str]:
        """The buffer of the window."""
        return frozenset({self.window.buffer})

    @property
    def title(self) -> str:
        """The buffer of the window."""
        return self.window.buffer


@dataclass(frozen=True)
class MakeList(Derived):
    """List the nonzeros of a window by row, or (`columns`) turn those into lists by column."""

    columns: bool = False

    @property
    def title(self) -> str:
        """Which lists."""
        return f"{'columns' if self.columns else 'rows'} of {self.window.buffer}"


@dataclass(frozen=True)
class MakeSum(Derived):
    """Sum a window over rows; `listed`: its list is at hand."""

    listed: bool = False


@dataclass(frozen=True)
class MakeTurned(Derived):
    """Bring the rows of a window together by neuron, for products over existing synapses."""


@dataclass(frozen=True)
class Exchange(Node):
    """`Copy` by exchanging the two buffers' memory, and their index lists where both have some."""

    copy: Copy
    lists: bool = False

    @once
    def reads(self) -> frozenset[str]:
        """Both buffers."""
        return self.writes

    @once
    def writes(self) -> frozenset[str]:
        """Both buffers."""
        return self.copy.reads | self.copy.writes

    @property
    def title(self) -> str:
        """Both buffers."""
        return f"{self.copy.target} {self.copy.source}"


@dataclass(frozen=True)
class Pushed(Node):
    """`Push`, after which the views of the ring show other slots."""

    push: Push
    views: tuple[Written, ...]

    @property
    def title(self) -> str:
        """The ring."""
        return self.push.target


@dataclass(frozen=True)
class Aim(Node):
    """Point a view of a ring to the slot that an expression names now."""

    view: Written
    ring: Read
    ago: Expr


@dataclass(frozen=True)
class Gather(Node):
    """Deliveries of binary sources to one target, added up while the target is in registers."""

    members: tuple[Propagate, ...]

    @property
    def title(self) -> str:
        """The projections."""
        return " ".join(member.projection for member in self.members)

    def first_access(self, buffer: str, owner: str) -> str | None:
        """Reads count before what the first delivery overwrites."""
        answers = [member.first_access(buffer, owner) for member in self.members]
        return "reads" if "reads" in answers else answers[0]


@dataclass(frozen=True)
class ListedCells(Node):
    """An `Elementwise` that lists windows of its buffers by row, each row just after its store.

    Buffers of `light` windows are only listed, those of `late` are stored only at the last step of
    a call (`netdsl.codegen.plan.light`).
    """

    cells: Elementwise
    windows: tuple[Window, ...]
    light: tuple[Window, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the cells do, or whose they are."""
        return self.cells.title

    @classmethod
    def of(cls, instruction: Instruction) -> ListedCells | None:
        """Cells as they are listed so far; None of what is no operation on cells."""
        if isinstance(instruction, Elementwise):
            return cls(instruction, ())
        return instruction if isinstance(instruction, cls) else None


Instruction = Op | Derived | Exchange | Pushed | Aim | Gather | ListedCells
