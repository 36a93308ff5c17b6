"""A vector has one line in a certificate, whatever the number of its components."""

from __future__ import annotations

from netdsl.frontend import check
from netdsl.locality.gathering import gathered
from tests.golden.case import SPECS


def test_indices_are_gathered() -> None:
    given = ["a[0]", "b", "a[1]", "a[2]", "c[1] of a[1]", "c[3] of a[3]", "a[0], a[1]", "b"]
    assert list(gathered(given)) == ["a[0..2]", "b", "c[1, 3] of a[1, 3]", "a[0], a[1]"]
    assert list(gathered(["g[4]", "t[I,E]"])) == ["g[4]", "t[I,E]"]


def test_a_vector_has_one_line() -> None:
    found = check(SPECS / "mdgl.net", {"n_out": 6}, lower=False)
    assert found.certificate is not None
    text = found.certificate["R"].render()
    for line in ("post.m[0..4] ", " d[0..4] ", "`rec.error`, `rec.blame[0..4]`"):
        assert text.count(line) == 1
    assert "`d[1]`" not in text and text.count("modulator `d[0..4]`") == 3
