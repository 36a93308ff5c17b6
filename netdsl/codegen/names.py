"""Identifiers of generated code, made from the names of buffers, routines and bound values.

Text of a specification reaches generated code only through `Names` (as an identifier of ASCII
letters, digits and underscores) and through comments, so that it can never become code.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

# Words of the three target languages that no identifier may be.
_C_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main exp log sqrt sin cos tanh pow floor abs fabs asm "
    "bool true false class new delete template this namespace using operator public private "
    "half float2 float4 threadIdx blockIdx blockDim gridDim"
)
_WORDS = frozenset(_C_WORDS.split()) | frozenset(keyword.kwlist) | frozenset(dir(builtins))


def mangle(name: str) -> str:
    """A readable identifier: "W1.adam.m" -> "W1_adam_m", "h1.r@free" -> "h1_r_at_free".

    Different names may give the same identifier; `Names` keeps them apart.
    """
    text = name.replace("@", "_at_")
    text = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")
    if not text or not text[0].isalpha():
        text = f"x_{text}".rstrip("_")
    return f"{text}_" if text in _WORDS else text


class Names:
    """Unique identifiers, the same for the same name, given out in order of first request."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = set(reserved)
        self._given: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The identifier of `name`."""
        if name not in self._given:
            self._given[name] = self.fresh(name)
        return self._given[name]

    def child(self) -> Names:
        """Names of an inner scope, which avoid all of this one's."""
        return Names(self._taken)

    def fresh(self, name: str) -> str:
        """An identifier like `name` that nothing else has, not remembered for `name`."""
        base = candidate = mangle(name)
        number = 1
        while candidate in self._taken:
            number += 1
            candidate = f"{base}_{number}"
        self._taken.add(candidate)
        return candidate
