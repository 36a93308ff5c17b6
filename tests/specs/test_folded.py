"""One expression has one value: of parameters, where it is folded, and of states."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

import netdsl

NUMBERS = ("1", "0.1", "(-8)", "(1 / 3)", "(-0.7)", "7", "1000000")
FORMS = (
    "a + b", "a - b", "a * b", "a / b", "a // b", "a % b", "a ^ b", "-a", "a < b", "a >= b",
    "a == b", "a != b", "a and b", "not a or b < 0", "a if b > a else b", "min(a, b)", "max(a, b)",
    "clip(a, 0 - 1, b)", "abs(a) + sign(b)", "floor(a / b)", "ceil(a / b)", "round(a / b)",
    "(a > 0) + (b > 0)", "(a > 0) * 3 - (b > 0)", "max(a > 0, b)", "exp(a / 1000000)", "sigmoid(a)",
    "softplus(b)", "exprel(b / 1000000)", "expm1(a / 100000000)", "log1p(abs(b))", "erf(a)",
    "tanh(b)", "atan(a * b)", "relu(a) - relu(b)", "a^2 + b^3", "abs(a)^0.5", "abs(b)^-1",
)  # fmt: skip


def specification() -> tuple[str, list[str]]:
    """A cell that computes every form of every two numbers, and parameters that are the same."""
    lines, cell, texts = ["edition 1", "dt = 1 ms"], [], []
    for n, (one, two) in enumerate(product(NUMBERS, NUMBERS)):
        cell += [f"state a{n} = {one}", f"state b{n} = {two}"]
    assigned = []
    for n, (one, two) in enumerate(product(NUMBERS, NUMBERS)):
        for form in FORMS[n % 4 :: 4]:
            k, text = len(texts), form.replace("a", "A").replace("b", "B")
            names = {"A": one, "B": two}, {"A": f"a{n}", "B": f"b{n}"}
            folded, computed = (written(form, *pair.values()) for pair in names)
            if form == "a ^ b" and (one.startswith("(-") or two == "1000000"):
                continue  # no real number, or too large a one
            lines.append(f"param f{k} = {folded}")
            cell += [f"state x{k} = 0", f"state y{k} = 0"]
            assigned += [f"x{k} := {computed}", f"y{k} := f{k} + 0"]
            texts.append(f"{text} of {one}, {two}")
    body = "\n  ".join(cell + assigned)
    lines.append(f"neuron cell {{\n  {body}\n}}\npopulation p : cell[1]")
    lines.append("protocol train { phase run 1 step }")
    return "\n".join(lines) + "\n", texts


def written(form: str, a: str, b: str) -> str:
    """The form with its two letters replaced, where they stand alone."""
    words = {"a": a, "b": b}
    out, word = "", ""
    for char in form + " ":
        if char.isalnum() or char == "_":
            word += char
            continue
        out += words.get(word, word) + char
        word = ""
    return out.strip()


def test_folded_and_computed_are_one_number(tmp_path: Path) -> None:
    text, texts = specification()
    file = tmp_path / "x.net"
    file.write_text(text)
    seen = [f"p.{letter}{k}" for k in range(len(texts)) for letter in "xy"]
    model = netdsl.compile(file, backend="numpy", dtype="float64", observe=tuple(seen))
    model.present()
    model.reset()
    model.step(phase="run")
    wrong = []
    for k, what in enumerate(texts):
        x, y = (float(np.ravel(model.state[f"p.{letter}{k}"])[0]) for letter in "xy")
        if abs(x - y) > 8 * np.finfo(float).eps * max(abs(y), 1e-3):
            wrong.append(f"{what}: computed {x}, folded {y}")
    assert not wrong, "\n".join(wrong)
