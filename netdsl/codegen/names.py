"""Identifiers of generated code, made from the names of buffers, routines and bound values.

Text of a specification reaches generated code only through `Names` (as an identifier of ASCII
letters, digits and underscores) and through comments, so that it can never become code.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

# Words of C, C++ and CUDA that no identifier may be; those of Python are added below.
_C_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main exp log sqrt sin cos tanh pow floor abs fabs asm "
    "typeof typeof_unqual alignas alignof constexpr nullptr static_assert thread_local "
    "bool true false class new delete template this namespace using operator public private "
    "protected friend virtual explicit export mutable typename typeid throw try catch noexcept "
    "decltype concept requires co_await co_return co_yield consteval constinit const_cast "
    "static_cast dynamic_cast reinterpret_cast wchar_t char8_t char16_t char32_t "
    "and and_eq bitand bitor compl not not_eq or or_eq xor xor_eq "
    "half float2 float4 threadIdx blockIdx blockDim gridDim warpSize"
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
    # Names without small letters are where macros of C's headers live, such as M_PI.
    return f"{text}_" if text in _WORDS or text.isupper() else text


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
