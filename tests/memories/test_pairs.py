"""Modulators with a number for each two slots, and what is said where one is written wrongly."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from tests.memories.specs import spec

K = "modulator k[p in past, q in past] {{ scope global; emit {} }}\n"
TWO = K.format("mean(a.s[p] * a.s[q])")


def errors(modulators: str, **more: str) -> list[str]:
    found = check(spec(modulators, **more)).diagnostics
    return [d.code for d in found if d.severity == "error"]


@pytest.mark.parametrize(
    "modulators",
    [
        TWO + "modulator g on b { scope neuron; emit z * k }",
        TWO + "modulator g on b { scope neuron; emit sum(k[q] * z[q] over q in past) }",
        TWO
        + "modulator g[p in past] on b { scope neuron; emit sum(k[q, p] * z[q] over q in past) }",
        TWO + "modulator g on b { scope neuron; emit z * sum(k[q, q] over q in past) }",
        TWO + "modulator g[p in past] on b { scope neuron; emit z * sum(z[p, q] over q in past) }",
        TWO + "modulator g[p in past] on b { scope neuron; emit z * k[p, newest] }",
        K.format("mean(a.s[p])") + "modulator g on b { scope neuron; emit z }",
        "modulator k[p in past, q in batch] { scope global; emit mean(a.s[p] * a.s[q]) }\n"
        "modulator g on b { scope neuron; emit z }",
        "modulator g[p in past, q in past] on b { scope neuron; emit mean(z[p] * z[q]) }",
    ],
    ids=[
        "bare",
        "one index",
        "turned",
        "twice",
        "of no pair",
        "newest",
        "no second",
        "two memories",
        "on",
    ],
)
def test_wrong(modulators: str) -> None:
    assert "E0182" in errors(modulators)


def test_of_a_window() -> None:
    text = "modulator g on b { scope neuron; emit z }"
    memory = "window[4] of a.s, b.z"
    assert "E0182" in errors(TWO + text, memory=memory, dw="pre.s * g", more="")


def test_a_rule_reads_none() -> None:
    text = TWO + "modulator g on b { scope neuron; emit z }"
    assert "E0182" in errors(text, dw="pre.s * k")


@pytest.mark.parametrize("memory", ["replay[4] of digits", "window[4] of a.s, b.z"])
def test_the_newest_of_two_memories(memory: str) -> None:
    """It is not guessed of which."""
    both = f"{memory}\nmemory other : window[3] of b.z"
    newest = "modulator g on b { scope neuron; emit z[newest] }"
    assert "E0182" in errors(newest, memory=both)


def test_a_modulator_of_one_of_two_memories() -> None:
    both = "replay[4] of digits\nmemory other : window[3] of b.z"
    w = "modulator w[p in other] { scope global; emit mean(b.z[p]) }\n"
    found = errors(f"{w}modulator g on b {{ scope neuron; emit z * w[newest] }}", memory=both)
    assert "E0182" not in found
