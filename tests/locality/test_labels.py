"""The lattices are lattices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netdsl.locality.labels import LATTICES, SPACE, VERDICTS, Label, Lattice, Level, verdict

NUMBERED = ("delayed", "multi", "window")


def levels(lattice: Lattice) -> st.SearchStrategy[Level]:
    def level(name: str) -> st.SearchStrategy[Level]:
        if name in NUMBERED:
            return st.integers(1, 9).map(lambda n: Level(name, n))
        return st.just(Level(name))

    return st.sampled_from(lattice.levels).flatmap(level)


LABELS = st.builds(Label, *(levels(lattice) for lattice in LATTICES))


@given(LABELS, LABELS, LABELS)
def test_join_is_a_join(a: Label, b: Label, c: Label) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a
    assert a.join(Label()) == a


@given(LABELS, LABELS)
def test_a_join_never_improves_the_verdict(a: Label, b: Label) -> None:
    worst = max(VERDICTS.index(verdict(a)), VERDICTS.index(verdict(b)))
    assert VERDICTS.index(verdict(a.join(b))) >= worst


def test_pre_and_post() -> None:
    assert str(SPACE.join(Level("pre"), Level("post"))) == "pre+post"
    assert str(SPACE.join(Level("pre"), Level("synapse"))) == "pre"
