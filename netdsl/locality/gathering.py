"""Components of a vector share a line: what is said of `g[0]`, `g[1]`, … is said of `g[0..n]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_INDEX = re.compile(r"\[(\d+)\]")
_ANY = "[]"


def gathered(texts: Iterable[str]) -> Iterator[str]:
    """The texts in their order, those that differ in one index as one; no text twice."""
    places: dict[str, dict[int, None]] = {}
    for text in texts:
        found = set(_INDEX.findall(text))
        if len(found) == 1:
            places.setdefault(alike(text), {})[int(found.pop())] = None
        else:
            places.setdefault(text, {})
    for text, indices in places.items():
        yield text.replace(_ANY, f"[{_range(sorted(indices))}]") if indices else text


def alike(text: str) -> str:
    """What texts have in common that differ in an index."""
    return _INDEX.sub(_ANY, text)


def _range(indices: list[int]) -> str:
    first, last = indices[0], indices[-1]
    if 0 < last - first == len(indices) - 1:
        return f"{first}..{last}"
    return ", ".join(map(str, indices))
