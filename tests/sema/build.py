"""Small specifications for the tests of the analysis."""

from __future__ import annotations

from netdsl.ir.network import Network
from netdsl.sema import Analysis, analyse
from netdsl.sema.scopes.overrides import Raw
from netdsl.syntax.parser import parse_or_raise

NET = """\
edition 1
{top}
neuron source {{ state s = 0 }}
neuron unit {{ {unit} }}
population a : source[4]
population b : unit[3] {over}
{rules}
projection W : a -> b dense delay {delay} {{
  weight w ~ {weight}
  deliver i += w * pre.s
  {body}
}}
{more}
data digits {{ source = "digits"; batch = 20 }}
protocol train(epochs = 2) {{
  each epoch {{ each batch of digits.train {{ reset; {steps} }} }}
}}
"""


def text(
    *,
    top: str = "",
    unit: str = "input i; state s = 0; s := relu(i)",
    over: str = "",
    rules: str = "",
    delay: str = "1 step",
    weight: str = "uniform(-1, 1)",
    body: str = "",
    more: str = "",
    steps: str = "phase run 5 steps",
) -> str:
    """A whole specification."""
    return NET.format(
        top=top, unit=unit, over=over, rules=rules, delay=delay, weight=weight, body=body,
        more=more, steps=steps,
    )  # fmt: skip


def analysis(overrides: dict[str, Raw] | None = None, **parts: str) -> Analysis:
    """The analysis of `text(**parts)`."""
    written = text(**parts)
    return analyse(parse_or_raise(written), written, "test.net", overrides)


def network(overrides: dict[str, Raw] | None = None, **parts: str) -> Network:
    """The network of `text(**parts)`, which must be free of errors."""
    found = analysis(overrides, **parts)
    assert found.network is not None, [d.message for d in found.diagnostics]
    return found.network


def codes(overrides: dict[str, Raw] | None = None, **parts: str) -> list[str]:
    """Codes of all errors."""
    found = analysis(overrides, **parts).diagnostics
    return [d.code for d in found if d.severity == "error"]
