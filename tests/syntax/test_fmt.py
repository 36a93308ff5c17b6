"""The layout that the formatter gives, as text in and text out."""

from __future__ import annotations

import pytest

from netdsl.diagnostics import DiagnosticError
from netdsl.syntax.fmt import format_source

_UGLY = """\
# head


edition 1   # one
param  a=3   "doc"


neuron cell{input j;state v=0
      # about v
   v:=v+j   # add

   spike s when v>1{v:=0}   # fire
   # last words
}
neuron small { input p; s~bernoulli(p) }   # one line
when a==1{
  # then
  let b = 1 # b
  # end of then
} else {   # other
  # begin of else
  let b = 2
}
let c = (1 +  # first
   2)
# tail
"""
_NEAT = """\
# head

edition 1  # one
param a = 3 "doc"

neuron cell {
  input j; state v = 0
  # about v
  v := v + j  # add

  spike s when v > 1 { v := 0 }  # fire
  # last words
}
neuron small { input p; s ~ bernoulli(p) }  # one line
when a == 1 {
  # then
  let b = 1  # b
  # end of then
} else {  # other
  # begin of else
  let b = 2
}
# first
let c = 1 + 2
# tail
"""


def test_layout() -> None:
    assert format_source(_UGLY) == _NEAT
    assert format_source(_NEAT) == _NEAT


def test_long_lines_are_broken_and_blocks_opened() -> None:
    text = "let a = " + " + ".join(f"name_{i} * 2" for i in range(12)) + "\n"
    printed = format_source(text)
    assert max(map(len, printed.split("\n"))) <= 100
    assert format_source(printed) == printed
    block = "rule r { " + "; ".join(f"let name_{i} = {i}" for i in range(9)) + " }\n"
    assert format_source(block).startswith("rule r {\n  let name_0 = 0\n")


def test_errors_are_not_formatted() -> None:
    with pytest.raises(DiagnosticError):
        format_source("let a = = 2\n")
