"""The verifier finds what is broken, and nothing in what lowering makes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netdsl.ir.text import parse_program
from netdsl.ir.verify import BrokenProgram, faults, verify
from tests.programs import PROGRAMS

SOUND = """
program p
population a 3
population b 4
projection W 3 4
buffer a.s unit state owner=a
buffer b.j unit input owner=b
buffer b.v unit state owner=b
buffer b.n neuron parameter owner=b
buffer b.sum row scratch owner=b
buffer W.w synapse weight owner=W
buffer W.m synapse optimiser owner=W
buffer g global control owner=""
buffer a.line unit snapshot owner=a slots=3

routine go phase
  step: push a.line := a.s
  step: b.j := a.s . W.w projection=W scale=(g)
  step: cells b
    %x = b.v + b.n + %k
    b.sum := sum(%x over population)
    b.v := b.v + b.sum
    scalars: %k = g * 2.0
  step: synapses W
    sums: %d = batch_sum(a.s x b.v) coefficient=(W.m)
    W.w := W.w + %d
    before: g := g + 1.0
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_hand_made_programs_are_sound(name: str) -> None:
    verify(PROGRAMS[name]())


def test_sound() -> None:
    verify(parse_program(SOUND))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("b.j := a.s . W.w", "b.j := b.v . W.w", "`b.v` has not"),
        ("b.j := a.s . W.w", "a.s := b.v . W.w", "`b.v` has not"),
        ("b.j := a.s . W.w", "b.j := a.s . b.v", "`b.v` has not"),
        ("b.j := a.s . W.w", "b.j := a.t . W.w", "no buffer `a.t`"),
        ("scale=(g)", "scale=(b.n)", "`b.n` has not"),
        ("scale=(g)", "scale=(g) pre_slice=(1, 3)", "`a.s` has not"),
        ("%x = b.v + b.n", "%x = b.v + a.s", "`a.s` has not"),
        ("push a.line := a.s", "push b.v := a.s", "pushed into and has no slots"),
        ("push a.line := a.s", "a.line := a.s", "has slots and is not pushed into"),
        ("push a.line := a.s", "a.s := a.line", "has slots and is read whole"),
        ("owner=a slots=3", "owner=a slots=3 packed=true", "is packed, and no ring of a bool"),
        ("b.j := a.s . W.w", "b.j := a.s . W.w ago=1", "has 1 slots, and one 1 pushes ago"),
        ("b.j := a.s . W.w", "b.j := a.line . W.w ago=3", "has 3 slots, and one 3 pushes ago"),
        ("a.s x b.v)", "a.line x b.v) pre_ago=4", "has 3 slots, and one 4 pushes ago"),
        ("%x = b.v + b.n", "%x = b.v + W.w", "`W.w` has not"),
        ("b.v := b.v + b.sum", "b.v := %x", "%x is read before it is bound"),
        ("b.v := b.v + b.sum", "b.v := %y", "%y is read before it is bound"),
        ("b.v := b.v + b.sum", "b.v := index(pre)", "no pre index"),
        ("b.v := b.v + b.sum", "b.v := grad(b.v)", "`grad` of 1 arguments"),
        ("b.v := b.v + b.sum", "b.v := exp(b.v, g)", "`exp` of 2 arguments"),
        ("b.v := b.v + b.sum", "b.v := sum(b.v over batch)", "Reduce is left"),
        ("b.v := b.v + b.sum", "b.v := ref(b.v own now)", "Ref is left"),
        ("b.sum := sum", "b.v := sum", "`b.v` has not"),
        ("scalars: %k = g * 2.0", "scalars: %k = b.v", "`b.v` has not"),
        ("batch_sum(a.s x b.v)", "batch_sum(b.v x a.s)", "has not"),
        ("coefficient=(W.m)", "coefficient=(b.v)", "`b.v` has not"),
        ("W.w := W.w + %d", "W.w := W.w + %e", "%e is read before"),
        ("W.w := W.w + %d", "W.w := index(own)", "no own index"),
        ("before: g := g + 1.0", "before: g := W.m", "`W.m` has not"),
        ("b.j := a.s . W.w projection=W", "b.j := a.line . W.w projection=W ago=3", "3 slots"),
        ("%x = b.v + b.n", "%x = b.v[1]", "1 slots"),
        ("push a.line := a.s", "push a.line := b.v", "`b.v` has not"),
        ("routine go phase", "routine go update", "only phases have steps"),
        ("buffer W.m synapse optimiser owner=W", "buffer W.m synapse optimiser owner=a", "owns no"),
    ],
)
def test_a_broken_promise_is_named(old: str, new: str, says: str) -> None:
    assert old in SOUND
    program = parse_program(SOUND.replace(old, new))
    assert any(says in fault for fault in faults(program)), list(faults(program))
    with pytest.raises(BrokenProgram):
        verify(program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_buffer_that_is_missing_is_found(name: str) -> None:
    program = PROGRAMS[name]()
    for dropped in sorted(set().union(*(r.reads | r.writes for r in program.routines.values()))):
        rest = {name: held for name, held in program.buffers.items() if name != dropped}
        with pytest.raises(BrokenProgram):
            verify(replace(program, buffers=rest))
