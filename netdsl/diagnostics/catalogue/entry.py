"""What the catalogue holds of one code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A code: its title, why it is reported, a spec that has it and one that has not.

    `bad` and `good` are full texts of `.net` files; a test runs every one of them. `bad` is empty
    where a text alone cannot show the fault (a missing file).
    """

    code: str
    title: str
    cause: str
    bad: str = ""
    good: str = ""

    def explain(self) -> str:
        """The page that `netdsl explain CODE` prints."""
        parts = [f"{self.code}: {self.title}", self.cause.strip()]
        if self.bad:
            parts.append("Reported for\n\n" + _indented(self.bad))
        if self.good:
            parts.append("Accepted is\n\n" + _indented(self.good))
        return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join("    " + line if line else "" for line in text.strip("\n").split("\n"))
