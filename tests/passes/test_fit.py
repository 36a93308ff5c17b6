"""No operation of a program reads or writes beyond the end of a buffer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netdsl.frontend import check, lower_network
from netdsl.ir.expr import Load, transform
from netdsl.ir.fit import misfits
from netdsl.ir.network import Place
from netdsl.ir.program import Elementwise, Op, Program, Propagate, Routine, SynapseUpdate
from netdsl.ir.roles import mapped

ROOT = Path(__file__).resolve().parents[2]
SPECS = [
    *sorted((ROOT / "specs").glob("*.net")),
    *sorted((ROOT / "tests" / "specs").glob("*.net")),
    *sorted((ROOT / "tests" / "valid").glob("*.net")),
]

# Populations of different sizes, everything that an expression may stand in marked `«place»`.
NETWORK = """edition 1
neuron src { state s = 0 }
neuron hid {
  param tau per neuron ~ uniform(1, 2)
  input j; input fb; state r = 0; state q = 0
  spike k when r > 0.5 { r := 0«reset» }
  r := tanh(j + fb) / tau«cell»
  def e = r«def»
  on phase { q := 0«entry» }
}
neuron out {
  param tau per neuron ~ uniform(1, 2)
  input j; state r = 0; state e = 0; r := tanh(j) / tau; e := 1 - r
  def d = e + j
}
population x : src[64]
population h : hid[50]
population o : out[10]
modulator om on o { scope population; emit sum(r) }
modulator hm on h { scope population; emit sum(r«emit») }
rule r1 {
  dw = post.fb * pre.s * hm«dw»; optimise mine(rate = 0.1«argument»); subtract 0.1 * w«subtract»
  after update { w := w«after» }
}
optimiser mine(rate) { state m = 0; m := 0.9 * m + g«state»; change = rate * m«change» }
projection W1 : x -> h dense delay 0 {
  weight w ~ normal(0, 0.1); deliver j += w * pre.s«deliver»; learn r1(); bound w in [-1, 1«bound»]
}
projection W2 : h -> o dense delay 0 {
  weight w ~ normal(0, 0.1); deliver j += w * pre.r«sent»
}
projection L : o -> h dense fixed delay 1 step {
  weight w ~ normal(0, 1); deliver fb += w * pre.e
}
control c = 0
global state gs = 1
data digits { source = "digits"; batch = 32 }
protocol train { each batch of digits.train {
  reset; clamp x.s = sample.image«clamp»; set h.q := 1«set»
  phase run 2 steps learning { c = 1«control» }
  gs := 1«global»
} }
readout y = sum(h.r@run«readout»)
metric m = mean(y«metric»)
"""
PLACES = [part.split("»")[0] for part in NETWORK.split("«")[1:]]
FOREIGN = ["o.e", "o.d", "o.j", "o.tau", "W2.w", "L.w", "mean(W2.w)", "x.s", "om", "o.e@run"]


def written(place: str, value: str) -> str:
    text = NETWORK
    for name in PLACES:
        text = text.replace(f"«{name}»", f" + {value}" if name == place else "")
    return text


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_fits(path: Path) -> None:
    program = lower_network(check(path, lower=False).require())
    assert not list(misfits(program))


@pytest.mark.parametrize("value", FOREIGN)
@pytest.mark.parametrize("place", PLACES)
def test_values_of_others_are_refused_or_fit(place: str, value: str) -> None:
    found = check(written(place, value))
    if found.ok and found.network is not None:
        assert not list(misfits(lower_network(found.network)))
    for diagnostic in found.diagnostics:
        assert diagnostic.severity != "error" or diagnostic.primary.line > 1


def test_the_network_itself_is_accepted() -> None:
    assert check(written("", "")).ok


def misread(op: Op, right: str, wrong: str) -> Op:
    """The operation with one buffer exchanged wherever it reads it."""

    def visit(node: object) -> Load | None:
        return Load(wrong) if node == Load(right) else None

    if isinstance(op, Elementwise | SynapseUpdate):
        moved = tuple(mapped(s, lambda value: transform(value, visit)) for s in op.statements)
        return replace(op, statements=moved)  # type: ignore[arg-type]
    if isinstance(op, Propagate) and op.source == right:
        return replace(op, source=wrong)
    return replace(op, weight=wrong) if isinstance(op, Propagate) and op.weight == right else op


def exchanged(program: Program, right: str, wrong: str) -> Program:
    def moved(routine: Routine) -> Routine:
        sections = {
            name: tuple(misread(op, right, wrong) for op in getattr(routine, name))
            for name in ("once", "step", "after")
        }
        return replace(routine, **sections)

    return replace(program, routines={n: moved(r) for n, r in program.routines.items()})


def test_any_exchanged_buffer_is_found() -> None:
    """The check itself can fail: each buffer that is read, exchanged for one of another space."""
    program = lower_network(check(written("", "")).require())
    large = (Place.UNIT, Place.SYNAPSE)
    names = [name for name, held in program.buffers.items() if held.place in large]
    size = {"x": 64, "h": 50, "o": 10}
    tried = 0
    for right in names:
        for wrong in names:
            a, b = program.buffers[right], program.buffers[wrong]
            if (a.place, size.get(a.owner, a.owner)) == (b.place, size.get(b.owner, b.owner)):
                continue
            mutant = exchanged(program, right, wrong)
            if mutant.routines != program.routines:
                tried += 1
                assert list(misfits(mutant)), (right, wrong)
    assert tried > 100
