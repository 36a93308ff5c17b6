"""A time step that is none gets its message, whatever durations are divided by it."""

from __future__ import annotations

import pytest

from netdsl.frontend import check

BODY = """
neuron cell {{ param tau = 20 ms; input j; state v = 0
  d v/dt = (j - v) / tau
  integrate v with {method}
  spike s when v > 1 {{ v := 0; refractory 2 ms }}
  trace z of s {{ tau = 5 ms }} }}
population a : cell[3]
projection W : a -> a dense delay 2 ms {{ weight w = 0.1; deliver j += w * pre.s }}
data d {{ source = "digits"; batch = 2 }}
protocol train {{ each batch of d.train {{ phase run 4 ms }} }}
record a.s every 2 ms on test
"""


@pytest.mark.parametrize("method", ["euler", "exact", "rk4", "auto"])
@pytest.mark.parametrize("dt", ["1 mV", "0 ms", "-1 ms", "0 / 0", "nowhere", "2 steps"])
def test_wrong_dt(dt: str, method: str) -> None:
    checked = check(f"edition 1\ndt = {dt}{BODY.format(method=method)}")
    errors = [found for found in checked.diagnostics if found.severity == "error"]
    assert errors and errors[0].primary.line == 2
    assert all(found.code != "E0899" for found in errors)
