"""What has no derivative says so where it stands; what `grad` would get wrong points to `vjp`."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from tests.vjp.layer import text

LEAKY = "input j; state u = 0; u := 0.9 * u + j; def z = u / (1 + sum(u)); state q = 0"
MODULATOR = "emit vjp(z, j, 1)"

# Cells and what stands at the caret; the modulator takes d z / d j.
CELLS = {
    "no surrogate": ("input j; state z = 0; spike s when j > 0; z := s", "spike s when j > 0"),
    "a draw": ("input j; d ~ normal(j, 1); def z = d", "d ~ normal(j, 1)"),
    "a definition": (LEAKY + "; def d = vjp(z, j, 1)", "vjp(z, j, 1)"),
    "an equation": (LEAKY + "; state v = 0; d v/dt = -vjp(z, j, v) / (5 ms); integrate v", "vjp(z"),
    "a phase's beginning": (LEAKY + "; on phase { q := vjp(z, j, 1) }", "vjp(z, j, 1)"),
    "by an expression": (LEAKY + "; q := vjp(z, 2 * j, 1)", "vjp(z, 2 * j, 1)"),
    "by the step before": (LEAKY + "; q := vjp(z, u@prev, 1)", "vjp(z, u@prev, 1)"),
    "by a parameter": (LEAKY + "; param c per neuron = 1; q := vjp(z, c, 1)", "vjp(z, c, 1)"),
    "by the data": (LEAKY + "; q := vjp(z, sample.label, 1)", "vjp(z, sample.label, 1)"),
    "grad of a reduction": (LEAKY + "; q := grad(z, u)", "grad(z, u)"),
    "grad of a let": (LEAKY + "; let m = tanh(j); q := grad(m, j)", "grad(m, j)"),
    "grad of a state": (LEAKY + "; q := grad(u^2, j)", "grad(u^2, j)"),
}  # fmt: skip


def errors(spec: str) -> list[tuple[str, str]]:
    found = []
    for d in check(spec, lower=False).diagnostics:
        if d.severity == "error":
            line = spec.split("\n")[d.primary.line - 1]
            found.append((d.code, line[d.primary.column - 1 :]))
    return found


@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str) -> None:
    cell, at = CELLS[name]
    ((code, found),) = errors(text(cell, MODULATOR, "6"))
    assert code == "E0415" and found.startswith(at)


def test_neighbours() -> None:
    for more in ("", "; q := vjp(z, u, 1)", "; let m = tanh(j); q := vjp(m, j, 1)",
                 "; q := grad(tanh(u), u)", "; let g = vjp(z, j, 1); q := g"):  # fmt: skip
        assert not errors(text(LEAKY + more, MODULATOR, "6"))


PLACES = {
    "a rule": ("dw = g }", "dw = g * vjp(post.z, post.j, 1) }", "vjp(post.z"),
    "a delivery": ("w * pre.s;", "w * vjp(pre.s, pre.s, 1);", "vjp(pre.s"),
    "a protocol": ("reset;", "reset; set c.q := vjp(c.z, c.j, 1);", "vjp(c.z"),
    "a clamped state": ("reset;", "reset; clamp c.u = 1;", "clamp c.u"),
    "a modulator on none": (
        "rule learned",
        "modulator m { scope global; emit vjp(sum(c.z), c.j, 1) }\nrule learned",
        "vjp(sum(c.z)",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_places(name: str) -> None:
    old, new, at = PLACES[name]
    good = text(LEAKY, MODULATOR, "6")
    assert old in good and not errors(good)
    ((code, found),) = errors(good.replace(old, new))
    assert code == "E0415" and found.startswith(at)


def test_one_number_takes_one_number() -> None:
    cell = "input j; population state total = 0; total := mean(j); state q = 0; "
    ((code, found),) = errors(text(cell + "q := vjp(total, j, q)", "emit 1", "6"))
    assert code == "E0208" and found.startswith("q)")
    assert not errors(text(cell + "q := vjp(total, j, sum(q))", "emit 1", "6"))


def test_what_is_too_long_is_refused() -> None:
    """Functions within functions double what is written; named values do not."""
    form = "function f{0}(x) = sin(f{1}(x) / (1 + f{1}(x)))\n"
    functions = "".join(form.format(n, n - 1) for n in range(1, 9))
    spec = text("input j; def z = f8(j)", MODULATOR, "6")
    spec = spec.replace("neuron source", "function f0(x) = sin(x)\n" + functions + "neuron source")
    ((code, found),) = errors(spec)
    assert code == "E0121" and found.startswith("vjp(z, j, 1)")
    lets = "".join(f"; let f{n} = f{n - 1}^2 * f{n - 1}" for n in range(1, 40))
    assert not errors(text(f"input j; let f0 = sin(j){lets}; def q = 0; def z = j", MODULATOR, "6"))
    states = "".join(f"; state f{n} = 0; f{n} := f{n - 1}^2 * f{n - 1}" for n in range(1, 40))
    cell = f"input j; state f0 = 0; f0 := sin(j){states}; def z = f39"
    assert not errors(text(cell, MODULATOR, "6"))


def test_reads_list_of_a_modulator() -> None:
    """What a derivative reads by itself needs no place in the list; what is written does."""
    assert not errors(text(LEAKY, "reads z, j\n  emit vjp(z, j, 1)", "6"))
    ((code, found),) = errors(text(LEAKY, "reads z, j\n  emit vjp(z, j, u)", "6"))
    assert code == "E0118" and found.startswith("u)")


SLOTS = {
    "vjp(z - z[newest], j, 1)": "z[newest], j",
    "vjp(z * detach(z[newest]), j, sum(z - z[q] over q in past))": None,
    "vjp(z + sum(z - z[q] over q in past), j, 1)": "sum(z - z[q]",
}


@pytest.mark.parametrize("emitted", SLOTS)
def test_other_slots_stand_still(emitted: str) -> None:
    spec = (
        text(LEAKY, f"emit {emitted}", "6")
        .replace("protocol train", "memory past : replay[3] of digits\nprotocol train")
        .replace("digits.train {", "digits.train limit 3 batches {")
    )
    at = SLOTS[emitted]
    found = [(code, line) for code, line in errors(spec) if code == "E0415"]
    assert [line[: len(at or "")] for _, line in found] == ([at] if at else [])
