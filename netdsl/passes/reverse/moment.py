"""Moments of a phase: where its operations stand, and at which of its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

SECTIONS = ("once", "step", "after")
LOSS = "loss"  # what computes the loss from what the phase left; it runs after the phase


@dataclass(frozen=True)
class Moment:
    """Before operation `index` of a section, and of the steps which.

    Steps count from the end. Where `loops` they are all from the `back`-th on, one after the other
    as `phase.step` counts; else it is the `back`-th alone.
    """

    section: str
    index: int = 0
    back: int = 0
    loops: bool = False

    def at(self, index: int) -> Moment:
        """Before another operation of the section."""
        return replace(self, index=index)

    @property
    def again(self) -> bool:
        """Do further operations of the same section run after the section's end?"""
        return self.section == SECTIONS[1] and (self.loops or self.back > 0)
