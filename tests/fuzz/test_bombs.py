"""Short texts that ask for too much: each is answered at once, with a code and a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.cli.output import show_diagnostics
from netdsl.diagnostics.catalogue.example import network
from netdsl.frontend import check
from netdsl.syntax.parser import MAX_BYTES, parse
from tests.fuzz.examine import within

CELL = "input i; {}; state s = 0; s := {}"


def chain(count: int, line: str, first: str, *, turned: bool = False) -> str:
    """`count` lines, each of which reads the one before; `turned`: the one after."""
    lines = [first, *(line.format(n=n, m=n - 1) for n in range(1, count))]
    return "\n".join(reversed(lines) if turned else lines)


def unit(cell: str, s: str) -> str:
    return network(unit=CELL.format(cell, s))


def top(before: str, s: str = "relu(i)") -> str:
    return network(before=before, unit=f"input i; state s = 0; s := {s}")


BOMBS = {
    # numbers
    "power": ("E0210", top("param a = 9^9^9")),
    "power of a let": ("E0210", top("let a = (-9)^(9^9)")),
    "ten to the 400": ("E0210", top("param a = 10^400")),
    "product": ("E0210", top("param a = " + "*".join(["9999999999"] * 110))),
    "infinity": ("E0210", top("param a = 1e300 * 1e300")),
    "literal": ("E0012", top("param a = 1e999999")),
    "digits": ("E0012", top("param a = " + "9" * 100_000)),
    "measured": ("E0210", top("param a = 1e308 h")),
    "power of a unit": ("E0205", top("param a = 1 ms^99999999999")),
    "many units": ("E0205", top("param a = 1 " + "*".join(["ms"] * 300))),
    "time step": ("E0202", top("dt = 1e-320 ms")),
    "time step of itself": ("E0109", top("dt = dt", "dt")),
    "steps": ("E0412", network(steps="phase run 1e300 steps learning")),
    "delay": ("E0823", network(edge="dense delay 1000000000 step")),
    "long delay": ("E0412", network(edge="dense delay 1e300 step")),
    # definitions written out
    "functions twice": ("E0121", top(chain(31, "function f{n}(x) = f{m}(x) + f{m}(x)",
                                           "function f0(x) = x"), "f30(i)")),
    "calls within calls": ("E0121", top("function f(x) = x + x", "f(" * 40 + "i" + ")" * 40)),
    "lets twice": ("E0121", top(chain(40, "let l{n} = l{m} + l{m}", "let l0 = t"), "l39 + i")),
    "defs twice": ("E0121", unit(chain(40, "def l{n} = l{m} + l{m}", "def l0 = i"), "l39")),
    "lets of a rule": ("E0121", network(rule=chain(40, "let l{n} = l{m} * l{m}", "let l0 = pre.s")
                                        + "\ndw = l39")),
    "long chain of functions": ("E0121", top(chain(900, "function f{n}(x) = f{m}(x) + 1",
                                                   "function f0(x) = x"), "f899(i)")),
    "long chain of lets": ("E0121", top(chain(900, "let l{n} = l{m} + t", "let l0 = t"))),
    "long chain turned": ("E0121", top(chain(900, "let l{n} = l{m} + t", "let l0 = t",
                                             turned=True))),
    "long chain of defs": ("E0121", unit(chain(900, "def l{n} = l{m} + i", "def l0 = i"), "l899")),
    "many changes": ("E0121", network(rule="\n".join(["dw = pre.s"] * 900))),
    # circles
    "function": ("E0109", top("function f(x) = f(x) + 1", "f(i)")),
    "two functions": ("E0109", top("function f(x) = h(x)\nfunction h(x) = f(x)", "f(i)")),
    "default of a function": ("E0109", top("function f(x = f()) = x", "f()")),
    "rule": ("E0109", network(rule="extends next", more="rule next { extends hebb; dw = pre.s }")),
    "formal of a rule": ("E0109", network(before="rule r(k = k) { dw = k * pre.s }",
                                          rule="extends r; dw = k").replace("hebb()", "r()")),
    "initialiser": ("E0109", network(before="initialiser q() ~ q()")
                    .replace("uniform(-1, 1)", "q()")),
    # depth and length
    "parentheses": ("E0010", top("param a = " + "(" * 9000 + "1" + ")" * 9000)),
    "brackets": ("E0010", top("param a = " + "[" * 9000)),
    "minus": ("E0010", top("param a = " + "-" * 5000 + "1")),
    "sum": ("E0010", top("param a = " + "+".join(["1"] * 5000))),
    "conditions": ("E0010", top("param a = " + "1 if true else " * 2000 + "1")),
    "blocks": ("E0010", top("when true { " * 70 + "param z = 1" + " }" * 70)),
    "name": ("E0015", top("param " + "a" * 100_000 + " = 1")),
    "tokens": ("E0014", top("\n".join(f"param p{n} = {n}" for n in range(20_000)))),
    "findings": ("E0101", unit("\n".join(f"state z{n} = unknown{n}" for n in range(2000)), "i")),
    "unknown names": ("E0101", top("\n".join(f"param q{n} = w{n}" for n in range(2000)))),
    "characters": ("E0006", top("$ % &\n" * 4000)),
    # names declared twice, in every pair of ways
    "param and state": ("E0102", unit("param x = 1; state x = 0", "x")),
    "state and param": ("E0102", unit("state x = 0; param x = 1", "x")),
    "many ways": ("E0102", unit("param z = 3; state x = 0; trace z of x { tau = 3 ms }; def z = 3; "
                                "input z; let z = 2; z ~ bernoulli(0.5)", "z")),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = BOMBS[name]
    with within(4):
        found = check(text)
        show_diagnostics(found.diagnostics, {"<text>": text})
    errors = [d for d in found.diagnostics if d.severity == "error"]
    assert {d.code for d in errors} == {code}, [d.message for d in errors][:3]
    assert all(d.primary.line > 0 for d in errors)
    assert len(capsys.readouterr().err) < 200_000


def test_what_is_large_but_can_be_said() -> None:
    texts = [
        network(edge="dense delay 10000 step"),
        unit(chain(300, "let l{n} = l{m} + l{m}", "let l0 = i"), "l299"),
        top("\n".join(f"param p{n} = {n}" for n in range(3000))),
        unit("\n".join(f"state z{n} = 0; z{n} := z{n} + i" for n in range(300)), "z299"),
    ]
    for text in texts:
        with within(10):
            assert check(text).ok


def test_files_that_use_the_next_twice(tmp_path: Path) -> None:
    for with_, name in (("", "a"), (" with x = {}", "b")):
        for n in range(25):
            uses = "\n".join(f'use "{name}{n + 1}.net"{with_.format(k)}' for k in (1, 2))
            text = f"edition 1\n{uses}\nparam x = 1\nparam y{n} = 2\n"
            (tmp_path / f"{name}{n}.net").write_text(text)
        (tmp_path / f"{name}25.net").write_text("edition 1\nparam x = 1\n")
        with within(4):
            assert check(tmp_path / f"{name}0.net").ok


def test_long_chains_and_circles_of_files(tmp_path: Path) -> None:
    for n in range(50):
        (tmp_path / f"c{n}.net").write_text(f'edition 1\nuse "c{n + 1}.net"\n')
    (tmp_path / "c50.net").write_text("edition 1\n")
    assert [d.code for d in check(tmp_path / "c0.net").diagnostics] == ["E0122"]
    (tmp_path / "c9.net").write_text('edition 1\nuse "c0.net"\n')
    assert [d.code for d in check(tmp_path / "c0.net").diagnostics] == ["E0109"]


def test_files_that_are_too_long(tmp_path: Path) -> None:
    (tmp_path / "long.net").write_text("#" * (MAX_BYTES + 1))
    assert [d.code for d in check(tmp_path / "long.net").diagnostics] == ["E0014"]
    with within(4):
        assert not check("/dev/zero").ok
        assert parse("#" * MAX_BYTES).ok
