"""Random trees, for hypothesis, made of drawn numbers.

`st.recursive` makes strategies anew for each set of leaves, at more cost than that of drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st

Tree = TypeVar("Tree")
Form = tuple[int, Callable[..., Tree]]  # how many trees it is made of, and how


@st.composite
def trees(draw: st.DrawFn, leaves: Sequence[Tree], forms: Sequence[Form[Tree]], most: int) -> Tree:
    """A tree of at most `most` leaves, each form as likely as any other; half of what may be made
    of others is."""
    room = most - 1  # leaves that there may be beside those that must be

    def grow() -> Tree:
        nonlocal room
        number = draw(st.integers(0, 2 * len(forms) - 1)) - len(forms)
        if number < 0 or forms[number][0] - 1 > room:
            return leaves[draw(st.integers(0, len(leaves) - 1))]
        arity, make = forms[number]
        room -= arity - 1
        return make(*(grow() for _ in range(arity)))

    return grow()
