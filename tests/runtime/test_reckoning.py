"""What is reckoned before a start is what is then allocated, and nothing long goes unannounced."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from netdsl import api
from netdsl.backends.native import available
from netdsl.codegen.plan.layout import EDGE_PARTS
from netdsl.diagnostics import waiting
from netdsl.frontend import check
from netdsl.ir.expr import Const
from netdsl.ir.network import Draw
from netdsl.passes import lower
from netdsl.runtime import memory, recordings
from netdsl.runtime.errors import RunFault
from netdsl.streams import connectivity
from netdsl.tools.show import show_model

SPEC = """
edition 1
dt = 1 ms
neuron src { state s = 1; s := 0.5 * s }
neuron dst { input j; state v = 0; v := j }
population a : src[3000]
population b : dst[2000]
projection P : a -> b fixed_in(40) fixed delay 1 step { weight w = 2; deliver j += w * pre.s }
protocol train { phase run 3 steps }
"""


def model_of(backend: str = "numpy") -> api.Model:
    network = check(SPEC, lower=False).require()
    return api.Model(network, lower(network, observe=("b.v",)), backend, 3, "float32", rows=2)


@pytest.mark.skipif(not available()[0], reason="no C compiler")
def test_indices_are_reckoned_as_they_are_allocated() -> None:
    model = model_of(backend="native")
    executor = model.session.executor
    held = executor.memory
    slot = held.slots[held.layout.edges["P"]]
    found = [held._arrays[int(held.net[slot + k])] for k in range(len(EDGE_PARTS))]
    assert executor.edges == {"P": 80_000}
    reckoned = memory.edge_bytes(model.program, executor.edges)["P"]
    assert sum(array.nbytes for array in found) == reckoned > 2 * 4 * 80_000
    assert memory.edge_bytes(model.program)["P"] == reckoned  # fixed_in has no other number
    connections = executor.connections["P"]
    assert reckoned == sum(getattr(connections, part).nbytes for part in EDGE_PARTS)


def test_the_start_counts_indices_and_drawing() -> None:
    program = model_of().program
    buffers = sum(memory.buffer_bytes(program, 2, "float32").values())
    ends, drawing = memory.edge_bytes(program)["P"], memory.drawing_bytes(program)
    whole = buffers + ends + drawing
    assert memory.require_memory(program, 2, "float32", available=10**9) == whole
    for left in (buffers, buffers + drawing, buffers + ends):
        with pytest.raises(RunFault, match="drawing of synapses") as caught:
            memory.require_memory(program, 2, "float32", available=round(left / 0.9) + 1)
        assert caught.value.code == "E0820"
    shown = show_model(model_of(), "memory")
    assert f"{memory.readable(ends)}  P  " in shown and "of its 80000 existing synapses" in shown
    assert f"{memory.readable(buffers + ends)}  in all" in shown


@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        ("dense", 0),
        ("sparse:bernoulli", 0.3),
        ("sparse:exact", 0.05),
        ("sparse:exact", 0.6),
        ("sparse:pairs_with_replacement", 0.1),
        ("fixed_in", 30),
        ("fixed_out", 700),
    ],
)
def test_drawing_takes_no_more_than_is_reckoned(kind: str, amount: float) -> None:
    made = Draw(f"connect:{kind}", (Const(amount), Const(False), Const(0)), "P.mask")
    shape = (1500, 1500)
    connectivity._drawn.cache_clear()
    tracemalloc.start()
    connectivity.drawn(made, shape, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < memory._DRAWING * connectivity.expected_count(made, shape) + (8 << 20)


def test_nothing_is_drawn_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    monkeypatch.setattr(connectivity, "_drawn", None)
    with pytest.raises(RunFault, match="synapses of `P`") as caught:
        _ = model_of().session
    assert caught.value.code == "E0820"


RECORDED = """
edition 1
dt = 1 ms
data d { source = "digits"; batch = 20 }
neuron pixel { input x; state s = 0; s := x }
population p : pixel[64]
record p.s every 2 steps on test limit 30 samples
protocol train { each batch of d.train { reset; clamp p.x = sample.image; phase run 5 steps } }
protocol test(split) { each batch of split { reset; clamp p.x = sample.image; phase run 5 steps } }
"""


def test_recordings_are_reckoned_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model = api.compile(RECORDED, "numpy")
    monkeypatch.setattr(recordings, "available_bytes", lambda: 1000)
    for start in (lambda: model.run(limit=20), model.evaluate):
        with pytest.raises(RunFault, match=r"`p.s` 22.5 KiB") as caught:
            start()
        assert caught.value.code == "E0865"
    monkeypatch.undo()
    found = model.evaluate(limit=40).recordings["p.s"]
    assert found.nbytes == 3 * 30 * 64 * 4 and memory.readable(found.nbytes) == "22.5 KiB"


def test_what_takes_long_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.05)
    with waiting.slow("short"):
        pass
    with waiting.hush(), waiting.slow("hushed"):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
    with waiting.slow("long"):
        time.sleep(0.2)
        assert capsys.readouterr().err == "long ...\n"
    assert capsys.readouterr().err.startswith("long: 0.")


def test_drawing_and_compiling_are_announced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    connectivity._drawn.cache_clear()
    model = model_of(backend="native" if available()[0] else "numpy")
    assert np.isfinite(model.session.read("b.v")).all()
    said = capsys.readouterr().err
    assert "drawing the synapses of `P`:" in said and "drawing the start values:" in said
    assert ("compiling with" in said) == available()[0]
