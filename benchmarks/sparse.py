"""Milliseconds of a step of a sparse recurrent network, beside SciPy's sparse matrices.

python -m benchmarks.sparse                     4000 units, 2 % of the synapses, 1 and 64 samples
python -m benchmarks.sparse --units 10000 --share 0.01

All candidates run in this process, on one thread, in turns. In float32 their spikes drift apart by
rounding, so that only shares of spikes can be compared.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import Array, parser, peer

STEPS = 50
SPEC = """edition 1
neuron cell {
  input j
  state v ~ uniform(0, 1)
  v := v + 0.05 * (1.2 - v) + j
  spike s when v > 1 { v := 0 }
}
population net : cell[UNITS]
projection R : net -> net sparse(p = SHARE) no_self fixed delay 1 step {
  weight w ~ normal(0, 0.02)
  deliver j += w * pre.s
}
data digits { source = "digits" }
protocol train { each batch of digits.train { reset; phase run 50 steps } }
"""


def main(arguments: list[str] | None = None) -> int:
    """Print medians per candidate and number of samples."""
    made = parser(__doc__ or "")
    made.add_argument("--units", type=int, default=4000)
    made.add_argument("--share", type=float, default=0.02, help="of existing synapses")
    options = made.parse_args(arguments)
    text = SPEC.replace("UNITS", str(options.units)).replace("SHARE", str(options.share))
    print(f"{options.units} units, {options.share:.1%} of the synapses, ms a step, one thread")
    for rows in (1, 64):
        candidates = _candidates(text, options.backends.split(","), rows)
        times = _measured({name: run for name, (run, _) in candidates.items()}, options.repeats)
        for name, found in times.items():
            ratio, active = times["SciPy"] / found, candidates[name][1]().mean()
            print(
                f"{rows:>3} samples  {name:<18}  {found:9.4f}  {ratio:6.2f} x"
                f"  {active:.2%} spike at the last step"
            )
    return 0


Candidate = tuple[Callable[[], None], Callable[[], Array]]


def _candidates(text: str, backends: list[str], rows: int) -> dict[str, Candidate]:
    from netdsl.api import Model
    from netdsl.frontend import check
    from netdsl.passes import lower

    network = check(text, lower=False).require()
    found: dict[str, Candidate] = {}
    forms = [(backend, form) for backend in backends for form in ("edges", "masked")]
    for backend, form in forms:
        model = Model(network, lower(network, synapses=form), backend, dtype="float32", rows=rows)
        found[f"{backend} {form}"] = _simulated(model, rows)
    found["SciPy"] = _by_hand(model, rows, listed=False)
    found["SciPy, spikes too"] = _by_hand(model, rows, listed=True)
    return found


def _simulated(model: Any, rows: int) -> Candidate:
    model.present(label=np.zeros(rows))

    def run() -> None:
        model.reset()
        model.phase("run", "train")

    return run, lambda: np.asarray(model.state["net.s"])


def _by_hand(model: Any, rows: int, listed: bool) -> Candidate:
    """The same equations with the same weights and starts; `listed`: spikes are sparse as well."""
    csr_array = peer("scipy.sparse").csr_array
    weights = csr_array(model.state["R.w"])
    model.reset()
    start = model.state["net.v"]
    last = np.zeros_like(start)

    def run() -> None:
        v, s = start.copy(), np.zeros_like(start)
        for _ in range(STEPS):
            sent = (csr_array(s) @ weights).toarray() if listed else s @ weights
            v += np.float32(0.05) * (np.float32(1.2) - v) + sent
            np.greater(v, 1, out=s, casting="unsafe")
            v[s > 0] = 0
        last[...] = s

    return run, lambda: last


def _measured(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median milliseconds of a step; candidates take turns."""
    from threadpoolctl import threadpool_limits

    times: dict[str, list[float]] = {name: [] for name in runs}
    with threadpool_limits(1):
        for _ in range(repeats + 1):
            for name, run in runs.items():
                begun = time.perf_counter()
                run()
                times[name].append(1e3 * (time.perf_counter() - begun) / STEPS)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


if __name__ == "__main__":
    sys.exit(main())
