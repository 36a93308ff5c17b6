"""What the generator leaves out, each for a fault that is known and being mended elsewhere.

A flag set to True lets the generator write such specs, or the runner make such a comparison, from
then on: set it when the mend is in. `NETDSL_DIFFERENTIAL_ALL=1` sets them all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Known:
    """What is False is refused by the compiler today, or not generated."""

    carried_rows: bool = True  # no `reset`, `reset X`, `keep`, with smaller last batches
    start_values: bool = True  # protocols without `reset`, states that start at other than 0
    delay_lines: bool = True  # clamped inputs and states sent with a delay, across resets
    floor_division: bool = True  # `//` and `%` of computed reals
    nan: bool = False  # NaN in a state that `max`, `min` and `sign` read: such a run ends (E0416)
    bool_clamps: bool = False  # a `bool` state clamped to fractions
    float32_sums: bool = True  # readouts of float32 runs against those of float64
    slow_rates: bool = True  # exponential Euler where rate * dt is tiny
    own_counters: bool = True  # parameters and populations named `epoch`, `sample`: refused
    evaluation_keys: bool = True  # draws in evaluations: the same figures under any label
    phase_extremes: bool = True  # `max(x over phase)` in readouts


KNOWN = Known()
if os.environ.get("NETDSL_DIFFERENTIAL_ALL"):
    KNOWN = Known(**{field.name: True for field in fields(Known)})
