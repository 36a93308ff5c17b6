"""Every part of the library can be used in a specification that checks and lowers."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from netdsl.sema.scopes import library
from tests.sema.build import text


def names(module: str, kind: str) -> list[str]:
    table = library.module(module)
    assert table is not None
    return [name for found, name in table if found == kind]


def errors(**parts: str) -> list[str]:
    found = check(text(**parts)).diagnostics
    return [f"{d.code} {d.message}" for d in found if d.severity == "error"]


@pytest.mark.parametrize("name", names("neuron", "neuron"))
def test_neurons(name: str) -> None:
    top = f"dt = 1 ms\nimport std.neuron {{ {name} }}"
    assert errors(top=top, more=f"population c : {name}[3]") == []


@pytest.mark.parametrize("name", names("optimiser", "optimiser"))
def test_optimisers(name: str) -> None:
    rules = f"rule r {{ dw = pre.s * post.s; optimise {name} }}"
    steps = "phase run 5 steps learning"
    assert errors(rules=rules, body="learn r()", steps=steps) == []


@pytest.mark.parametrize("name", [n for n in names("initialiser", "initialiser") if n != "spd"])
def test_initialisers(name: str) -> None:
    delay = "0 sign +" if name == "dale_balanced" else "0"
    assert errors(weight=name, delay=delay) == []


@pytest.mark.parametrize("name", names("trace", "trace"))
def test_traces(name: str) -> None:
    unit = f"input i; state s = 0; s := i; trace z of s using {name}(tau = 20 ms)"
    assert errors(top="dt = 1 ms", unit=unit) == []


@pytest.mark.parametrize("name", names("surrogate", "function"))
def test_surrogates(name: str) -> None:
    unit = f"""input i; state v = 0; v := 0.9 * v + i
  spike s when v > 1 {{ v := 0; surrogate {name} }}
  state q = 0; q := grad(s, v)"""
    assert errors(top=f"import std.surrogate {{ {name} }}", unit=unit) == []


GIVEN = {"rls": "gain = 0.1, k = pre.s, error = post.s"}  # what has no default


@pytest.mark.parametrize("name", names("rule", "rule"))
def test_rules(name: str) -> None:
    top = f"import std.rule {{ {name} }}"
    steps = "phase run 5 steps learning"
    assert errors(top=top, body=f"learn {name}({GIVEN.get(name, '')})", steps=steps) == []


def test_unknown_modules() -> None:
    assert library.module("nothing") is None
