"""Codes E08xx: backends."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry
from netdsl.diagnostics.catalogue.example import network

ENTRIES: list[Entry] = [
    Entry(
        "E0820",
        "the network needs more memory than the machine has",
        "All buffers are known before any is allocated: `netdsl show memory SPEC` lists them.\n"
        "Make populations or batches smaller, or use float32.",
    ),
    Entry(
        "E0821",
        "backend is unknown or cannot be loaded",
        "Backends are numpy, native (needs a C compiler) and cupy (needs a CUDA device and CuPy).\n"
        "`auto` takes native where there is a compiler, else numpy.",
    ),
    Entry("E0822", "number type is unknown", "Number types are float32 and float64."),
    Entry(
        "E0899",
        "internal error",
        "A fault of netdsl, not of the spec. Run again with `netdsl --debug ...` and report what\n"
        "it prints.",
    ),
    Entry(
        "E0831",
        "not offered by this edition's backends",
        (
            "A part of the language that is described but that no backend carries yet: vectors per "
            "neuron, per-synapse state per sample, signed and convolutional projections, tasks, "
            "memories, rewiring, tables and ensembles. The message says what to write instead."
        ),
        network(more="memory past : window[16] of b.s"),
        network(),
    ),
]
