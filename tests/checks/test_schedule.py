"""Zero-delay cycles, phases, updates and evaluations."""

from __future__ import annotations

from netdsl.checks import run
from netdsl.ir.expr import Const
from netdsl.ir.protocol import Clamp, Evaluate, Reset, RunPhase, Update
from tests.locality.systems import corinfomax, csdp, ep
from tests.networks import Builder


def codes(b: Builder) -> list[str]:
    return [d.code for d in run(b.network()) if d.code.startswith("E")]


def relay(delay: int = 0, late: bool = False) -> Builder:
    """Two populations joined both ways."""
    b = Builder()
    body = ("s = r", "r = relu(i)") if late else ("s = relu(i)",)
    b.population("a", body=body, input="i", state="s r")
    b.population("c", body=("s = relu(i)",), input="i", state="s")
    b.projection("Up", "a", "c", "i: w * pre.s")
    b.projection("Down", "c", "a", "i: w * pre.s", delay=delay)
    return b


def test_a_zero_delay_cycle_is_named() -> None:
    found = [d for d in run(relay().network()) if d.code == "E0501"]
    assert len(found) == 1
    assert found[0].message == "zero-delay cycle: `a` -Up-> `c` -Down-> `a`"
    assert len(found[0].labels) == 1


def test_a_delay_breaks_the_cycle() -> None:
    assert "E0501" not in codes(relay(delay=1))


def test_cycles_are_among_statements_not_populations() -> None:
    # `s` is assigned before the input is read, so it can be sent first.
    assert "E0501" not in codes(relay(late=True))


def test_a_definition_sends_what_it_reads() -> None:
    b = Builder()
    b.population("a", body=("x = x + back",), input="mu back", state="x", defs={"e": "x - mu"})
    b.population("c", body=("x = x + mu",), input="mu", state="x")
    b.projection("Up", "c", "a", "mu: w * pre.x", delay=0)
    b.projection("Down", "a", "c", "mu: w * pre.e", delay=0)
    assert "E0501" in codes(b)


def test_a_population_that_waits_for_itself() -> None:
    b = Builder()
    b.population("a", body=("s = relu(i)",), input="i", state="s")
    b.projection("R", "a", "a", "i: w * pre.s")
    found = [d for d in run(b.network()) if d.code == "E0501"]
    assert "`a` -R-> `a`" in found[0].message


def test_published_systems_pass() -> None:
    for b in (csdp(), corinfomax(), ep()):
        assert codes(b) == []


def test_update_before_its_phase() -> None:
    b = ep()
    b.protocol("train", RunPhase("nudged", Const(1)), Update(("W1",), span=b.span()))
    b.protocol("other", RunPhase("free", Const(1)))
    found = [d for d in run(b.network()) if d.code == "E0522"]
    assert found
    assert all("phase `free`, which has not run" in d.message for d in found)


def test_reset_forgets_phases() -> None:
    b = ep()
    b.protocol(
        "train", RunPhase("free", Const(1)), RunPhase("nudged", Const(1)), Reset(), Update(("W1",))
    )
    assert "E0522" in codes(b)


def test_unknown_phase() -> None:
    b = ep()
    b.protocol("train", RunPhase("free", Const(1)), Update(("W1",)))
    found = [d for d in run(b.network()) if d.code == "E0522"]
    assert found[0].message == "no protocol runs a phase `nudged`"


def test_evaluation_must_not_learn() -> None:
    b = csdp()
    b.protocol("other", Evaluate("train", (), "dev", span=b.span()))
    assert codes(b) == ["E0523"]


def test_clamp_of_an_input_with_projections() -> None:
    b = csdp()
    b.protocol("train", Clamp("h1.j", Const(1), span=b.span()), Clamp("img.p", Const(1)))
    assert codes(b) == ["E0525"]


def test_lints_for_what_never_learns_and_is_never_used() -> None:
    b = csdp()
    b.population("spare", input="i", state="x", body=("x = i",))
    b.protocol("train", RunPhase("run", Const(1), frozenset({"W1", "W2", "V2"})))
    found = [d for d in run(b.network()) if d.severity == "lint"]
    assert {"L0501", "L0601"} <= {d.code for d in found}
    assert any(d.message == "`C2` never learns: no learning phase names it" for d in found)
