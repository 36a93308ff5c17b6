"""What a derivative does not go through stands in the certificate of what learns by it."""

from __future__ import annotations

from pathlib import Path

from netdsl.frontend import check

FILES = Path(__file__).parents[1]
NOTE = "no derivative goes through the spike `b.s` (line 4): it has no surrogate"


def notes(path: str) -> dict[str, bool]:
    certificate = check(FILES / path, lower=False).certificate
    assert certificate is not None
    return {rule.projection: NOTE in rule.notes for rule in certificate.rules}


def test_a_spike_without_a_surrogate_is_named_where_it_is_on_the_way() -> None:
    assert notes("invalid/e0856_no_surrogate.net") == {"W": True, "V": False}
    assert notes("valid/e0856_surrogate.net") == {"W": False, "V": False}
