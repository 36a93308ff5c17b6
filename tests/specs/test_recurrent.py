"""specs/mdgl.net: traces by hand and derived, and what is proved of each variant."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.frontend import check
from tests.amounts import sweep

SPEC = Path(__file__).resolve().parents[2] / "specs" / "mdgl.net"
# The published traces, sheet mdgl.md section 7.
HAND = """
  state ev = 0
  state ea = 0
  let slope = post.psi@prev
  let kept = (post.alpha - threshold * slope) * ev + threshold * post.beta * slope * ea
  ea := (1 - post.rho) * slope * ev + (post.rho - (1 - post.rho) * post.beta * slope) * ea
  ev := kept + (1 - post.alpha) * sent
  expect e == post.psi * (ev - post.beta * ea) within 1e-9
"""
DERIVED = "  reads sent, post.s, post.error\n  eligibility e of w to post.s\n"
WRONG = {
    "no reset": ("(post.alpha - threshold * slope)", "post.alpha"),
    "no adaptation": ("+ threshold * post.beta * slope * ea", ""),
    "the slope of now": ("post.psi@prev", "post.psi"),
}


def by_hand(tmp_path: Path, replaced: tuple[str, str] = ("", "")) -> Path:
    text = SPEC.read_text(encoding="utf-8")
    assert DERIVED in text
    text = text.replace("when rule == rflo { def psi", "when rule == eprop { def psi")
    text = text.replace(DERIVED, "  eligibility e of w to post.s\n" + HAND.replace(*replaced), 1)
    path = tmp_path / "hand.net"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("n_regular", [0, 100])
def test_traces_by_hand_are_the_derived_ones(n_regular: int, tmp_path: Path) -> None:
    found = check(by_hand(tmp_path), {"rule": "eprop", "n_regular": n_regular})
    assert not found.diagnostics


@pytest.mark.parametrize("name", WRONG)
def test_wrong_traces_are_found(name: str, tmp_path: Path) -> None:
    found = check(by_hand(tmp_path, WRONG[name]), {"rule": "eprop", "n_regular": 0})
    assert {d.code for d in found.diagnostics} == {"E0435"}


RULES = ("eprop", "mdgl", "mdgl_exact", "nlmdgl", "onmdgl", "rflo", "bptt")
VARIANTS = [(r, f, g) for r in RULES for f in ("symmetric", "random") for g in ("computed", "given")]
QUICK = (("mdgl", "random", "given"), ("bptt", "symmetric", "computed"))


def verdict(rule: str, feedback: str, gains: str) -> str:
    """Sheet mdgl.md section 13."""
    if rule == "bptt":
        return "non-local"
    if rule == "mdgl_exact" or feedback == "symmetric":
        return "weight-transport"
    if rule in ("eprop", "rflo"):
        return "local"
    if gains == "computed":
        return "aggregated-weights"
    return "local" if rule == "onmdgl" else "three-factor"


@pytest.mark.parametrize("variant", sweep(VARIANTS, QUICK.__contains__), ids="-".join)
def test_verdicts(variant: tuple[str, str, str]) -> None:
    found = check(SPEC, dict(zip(("rule", "feedback", "gains"), variant, strict=True)), lower=False)
    assert not found.diagnostics
    assert found.certificate is not None
    entries = [e for e in found.certificate.rules if e.projection in ("W", "R")]
    assert {e.verdict for e in entries} == {verdict(*variant)} and len(entries) == 2
    if variant[0] in ("mdgl", "onmdgl"):
        notes = " ".join(note for e in entries for note in e.notes)
        assert "through `M`" in notes and "through `B`" in notes
