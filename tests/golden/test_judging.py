"""How golden rows are judged where one tolerance for all presentations is too little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.tools.replay import Presentation, ReplayReport, Trace
from tests.golden.case import Case
from tests.golden.replaying import Row, _one_by_one

KEY = "update W.dw"
EXPECTED = (np.array([1.0, 2.0]), np.array([1e-6, 0.0]))


@pytest.mark.parametrize(
    ("gaps", "ok"), [((1e-9, 0.0), True), ((1e-7, 0.0), False), ((0.0, 1e-13), False)]
)
def test_a_share_is_of_each_presentation(gaps: tuple[float, float], ok: bool) -> None:
    shown = tuple(Presentation(sample={}, update={"W.dw": value}) for value in EXPECTED)
    case = Case(Path(), {}, Trace({}, shown), {KEY: 1e-15}, shares={KEY: 1e-8})
    values = tuple(value + gap for value, gap in zip(EXPECTED, gaps, strict=True))
    row = Row(KEY, max(gaps), 0.0, 1e-15, "", False)
    (judged,) = _one_by_one([row], case, ReplayReport({}, {KEY: values}))
    assert judged.ok is ok
