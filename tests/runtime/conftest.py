"""Fixtures of the tests of running."""

from __future__ import annotations

import pytest

from tests.runtime.stopping import Stop


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Stop:
    return Stop(monkeypatch)
