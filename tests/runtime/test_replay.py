"""Replaying traces: what is fed, what is compared, how differences are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netdsl.api import Model
from netdsl.frontend import lower_network
from netdsl.runtime.errors import RunFault
from netdsl.tools.replay import Presentation, Trace, replay, tolerance_of
from netdsl.tools.replaytable import observed, table
from netdsl.tools.tracefile import read_trace, write_trace
from tests.runtime.engine_network import CLASSES, PIXELS, delta_network

ROWS, STEPS = 5, 4


def make_model() -> Model:
    network = delta_network("unused")
    program = lower_network(network, ("W.dw",), ())
    return Model(network, program, "numpy", 3, "float64")


def expected(count: int = 2) -> Trace:
    """A trace computed from the equations of `delta_network`, in NumPy."""
    draw = np.random.default_rng(1)
    weight = draw.normal(size=(PIXELS, CLASSES))
    init = {"W.w": weight}
    presentations = []
    for _ in range(count):
        image, label = draw.random((ROWS, PIXELS)), draw.integers(0, CLASSES, ROWS)
        drive = image @ weight
        states = [np.zeros((ROWS, CLASSES))]
        for _ in range(STEPS):
            states.append(states[-1] + 0.5 * (drive - states[-1]))
        error = np.eye(CLASSES)[label] - states[-1]
        change = 0.2 * image.T @ error / ROWS
        weight = weight + change
        presentations.append(
            Presentation(
                sample={"image": image, "label": label},
                expect={"out.r": np.stack(states[1:])},
                final={"free/out.r": states[-1]},
                update={"W.w": weight, "W.dw": change},
            )
        )
    return Trace(init, tuple(presentations))


def test_agrees_with_the_equations() -> None:
    report = replay(make_model(), expected(), tolerance=1e-12)
    assert report.ok, table(report)
    assert list(report.differences) == ["out.r", "final free/out.r", "update W.w", "update W.dw"]
    assert report.differences["out.r"].size == 2 * STEPS * ROWS * CLASSES
    assert report.differences["update W.w"].largest < 1e-14


def test_a_start_value_may_stand_in_front() -> None:
    trace = expected(1)
    held = trace.presentations[0]
    states = np.concatenate([np.zeros((1, ROWS, CLASSES)), held.expect["out.r"]])
    trace = Trace(trace.init, (replace(held, expect={"out.r": states}),))
    report = replay(make_model(), trace, tolerance=1e-12, keep=("out.r",))
    assert report.ok, table(report)
    assert report.values["out.r"][0].shape == states.shape


def test_the_first_place_beyond_tolerance_is_named() -> None:
    trace = expected(2)
    held = trace.presentations[1]
    states = held.expect["out.r"].copy()
    states[2, 3, 1] += 1e-3
    changed = replace(held, expect={"out.r": states})
    report = replay(make_model(), Trace(trace.init, (trace.presentations[0], changed)))
    found = report.differences["out.r"]
    assert not report.ok and not found.ok
    assert found.first == (1, 2, 3, 1) == found.worst
    assert found.unequal >= 1
    assert found.largest == pytest.approx(1e-3)
    assert "presentation 1, step 2, element [3, 1]" in table(report)


def test_nan_is_a_difference_and_equal_infinities_are_not() -> None:
    trace = expected(1)
    held = trace.presentations[0]
    states = held.expect["out.r"].copy()
    states[0, 0, 0] = np.nan
    report = replay(make_model(), Trace(trace.init, (replace(held, expect={"out.r": states}),)))
    assert report.differences["out.r"].largest == np.inf


def test_what_cannot_be_compared_is_not_ok() -> None:
    trace = expected(1)
    held = replace(trace.presentations[0], expect={"out.q": np.zeros((STEPS, 1))}, final={})
    report = replay(make_model(), Trace(trace.init, (held,)))
    assert "there is no variable `out.q`" in report.differences["out.q"].missing
    assert not report.ok


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expect": {"nudged/out.r": np.zeros((1, 1))}}, "no phase `nudged`"),
        ({"feed": {"out.r": np.zeros((STEPS, ROWS, CLASSES))}}, "`out.r` is not drawn"),
        ({"protocol": "trian"}, "no protocol `trian`"),
    ],
)
def test_mistakes_in_a_trace(change: dict[str, object], message: str) -> None:
    trace = expected(1)
    held = replace(trace.presentations[0], **change)  # type: ignore[arg-type]
    with pytest.raises(RunFault, match=message) as caught:
        replay(make_model(), Trace(trace.init, (held,)))
    assert caught.value.code == "E0741"


def test_file_round_trip(tmp_path: Path) -> None:
    trace = expected(2)
    trace = Trace(trace.init, (replace(trace.presentations[0], globals={"epoch": 2.0}),))
    write_trace(tmp_path / "t.npz", trace)
    back = read_trace(tmp_path / "t.npz")
    held, again = trace.presentations[0], back.presentations[0]
    np.testing.assert_array_equal(back.init["W.w"], trace.init["W.w"])
    assert again.globals == {"epoch": 2.0}
    for part in ("sample", "expect", "final", "update"):
        assert list(getattr(again, part)) == list(getattr(held, part))
    assert observed(back) == (("out.r", "W.w", "W.dw"), ())
    assert replay(make_model(), back, tolerance=1e-12).ok


def test_a_file_that_is_no_trace(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(RunFault, match="is no trace"):
        read_trace(tmp_path / "x.npz")


def test_tolerances_by_pattern() -> None:
    by = {"update *": 1e-3, "h1.*": 1e-2, "*": 1e-9}
    assert tolerance_of("update W.w", by) == 1e-3
    assert tolerance_of("h1.v", by) == 1e-2
    assert tolerance_of("z", by) == 1e-9
    assert tolerance_of("z", 0.5) == 0.5
