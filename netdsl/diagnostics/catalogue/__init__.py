"""Every code that a diagnostic can carry, one file per family.

To add a code, append an `Entry` to the list of its family; a code keeps its meaning for good.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from netdsl.diagnostics.catalogue.entry import Entry

FAMILIES = (
    "e0_syntax",
    "e1_names",
    "e18_memories",
    "e2_units",
    "e3_locality",
    "e4_dynamics",
    "e5_schedule",
    "e6_connectivity",
    "e66_structure",
    "e7_data",
    "e7_tasks",
    "e8_backend",
    "lints",
)


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Entry]:
    """All entries by code. Raises ValueError when a code is registered twice."""
    entries: dict[str, Entry] = {}
    for family in FAMILIES:
        for entry in import_module(f"{__name__}.{family}").ENTRIES:
            if entry.code in entries:
                raise ValueError(f"the code {entry.code} is registered twice")
            entries[entry.code] = entry
    return entries


def explain(code: str) -> str | None:
    """The explanation of a code, or None when there is no such code."""
    entry = catalogue().get(code.strip().upper())
    return None if entry is None else entry.explain()


__all__ = ["FAMILIES", "Entry", "catalogue", "explain"]
