"""A name that the language has taken is refused wherever it is declared, with a caret there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netdsl.diagnostics.catalogue import catalogue
from netdsl.frontend import check
from netdsl.sema.scopes import reserved
from tests.amounts import short

SPEC = """\
edition 1
dt = 1 ms
{top}
neuron source {{ state s = 0 }}
neuron unit{formal} {{
  input i
  {cell}
  state s = 0
  s := relu(i)
}}
population a : source[{axis}64]
population b : unit[10]
synapse plain(gain = 1{synapse}) {{ weight w ~ uniform(-1, 1); deliver i += gain * w * pre.s }}
rule hebb({rule_formal}rate = 0.01) {{ {rule} dw = rate * pre.s * post.s {optimise} }}
optimiser mine(rate = 0.1{optimiser_formal}) {{ {optimiser} change = rate * g }}
projection W : a -> b dense delay 1 step using plain() {{ learn hebb() }}
data digits {{ source = "digits"; batch = 20; {split}; split test = test }}
{after}
protocol train({protocol_formal}limit = 1) {{
  each batch of digits.train {{
    {step} reset; clamp a.s = sample.image; phase {phase} 5 steps learning
  }}
}}
readout y = b.s
metric m = mean(sum(y))
"""
SLOTS = (
    "top formal cell axis synapse rule_formal rule optimise optimiser_formal optimiser after "
    "protocol_formal step"
)
PARTS = dict.fromkeys(SLOTS.split(), "") | {"phase": "run", "split": "split dev = train"}

# Every kind of declaration: where it goes, and how it names NAME.
KINDS = {
    "param": ("top", "param NAME = 5"),
    "enumeration": ("top", "param NAME : {fast, slow} = slow"),
    "let": ("top", "let NAME = 5"),
    "control": ("top", "control NAME = 0"),
    "global": ("top", "global state NAME = 0"),
    "function": ("top", "function NAME(x) = x"),
    "argument of a function": ("top", "function double(NAME) = 2 * NAME"),
    "neuron": ("top", "neuron NAME { state s = 0 }"),
    "synapse": ("top", "synapse NAME() { weight w = 0; deliver i += w * pre.s }"),
    "rule": ("top", "rule NAME() { dw = pre.s }"),
    "optimiser": ("top", "optimiser NAME() { change = g }"),
    "initialiser": ("top", "initialiser NAME(a) ~ normal(0, a)"),
    "argument of an initialiser": ("top", "initialiser wide(NAME = 1) ~ normal(0, NAME)"),
    "trace": ("top", "trace NAME(tau) { value := value + source }"),
    "celltype": ("top", "celltype NAME sign +"),
    "population": ("after", "population NAME : source[3]"),
    "projection": ("after", "projection NAME : a -> b dense delay 1 step { deliver i += pre.s }"),
    "modulator": ("after", "modulator NAME on b { scope population; emit sum(s) }"),
    "data": ("after", 'data NAME { source = "digits"; batch = 2 }'),
    "pairs": ("after", "pairs NAME = wrong_label(digits)"),
    "loss": ("after", "loss NAME = mean(sum(b.s))"),
    "readout": ("after", "readout NAME = argmax(b.s)"),
    "metric": ("after", "metric NAME = mean(sum(y))"),
    "untaken branch": ("after", "when false { param NAME = 3 }"),
    "formal of a neuron": ("formal", "(NAME = 1)"),
    "param of a cell": ("cell", "param NAME = 3"),
    "per neuron": ("cell", "param NAME per neuron ~ uniform(0, 1)"),
    "input": ("cell", "input NAME"),
    "state": ("cell", "state NAME = 0"),
    "population state": ("cell", "population state NAME = 0"),
    "let of a cell": ("cell", "let NAME = 3"),
    "def": ("cell", "def NAME = 3"),
    "spike": ("cell", "spike NAME when i > 0"),
    "trace of a cell": ("cell", "trace NAME of i { tau = 3 ms }"),
    "draw": ("cell", "NAME ~ bernoulli(0.5)"),
    "axis": ("axis", "NAME: 1, other: "),
    "formal of a synapse": ("synapse", ", NAME = 3"),
    "formal of a rule": ("rule_formal", "NAME = 1, "),
    "let of a rule": ("rule", "let NAME = 3;"),
    "formal of an optimiser": ("optimiser_formal", ", NAME = 3"),
    "state of an optimiser": ("optimiser", "state NAME = 0;"),
    "let of an optimiser": ("optimiser", "let NAME = 1;"),
    "split": ("split", "split NAME = train"),
    "argument of a protocol": ("protocol_formal", "NAME = 3, "),
    "let of a protocol": ("step", "let NAME = 3;"),
    "phase": ("phase", "NAME"),
}
ALSO = {
    "function": ["max", "sum", "relu", "exp", "onehot", "size", "transpose"],
    "initialiser": ["uniform", "normal", "gram"],
    "rule": ["bptt"],
    "metric": ["split", "batches", "epoch"],
    "state": ["type", "sent", "received"],
    "def": ["sent"],
    "param of a cell": ["type"],
    "state of an optimiser": ["g", "w"],
    "formal of an optimiser": ["g"],
    "phase": ["prev", "before", "population"],
    "axis": ["population"],
}


def names(kind: str) -> Iterator[str]:
    """What no declaration of a kind may be called; in a short run a third of the names that none
    may have, another third for the next kind."""
    everywhere = () if kind in reserved.APART else tuple(reserved.EVERYWHERE)
    part = slice([*KINDS].index(kind) % 3, None, 3) if short() else slice(None)
    yield from (*everywhere[part], *ALSO.get(kind, ()))


def text_of(kind: str, name: str) -> tuple[str, int, int]:
    """A spec with one declaration of the kind, and where its name stands."""
    slot, declaration = KINDS[kind]
    text = SPEC.format(**{**PARTS, slot: declaration.replace("NAME", "NAME_")})
    line, column = next(
        (i, row.index("NAME_")) for i, row in enumerate(text.split("\n"), 1) if "NAME_" in row
    )
    return text.replace("NAME_", name), line, column + 1


def test_the_kinds_of_declaration_are_right() -> None:
    for kind in KINDS:
        text, _, _ = text_of(kind, "mine_too")
        assert [d for d in check(text).diagnostics if d.severity == "error"] == [], kind


@pytest.mark.varied
@pytest.mark.parametrize("kind", KINDS)
def test_one_error_at_the_declaration(kind: str) -> None:
    for name in names(kind):
        text, line, column = text_of(kind, name)
        found = [d for d in check(text).diagnostics if d.severity == "error"]
        places = [(d.code, d.primary.line, d.primary.column) for d in found]
        assert places == [("E0119", line, column)], (kind, name, [d.message for d in found])


@pytest.mark.parametrize(
    "declaration", ["metric {} = mean(sum(y))", "protocol {} {{ phase run 1 step }}"]
)
def test_what_no_expression_reads_may_be_called_so(declaration: str) -> None:
    for name in reserved.EVERYWHERE.keys() - {"epoch", "iteration"}:
        after = declaration.format(name)
        text = SPEC.format(**{**PARTS, "after": after})
        assert check(text).ok, name
        if name in ("t", "pi"):
            text = SPEC.format(**{**PARTS, "after": f"{after}\nmetric m2 = mean(sum(y)) + {name}"})
            found = [d for d in check(text).diagnostics if d.severity == "error"]
            assert [d.code for d in found] == ["E0119"], name


def test_the_page_lists_them() -> None:
    page = catalogue()["E0119"].cause
    assert all(f"`{name}`" in page for name in reserved.EVERYWHERE)


HIDDEN = {
    "g": {"optimiser": "let h = g;"},
    "w": {"optimiser": "let h = w;"},
    "fan_in": {"top": "param fan_in = 3\ninitialiser f() ~ normal(0, fan_in)",
               "after": "projection V : a -> b dense delay 1 step "
               "{ weight w ~ f(); deliver i += w * pre.s }"},
    "mag": {"after": "projection V : a -> b dense sign + delay 1 step { weight w ~ uniform(0, 1); "
            "deliver i += w * pre.s; learn hebb(); after update { mag := 0.9 * mag } }"},
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_a_body_with_a_name_of_its_own_hides_none_in_silence(name: str) -> None:
    parts = {**PARTS, "top": f"param {name} = 3", "optimise": "; optimise mine()"} | HIDDEN[name]
    found = [d for d in check(SPEC.format(**parts)).diagnostics if d.severity == "error"]
    assert [(d.code, d.primary.line) for d in found] == [("E0120", 3)]
    assert found[0].labels[0].text == "read here"
    parts["top"] = parts["top"].removeprefix(f"param {name} = 3")
    assert check(SPEC.format(**parts)).ok


def test_used_and_imported_files_too(tmp_path: Path) -> None:
    (tmp_path / "base.net").write_text("edition 1\nparam epoch = 3\n")
    for line in ('use "base.net"', "import base { epoch }"):
        (tmp_path / "spec.net").write_text(f"edition 1\n{line}\n")
        found = check(tmp_path / "spec.net").diagnostics
        assert [(d.code, Path(d.primary.source).name) for d in found] == [("E0119", "base.net")]


TWICE = {
    "arguments of a function": {"top": "function f(x, x) = x"},
    "arguments of a rule": {"rule_formal": "k = 1, k = 2, "},
    "arguments of a cell": {"formal": "(k = 1, k = 2)"},
    "argument and state of an optimiser": {"optimiser": "state rate = 0;"},
    "states of an optimiser": {"optimiser": "state m = 0; state m = 1;"},
    "states of a modulator": {
        "after": "modulator m2 on b { scope population; state z = 0; state z = 1; emit sum(z) }"
    },
    "axes": {"axis": "k: 1, k: "},
    "splits": {"split": "split dev = train; split dev = test"},
    "choices": {"top": "param mode : {fast, slow, fast} = slow"},
    "arguments of a protocol": {"protocol_formal": "k = 1, k = 2, "},
}


@pytest.mark.parametrize("case", TWICE)
def test_a_name_is_declared_once_in_its_place(case: str) -> None:
    text = SPEC.format(**{**PARTS, **TWICE[case]})
    found = [d.code for d in check(text).diagnostics if d.severity == "error"]
    assert found == ["E0102"]
