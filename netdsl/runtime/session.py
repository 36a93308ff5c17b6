"""A program with its values: what the protocol interpreter reads and writes, by path.

The executor holds every buffer. The host keeps what protocols assign (controls, global states,
counters) and the fields of the batch that is present, and mirrors into the executor what the
program reads of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.base import Executor
from netdsl.ir.expr import NOW, Apply, Const, Expr, Load, Reduce, Ref, transform
from netdsl.ir.network import Kind, Network, Place, Type
from netdsl.ir.places import shape_of
from netdsl.ir.program import Buffer, Key, Program
from netdsl.ir.protocol import RunPhase
from netdsl.passes.lower.readout import SETTLE, STEPS, accumulator_key, settled_reads, windows
from netdsl.runtime.errors import RunFault
from netdsl.runtime.holding import Holding
from netdsl.runtime.host import Closure, HostCompiler, Matrix, PlaceOf, Read, as_matrix, plain_key
from netdsl.runtime.memories import made, none_held
from netdsl.runtime.refusals import not_kept, require_binary, require_partition
from netdsl.runtime.series import sample_values
from netdsl.runtime.whole import BACKEND_COUNTERS, PER_SAMPLE, Arrays, Whole
from netdsl.streams.draws import PhiloxStream, row_key

Array = NDArray[Any]

_HOST_KINDS = (Kind.CONTROL, Kind.GLOBAL, Kind.COUNTER)
_STARTS = ("start", "reset")  # kinds of routines that give rows their declared values


class Session(Whole, Holding):
    """The present state of one network on one executor.

    `host`: values of controls, global states, counters and protocol parameters by path.
    `fields`: the present batch's fields on the host, by field name. `started`: how many rows have
    had their start values; a larger batch gives theirs to the rest.
    """

    def __init__(self, network: Network, program: Program, executor: Executor, seed: int) -> None:
        super().__init__(network, program)
        self.executor, self.seed = executor, seed
        self.fields: Arrays = {}
        self.keys: NDArray[np.uint64] = np.zeros(executor.rows, np.uint64)
        if not network.data:  # rows that nothing else will name
            self.keys = row_key(0, 0, np.arange(executor.rows))
        self.draws: dict[str, int] = {}
        self.memories = none_held(network)
        self.paces: dict[str, float] = {}  # seconds that a batch takes, by the site of its loop
        self._signs: dict[str, PhiloxStream] = {}
        self._closures: dict[Expr, Closure] = {}
        self._scalars = {k: self.compile(e) for k, e in program.host_scalars.items()}
        self.windows = windows(program)  # phases of whose last steps something is read
        self._settled = {ref.path for ref in settled_reads(network)}
        self._choices = executor.choices()
        self._start_host()
        self.started = 0
        self._begin(0, executor.rows, self.keys)

    @property
    def rows(self) -> int:
        """Samples present."""
        return self.executor.rows

    # ------------------------------------------------------------- host values

    def _start_host(self) -> None:
        for path, variable in self.network.variables.items():
            if variable.kind in _HOST_KINDS and path not in BACKEND_COUNTERS:
                init = variable.init
                value = init.value if isinstance(init, Const) else 0
                if isinstance(init, Expr) and not isinstance(init, Const):
                    value = self.evaluate(init)
                self.set_host(path, float(value))
        for path in ("epoch", "iteration", "batch.index", "batch.rows"):
            self.host.setdefault(path, 0.0)

    def set_host(self, path: str, value: float) -> None:
        """Assign a control, global state or counter, and its buffer if the program has one."""
        self.host[path] = value
        name = self.program.find(path)
        if name is not None and self.program.buffers[name].place is Place.GLOBAL:
            self.executor.write(name, value)

    @contextmanager
    def controls(self, step: RunPhase, steps: int | None = None) -> Iterator[None]:
        """What a phase sets, while it runs; controls get their old values back. `steps`: how many
        it has, if not as many as it says."""
        before = {path: self.host[path] for path, _ in step.controls}
        values = [(path, self.evaluate(value)) for path, value in step.controls]
        values += self.told_steps(step, steps)
        try:
            for path, value in values:
                self.set_host(path, value)
            yield
        finally:
            for path, held in before.items():
                self.set_host(path, held)

    def told_steps(self, step: RunPhase, steps: int | None = None) -> list[tuple[str, float]]:
        """What says how many steps a phase has, where something is read of its last ones. Raises
        RunFault E0534 where it has fewer, or others than its code was made for."""
        window = self.windows.get(step.site)
        if window is None:
            return []
        told = int(self.evaluate(step.steps))
        count = told if steps is None else steps
        if count < window or (isinstance(step.steps, Const) and count != told):
            raise RunFault(
                "E0534",
                f"phase `{step.name}` has {count} steps here, and its last {window} are asked for",
                f"run all of its {told} steps" if told >= window else "make the phase longer",
            )
        return [(STEPS, float(count))]

    def random_sign(self, path: str, call: int = 0) -> float:
        """The next of the signs that `random_sign()` draws for `path`: +1 or -1. `call` is that of
        row keys: 0 for training."""
        count = self.draws.get(path, 0)
        self.draws[path] = count + 1
        if path not in self._signs:
            self._signs[path] = PhiloxStream(self.seed, f"{path}.random_sign")
        key = np.atleast_1d(row_key(call, 0, count))
        return float(self._signs[path].random_sign(key, 0)[0, 0])

    def with_signs(self, value: Expr, path: str, call: int) -> Expr:
        """What a protocol assigns to `path`, with its random signs drawn."""

        def draw(node: Expr) -> Expr | None:
            if isinstance(node, Apply) and node.function == "random_sign":
                return Const(self.random_sign(path, call))
            return None

        return transform(value, draw)

    # ------------------------------------------------------------- expressions

    def place_of(self, key: Key) -> Place:
        """Place of a value; KeyError-free: an unknown one is an internal fault."""
        if key.of in self.host:
            return Place.GLOBAL
        name = self.program.find(*key) or self.program.find(key.of)
        if name is not None:
            return self.program.buffers[name].place
        variable = self.network.table.get(key.of)
        if variable is not None:
            return variable.place
        raise RunFault("E0899", f"internal error: `{key}` is not known at run time")

    def compiler(self, place_of: PlaceOf | None = None) -> HostCompiler:
        """A compiler of expressions over this session's variables."""

        def accumulator(node: Reduce) -> Key:
            return accumulator_key(self.network, node)

        return HostCompiler(place_of or self.place_of, accumulator, self._key_of)

    def _key_of(self, read: Ref | Load) -> Key:
        """Inputs and definitions are settled where the host reads them."""
        if isinstance(read, Load):
            return self.program.buffers[read.buffer].key or Key("")
        variable = self.network.table.get(read.path)
        bare = read.time == NOW
        if bare and variable is not None and variable.kind in (Kind.INPUT, Kind.DEF):
            return Key(read.path, "settled")
        return plain_key(read)

    def compile(self, expr: Expr) -> Closure:
        """The closure of an expression over this session's variables."""
        if expr not in self._closures:
            self._closures[expr] = self.compiler().compile(expr).call
        return self._closures[expr]

    def evaluate(self, expr: Expr) -> float:
        """The value of a scalar expression of the protocol."""
        if isinstance(expr, Const):
            return float(expr.value)
        # What protocols compute is alike in all members (E0792).
        with np.errstate(all="ignore"), self.focused(0 if self.members else self.focus):
            value = self.compile(expr)(self.reader())
        if value.size != 1:
            raise RunFault("E0899", "internal error: a protocol's expression is not one number")
        return float(value.reshape(()))

    def reader(self) -> Read:
        """A function from keys to matrices that fetches each key from the executor once."""
        seen: dict[Key, Matrix] = {}
        settled: list[Key] = []

        def read(key: Key) -> Matrix:
            if key.tag == "settled" and not settled and SETTLE in self.program.routines:
                settled.append(key)
                self.executor.call(SETTLE)
            if key not in seen:
                seen[key] = as_matrix(self.value(key), self.place_of(key))
            return seen[key]

        return read

    # ------------------------------------------------------------- by path

    def read(self, key: str) -> Array:
        """The present value of a variable (`h1.v`, `h1.v@free`), or of a passing result by the
        name that `netdsl show` prints, as the executor shapes it.

        Raises RunFault E0742 when the program does not keep it.
        """
        buffer = self.program.buffers.get(key)
        if buffer is not None and buffer.key is None:
            return self.executor.read(key)
        return self.value(self.program.key(key))

    def value(self, key: Key) -> Array:
        """As `read`, of a value of a variable; NaN of samples for which it is not computed."""
        if self.on_host(key):
            return np.asarray(self.host[key.of])
        field = self.field_of(key.of)
        if not key.tag and field in self.fields:
            return self.fields[field]
        name = self.buffer_of(key)
        found = self.executor.read(name)
        if name in self.program.of_newest:  # nobody has asked for the others
            found[(slice(None),) * self.executor.lead(name) + (slice(-1),)] = np.nan
        return found

    def write(self, key: str, value: Any) -> None:
        """Overwrite a variable; shapes as `read` gives them, numbers fill.

        Raises RunFault E0742, E0722, E0653, and E0441 for a bool that is neither 0 nor 1.
        """
        name = self.program.find(*self.program.key(key))
        self.require_binary(name, value, key)
        if key in self.host:
            self.set_host(key, float(value))
            return
        if name is None:
            raise not_kept(self, self.program.key(key))
        array = np.asarray(value, np.float64)
        shape, lead = self.executor.read(name).shape, self.executor.lead(name)
        if array.shape not in ((), shape, shape[lead:]):
            members = f"{shape[0]} members lead, or are left out for all alike; " if lead else ""
            raise RunFault(
                "E0722",
                f"`{key}` has shape {shape}, and the array given has {array.shape}",
                f"{members}rows lead, then neurons; synapses are (pre, post)",
            )
        for one in array if lead and array.shape == shape else (array,):
            require_partition(self.network, key, one)
        self.executor.write(name, array)
        if self.program.buffers[name].place in PER_SAMPLE:
            self.started = max(self.started, self.rows)

    def require_binary(self, name: str | None, value: Any, key: str = "") -> None:
        """Raises RunFault E0441 where a bool or spike would hold something else than 0 and 1.

        `name`: of the buffer, if there is one. `key`: what the user calls it.
        """
        buffer = self.program.buffers.get(name or "")
        held = buffer or self.network.table.get(self.program.key(key).of)
        key = key or str(buffer.key if buffer is not None and buffer.key else name)
        if held is None or held.type is not Type.BOOL:
            return
        require_binary(key, value)

    # ------------------------------------------------------------- samples

    def load(
        self, fields: Mapping[str, Array], keys: NDArray[np.uint64], index: int, epoch: int
    ) -> None:
        """Present a batch: fields (R, ...), random keys (R,), its number and its epoch."""
        rows = len(keys)
        self.fields = made(fields, rows)
        for field in self.binary_fields:
            if field in self.fields:
                require_binary(f"sample.{field}", self.fields[field])
        self.set_host("epoch", float(epoch))
        self._present(keys, index)
        for buffer, field in self.sample_buffers:
            self.executor.write(buffer.name, self._field(buffer, field, rows))
        self._write_scalars()

    def alone(self, keys: NDArray[np.uint64]) -> None:
        """Present rows without samples."""
        self.fields = {}
        self._present(keys, 0)
        for buffer, _ in self.sample_buffers:
            self.executor.write(buffer.name, 0.0)

    def _present(self, keys: NDArray[np.uint64], index: int) -> None:
        self.executor.set_rows(len(keys), keys)
        self.set_host("batch.index", float(index))
        self.set_host("batch.rows", float(len(keys)))
        for name in self.step_counters:
            self.executor.write(name, 0.0)
        self._start_rows(keys)
        self.keys = keys

    def _field(self, buffer: Buffer, field: str, rows: int) -> Array:
        if field not in self.fields:
            have = ", ".join(sorted(self.fields))
            raise RunFault("E0711", f"the data has no field `{field}`", f"its fields are: {have}")
        shape = shape_of(buffer.name, self.program, rows)
        return sample_values(field, self.fields[field], shape)

    def _write_scalars(self) -> None:
        for _ in self.each_member() if self._scalars else ():
            read = self.reader()
            for name, closure in self._scalars.items():
                self.executor.write(name, float(closure(read).reshape(())))

    def host_scalars(self, fields: Mapping[str, Array]) -> list[float]:
        """What the host computes of a batch's fields for the program."""
        self.fields = dict(fields)
        read = self.reader()
        return [float(closure(read).reshape(())) for closure in self._scalars.values()]

    def follow(self, fields: Mapping[str, Array], keys: NDArray[np.uint64], index: int) -> None:
        """Say what the last batch was of several that an executor has run by itself."""
        self.fields, self.keys = made(fields, len(keys)), keys
        self.set_host("batch.index", float(index))

    def _start_rows(self, keys: NDArray[np.uint64]) -> None:
        """Rows that no batch has had before begin with declared values, drawn by their own keys."""
        rows = len(keys)
        if rows > self.started:
            self._begin(self.started, rows, keys)
            self.started = rows

    def _begin(self, first: int, rows: int, keys: NDArray[np.uint64]) -> None:
        """Give rows from `first` on their declared values; those before keep what they hold."""
        held = self.per_sample() if first else {}
        self.executor.set_rows(rows, keys)
        for kind in _STARTS:
            for name, routine in self.program.routines.items():
                if routine.kind == kind:
                    self.executor.call(name)
        for name, value in held.items():
            whole = np.array(self.executor.read(name))
            before = self.of_rows(name, slice(first))
            whole[before] = value[before]
            self.executor.write(name, whole)

    def renew(self) -> None:
        """Give all rows that there is room for the values of a model that has run nothing, each
        when a batch first uses it, and forget what kernels chose by what they saw; shared values
        stay."""
        executor = self.executor
        self.keys = np.zeros(executor.capacity, np.uint64)
        executor.set_rows(executor.capacity, self.keys)
        for name in self._rowwise():
            executor.write(name, 0.0)
        executor.choose(self._choices)
        self.started = 0

    def reset(self, targets: tuple[str, ...] = ()) -> None:
        """Run the reset routines of the owners named, or of all."""
        for name in self.resets(targets):
            self.executor.call(name)
