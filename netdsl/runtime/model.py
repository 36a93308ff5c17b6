"""A compiled spec with its values: what runs, evaluations and tools work on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.network import Network
from netdsl.ir.program import Program, Routine
from netdsl.ir.protocol import Evaluate
from netdsl.runtime.arrays import Arrays, given_arrays
from netdsl.runtime.errors import RunFault
from netdsl.runtime.steps import all_steps

if TYPE_CHECKING:
    from netdsl.backends.base import Executor
    from netdsl.ir.protocol import RunPhase
    from netdsl.locality import Certificate
    from netdsl.runtime.datasets import Datasets
    from netdsl.runtime.rewiring import Choice
    from netdsl.runtime.session import Session

Array = NDArray[Any]
Setting = str | int | float | bool


class State(MutableMapping[str, Array]):
    """Variables by path: `state["h1.v"]` reads a copy, assignment overwrites.

    Shapes: (R, n) for a neuron's per-sample variable, (R,) per sample, (n,) per neuron, (pre, post)
    per synapse, () for one number. Raises RunFault E0742 for an unknown path, E0722 for a shape.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, path: str) -> Array:
        return self._model.session.read(path)

    def __setitem__(self, path: str, value: Any) -> None:
        self._model.session.write(path, value)

    def __delitem__(self, path: str) -> None:
        raise TypeError("variables of a model cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        session = self._model.session
        found = [b.of or b.name for b in session.program.buffers.values() if not b.tag]
        yield from dict.fromkeys([*found, *session.host])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Model:
    """A compiled spec with its values. Buffers are allocated when they are first needed.

    Attributes: `network` and `program` (the two intermediate representations), `backend`, `dtype`,
    `seed`, `form` (that its rules were asked to run in), `options` (of the backend), `state`.
    `choice`: instead of draws, a function that says which synapses a `rewire` opens: given its name
    and the candidates by projection, (pre, post) of bool, it gives those chosen;
    `lambda name, closed: closed` opens all.
    """

    choice: Choice | None = None
    form: str = "auto"

    def __init__(
        self,
        network: Network,
        program: Program,
        backend: str = "auto",
        seed: int = 0,
        dtype: str = "float32",
        rows: int | None = None,
        data: Mapping[str, str] | None = None,
        base: Path | None = None,
        options: Mapping[str, Any] | None = None,
        arrays: Arrays | None = None,
    ) -> None:
        from netdsl.runtime.backend import BACKENDS, executor_class

        if backend != "auto" and backend not in BACKENDS:
            executor_class(backend)
        self.network, self.program = network, program
        self.backend, self.seed, self.dtype = backend, seed, dtype
        self.rows = self.full_rows = rows or default_rows(network)
        self.state = State(self)
        self.sources: dict[str, str] = {}
        self.overrides: dict[str, Setting] = {}
        self.data_paths = dict(data or {})
        self._base, self.options = base or Path(), dict(options or {})
        if network.arrays:
            given = given_arrays(network, arrays or {}, self.data_paths, self._base)
            self.program = replace(program, given=given)
        self._filed = [name for name in network.arrays if name not in (arrays or {})]
        self._session: Session | None = None
        self._datasets: Datasets | None = None
        self._certificate: Certificate | None = None
        self._phase: tuple[str, int, int] | None = None
        self._ran: list[tuple[str, int]] = []  # phases since the last reset of all, with steps

    def variant(self, network: Network, program: Program) -> Model:
        """A model of another network, nothing of which has run, on the same data and arrays."""
        made = copy(self)
        made.network, made.program = network, replace(program, given=self.program.given)
        made.state, made._session, made._datasets = State(made), None, None
        made._certificate, made._phase, made._ran = None, None, []
        return made

    # ------------------------------------------------------------- what it stands on

    @property
    def session(self) -> Session:
        """The values; allocated now if they were not. Raises RunFault E0820 for lack of memory."""
        if self._session is None:
            from netdsl.runtime.empty_blocks import empty_blocks
            from netdsl.runtime.rewiring import check_budgets
            from netdsl.runtime.session import Session

            made = Session(self.network, self.program, self._executor(), self.seed)
            check_budgets(made)
            with made.focused(0 if made.members else None):
                for line in empty_blocks(made):
                    print(line, file=sys.stderr)
            self._session = made
        return self._session

    def _executor(self) -> Executor:
        from netdsl.diagnostics.waiting import slow
        from netdsl.runtime.backend import choose, make_auto, make_ensemble, make_executor
        from netdsl.runtime.initial import initial_values
        from netdsl.runtime.memory import require_memory

        ensemble = self.network.ensemble
        members = ensemble.count if ensemble is not None else 1
        require_memory(self.program, self.rows, self.dtype, members=members)
        with slow("drawing the start values"):
            initial = initial_values(self.program, self.seed)
        common: dict[str, Any] = {"rows": self.rows, "dtype": self.dtype, "seed": self.seed}
        if self.backend == "auto" and not self.options:
            self.backend, executor = make_auto(self.program, initial, **common)
        else:
            self.backend, _ = choose(self.backend)
            more = {**common, **self.options}
            executor = make_executor(self.backend, self.program, initial, **more)
        return executor if ensemble is None else make_ensemble(executor, ensemble)

    def single(self, what: str) -> None:
        """Let member 0 stand for an ensemble from now on, with the values that it has, and say
        that `what` needs one network."""
        if self.network.ensemble is None:
            return
        line = f"{what} is of one network: member 0 of the ensemble, as without its line"
        print(line, file=sys.stderr)
        kept = None
        if self._session is not None:
            with self._session.focused(0):
                kept = self._session.parameters()
        self.close()
        self.network = replace(self.network, ensemble=None)
        if kept is not None:
            self.session.set_parameters(kept)

    @property
    def datasets(self) -> Datasets:
        """The spec's data, opened when first read."""
        if self._datasets is None:
            from netdsl.runtime.datasets import Datasets

            named = {k: v for k, v in self.data_paths.items() if k not in self.network.arrays}
            self._datasets = Datasets(self.network, named, self._base, self.seed)
        return self._datasets

    def places(self) -> dict[str, str]:
        """Absolute paths of the files of data and arrays, by declaration."""
        paths, declared = self.data_paths, self.network.arrays
        found = {name: Path(paths.get(name) or self._base / declared[name]) for name in self._filed}
        return self.datasets.places() | {k: str(path.resolve()) for k, path in found.items()}

    def reserve(self, rows: int | None = None, *, exact: bool = False) -> None:
        """Make room for `rows` samples at a time (default: what the spec's batches need).

        `exact` gives back what is not needed. Shared values are kept, per-sample ones are not when
        the room changes.
        """
        wanted = self.full_rows if rows is None else rows
        room = max(wanted, 1) if exact else max(wanted, self.rows, 1)
        if room == self.rows:
            return
        before = self._session
        kept = before.parameters() if before is not None else {}
        self.rows = room
        self.close()
        if before is not None:
            self.session.set_parameters(kept)
            self.session.draws = before.draws
            for path, value in before.host.items():
                self.session.set_host(path, value)

    def close(self) -> None:
        """Release what the backend holds; the next use starts from the build-time values."""
        if self._session is not None:
            self._session.executor.close()
            self._session = None

    # ------------------------------------------------------------- by hand

    def samples(self, split: str = "test", count: int | None = None) -> dict[str, Array]:
        """The first samples of a split (`"dev"`, `"digits.test"`) by field, for `present`."""
        from netdsl.runtime.choosing import split_of

        held = self.datasets.open(split_of(self, split)).split
        rows = held.rows if count is None else min(count, held.rows)
        return held.take(np.arange(rows))

    def present(self, **fields: Any) -> None:
        """Load samples by field: `model.present(image=x, label=y)`, arrays of R rows."""
        from netdsl.streams.draws import row_key

        arrays = {name: np.asarray(value) for name, value in fields.items()}
        rows = len(next(iter(arrays.values()))) if arrays else 1
        self.reserve(rows)
        epoch = int(self.session.host.get("epoch", 0))
        self.session.load(arrays, row_key(0, epoch, np.arange(rows)), 0, epoch)
        self._phase = None

    def reset(self, *targets: str) -> None:
        """`reset` of a protocol: all per-sample states, or those of the owners named."""
        self.session.reset(targets)
        self._phase = None
        if not targets:
            self._ran.clear()

    def phase(self, name: str, protocol: str | None = None, steps: int | None = None) -> None:
        """Run a whole phase on the samples present, with its clamps and controls."""
        step = self._find_phase(name, protocol)
        count = int(self.session.evaluate(step.steps)) if steps is None else steps
        with self.session.controls(step, count):
            self.session.executor.call(step.site, count)
        self._phase = None
        self._ran.append((step.site, count))

    def step(self, n: int = 1, phase: str | None = None, protocol: str | None = None) -> None:
        """Run `n` further steps of a phase; the first call, or another phase's name, begins it."""
        name = phase or self._default_phase(protocol)
        step = self._find_phase(name, protocol)
        if self._phase is None or self._phase[0] != step.site:
            self._phase = (step.site, int(self.session.evaluate(step.steps)), 0)
            self._ran.append((step.site, 0))
        site, total, done = self._phase
        with self.session.controls(step):
            for index in range(done, done + n):
                last = None if index + 1 == total else index + 1
                self.session.executor.call(site, max(total, index + 1), index, last)
        self._phase = (site, total, done + n)
        self._ran[-1] = (site, done + n)

    def update(self, *projections: str) -> None:
        """Run the `update` statement that names these projections (default: the only one)."""
        from netdsl.ir.protocol import Update

        found = [step for step in all_steps(self.network) if isinstance(step, Update)]
        chosen = [step for step in found if not projections or step.projections == projections]
        if not chosen:
            have = "; ".join(", ".join(step.projections) for step in found) or "none"
            raise RunFault("E0742", f"no `update {', '.join(projections)}`", f"there are: {have}")
        self._went_back(self.program.routines[chosen[0].site])
        self.session.executor.call(chosen[0].site)

    def _went_back(self, update: Routine) -> None:
        """Raises RunFault E0748 where a sweep would go back through what did not run."""
        if not update.through or not self._ran:
            return
        site, steps = self._ran[-1]
        again = sum(site == update.through for site, _ in self._ran) > 1
        if (site, steps) != (update.through, update.whole) or (update.fresh and again):
            whole = f"{update.whole} steps of `{self.program.routines[update.through].phase}`"
            once = ", and no others since a reset" if update.fresh else ""
            raise RunFault(
                "E0748",
                f"this `update` goes back through {whole}{once}, which is not what has run",
                'run the phase as a whole, or compile with `form="online"` what keeps states',
            )

    def rewire(self, name: str | None = None) -> None:
        """Run the `rewire` statement of that name (default: the only one)."""
        from netdsl.ir.protocol import Rewire
        from netdsl.runtime.rewiring import rewire

        found = {step.name: step for step in all_steps(self.network) if isinstance(step, Rewire)}
        chosen = next(iter(found)) if name is None and len(found) == 1 else name
        if chosen not in found:
            have = ", ".join(found) or "none"
            raise RunFault("E0742", f"no `rewire {chosen or ''}`", f"there are: {have}")
        rewire(self.session, found[chosen], self.choice)

    def _default_phase(self, protocol: str | None) -> str:
        names = dict.fromkeys(step.name for step in self._phases(protocol))
        if len(names) != 1:
            have = ", ".join(names) or "none"
            raise RunFault("E0742", "say which phase to step through", f"phases are: {have}")
        return next(iter(names))

    def _phases(self, protocol: str | None) -> list[RunPhase]:
        from netdsl.ir.protocol import RunPhase

        return [step for step in all_steps(self.network, protocol) if isinstance(step, RunPhase)]

    def _find_phase(self, name: str, protocol: str | None) -> RunPhase:
        phases = self._phases(protocol)
        for step in phases:
            if step.name == name:
                return step
        have = ", ".join(dict.fromkeys(step.name for step in phases)) or "none"
        raise RunFault("E0742", f"there is no phase `{name}`", f"phases are: {have}")

    # ------------------------------------------------------------- files

    def save_state(self, path: str | Path) -> None:
        """Store weights, optimiser states, parameters and global states by path (NPZ)."""
        from netdsl.runtime.archive import write_npz

        write_npz(Path(path), self.session.parameters())

    def load_state(self, path: str | Path) -> None:
        """Load what `save_state` stored. Raises RunFault: E0721 for an unknown or missing key,
        E0722 for another shape, E0725 for weights without synapses, E0720 or E0724 for the file."""
        from netdsl.runtime.state_file import check_state, check_synapses, read_state

        values = read_state(Path(path))
        shapes = {key: value.shape for key, value in self.session.parameters().items()}
        check_state(values, shapes, f"`{path}`")
        check_synapses(values, self.program, self.seed, f"`{path}`")
        self.session.set_parameters(values)

    # ------------------------------------------------------------- looking

    @property
    def certificate(self) -> Certificate:
        """The locality certificate."""
        if self._certificate is None:
            from netdsl.locality import certify

            self._certificate = certify(self.network)
        return self._certificate


def default_rows(network: Network) -> int:
    """The largest number of samples that the spec's batches and replays have; pairs double training
    ones, and those of evaluations that name pairs."""
    double = 2 if network.pairs else 1
    sizes = [max(d.batch * double, d.eval_batch) for d in network.data.values()]
    evaluated = [step for step in all_steps(network) if isinstance(step, Evaluate)]
    for ref in (ref for step in evaluated for ref in step.args):
        if ref.source in network.pairs:
            sizes.append(2 * network.data[network.pairs[ref.source].data].eval_batch)
    sizes += [memory.size for memory in network.memories.values() if memory.kind == "replay"]
    return max(sizes, default=1)
