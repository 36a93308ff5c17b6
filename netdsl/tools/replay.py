"""Replaying a trace: given initial state and inputs, does a compiled spec give the same numbers?

A trace drives the innermost `each batch` body of a protocol once per presentation, with its own
samples in place of the data source, and compares the variables step by step. In memory a trace is
a `Trace` of `Presentation`s; `netdsl.tools.tracefile` reads and writes it as NPZ.

Keys of `feed` and `expect` are variable paths (`h1.v`), or `PHASE/path` where a protocol has
several phases. Arrays lead with the step, then the row: T steps, R rows, n neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from netdsl.runtime.model import Model

Array = NDArray[Any]


@dataclass(frozen=True)
class Presentation:
    """One pass through the innermost `each batch` body of a protocol.

    `sample`: fields (R, ...); `positive` defaults to ones and `shown_label` to `label`.
    `feed`: draws to use in place of the random ones, (T, R, n) or (T, R).
    `globals`: values of global states, controls and counters (`epoch`, `beta`, ...), written before
    the body and re-written whenever the protocol assigns them, so that a trace's own signs hold.
    `expect`: (T, R, ...) after each step, or (T + 1, R, ...) with the value before the first step
    in front; ROW variables (T, R). Variables that samples share leave R out.
    `final`: (R, n) or as the variable is, after the last step of the phase named in the key
    (without a phase: at the end of the body).
    `update`: arrays of any variable at the end of the body, after its updates (`W1.w`, `W1.dw`).
    `state`: written before the body, by path (`h1.v`, `W1.w`).
    """

    sample: Mapping[str, Array] = field(default_factory=dict)
    feed: Mapping[str, Array] = field(default_factory=dict)
    globals: Mapping[str, float] = field(default_factory=dict)
    expect: Mapping[str, Array] = field(default_factory=dict)
    final: Mapping[str, Array] = field(default_factory=dict)
    update: Mapping[str, Array] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)
    protocol: str = "train"
    name: str = ""


@dataclass(frozen=True)
class Trace:
    """Initial values by path (float64; (pre, post) for synapses) and what follows.

    `init` may name any weight, parameter, optimiser state or global state; what it leaves out
    keeps the value drawn at build. Per-sample states start from their reset, or from
    `Presentation.state`.
    """

    init: Mapping[str, Array]
    presentations: tuple[Presentation, ...]


@dataclass(frozen=True)
class Difference:
    """How far one variable was from the trace, over all presentations.

    `largest` is the largest absolute difference, at `worst` (presentation, step, index...);
    `relative` is the largest difference over the largest expected magnitude of the same array.
    `unequal` counts elements that differ at all, of `size`. `first` is the first place beyond the
    tolerance in the order of presentations and steps, or None; `missing` says why nothing could be
    compared.
    """

    path: str
    kind: str  # "step", "final" or "update"
    tolerance: float
    largest: float = 0.0
    relative: float = 0.0
    unequal: int = 0
    size: int = 0
    worst: tuple[int, ...] = ()
    first: tuple[int, ...] | None = None
    actual: float = 0.0
    expected: float = 0.0
    missing: str = ""

    @property
    def ok(self) -> bool:
        """Within tolerance, and compared at all."""
        return self.first is None and not self.missing


@dataclass(frozen=True)
class ReplayReport:
    """Differences by key (`h1.v`, `free/h1.r`, `update W1.w`), in order of comparison.

    `values` keeps the computed arrays of the keys asked for with `keep`: one array per
    presentation, shaped as expected.
    """

    differences: Mapping[str, Difference]
    values: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Every variable within its tolerance."""
        return all(difference.ok for difference in self.differences.values())


def tolerance_of(path: str, tolerance: float | Mapping[str, float]) -> float:
    """The tolerance of a key: a number for all, or by glob pattern, the first match wins."""
    from fnmatch import fnmatchcase

    if isinstance(tolerance, int | float):
        return float(tolerance)
    for pattern, value in tolerance.items():
        if path == pattern or fnmatchcase(path, pattern):
            return float(value)
    return 0.0


def replay(
    model: Model,
    trace: Trace,
    *,
    tolerance: float | Mapping[str, float] = 1e-5,
    keep: tuple[str, ...] = (),
) -> ReplayReport:
    """Run `trace` on a compiled `netdsl.api.Model` and compare.

    `tolerance`: absolute, for all keys or by glob pattern of the key. `keep`: keys whose computed
    values are returned too. Raises RunFault E0741 when a path is unknown or a shape does not fit.
    """
    from netdsl.tools.replayer import Replayer

    model.single("`replay`")
    return Replayer(model, trace, tolerance, keep).run()
