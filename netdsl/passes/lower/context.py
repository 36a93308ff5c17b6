"""What the lowering passes share: the network, the growing table of buffers, and look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Apply, Expr, Index, Load, Local, walk
from netdsl.ir.network import Draw, Kind, Network, Place, Type, Variable
from netdsl.ir.program import Buffer, Key, Layout, key_of
from netdsl.ir.protocol import RunPhase, steps_of
from netdsl.ir.rings import View
from netdsl.ir.space import held
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.series import series_steps

STORED = {
    Kind.PARAM,
    Kind.INPUT,
    Kind.STATE,
    Kind.SPIKE,
    Kind.TRACE,
    Kind.DRAW,
    Kind.MODULATOR,
    Kind.WEIGHT,
    Kind.OPTIMISER,
    Kind.CONTROL,
    Kind.GLOBAL,
    Kind.COUNTER,
}  # kinds of variables that have a buffer from the start


@dataclass
class Transposed:
    """What stands for the states of a rule in a sweep: a buffer per unit for each state, and for
    each presynaptic factor with its synaptic one what it enters, and where its sum is told by."""

    prefix: str  # of the paths of the rule
    signature: object  # of the recursions and their phase, whatever they are called
    states: dict[str, str] = field(default_factory=dict)
    inputs: dict[tuple[Expr, Expr | None], tuple[str, str]] = field(default_factory=dict)


@dataclass
class Context:
    """Mutable state of one lowering: buffers by name, and what the caller wants to see or feed."""

    network: Network
    observe: frozenset[str] = frozenset()
    feed: frozenset[str] = frozenset()
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    named: dict[Key, str] = field(default_factory=dict)  # buffers of variables by what they hold
    host_scalars: dict[str, Expr] = field(default_factory=dict)
    scratch_count: int = 0
    effective: dict[tuple[str, Expr], str] = field(default_factory=dict)
    remembered: frozenset[str] | None = None  # inputs of which earlier values are read
    lines: dict[str, int] = field(default_factory=dict)  # how many steps back a variable is read
    transposed: dict[str, Transposed] = field(default_factory=dict)  # rules that run in reverse
    imagined: set[str] = field(default_factory=set)  # buffers that only sweeps are derived from
    keep: str = "auto"  # how a sweep gets at what it reads of each step
    forms: dict[str, str] = field(default_factory=dict)  # of each rule with states a sentence
    views: dict[str, View] = field(default_factory=dict)  # names of the slots of delay lines

    def variable(self, path: str) -> Variable:
        """The variable of a path; an internal error names the path."""
        try:
            return self.network.table[path]
        except KeyError:
            raise LoweringError("E0899", f"no variable `{path}` in the network", None) from None

    def kind(self, path: str) -> Kind:
        """Kind of a variable."""
        return self.variable(path).kind

    def need(
        self,
        name: str,
        place: Place,
        owner: str,
        role: str,
        why: str,
        *,
        type: Type = Type.REAL,
        init: Expr | Draw | None = None,
        span: Span | None = None,
        tag: str | None = None,
        memory: str = "",
    ) -> str:
        """Make sure that a buffer exists; returns its name.

        `tag`: which value of the variable `name` it is to hold; None for a passing result.
        `memory`: whose slots it has.
        """
        if tag is not None:
            key = Key(name, tag)
            name = self.named.setdefault(key, self._free(str(key)))
        else:
            key = Key("")
        if name not in self.buffers:
            made = Buffer(name, place, owner, role, type, init, why, of=key.of, tag=key.tag)
            self.buffers[name] = replace(made, memory=memory, span=span)
        return name

    def _free(self, name: str) -> str:
        """The name, or where another buffer has it one like it."""
        while name in self.buffers:
            name += "'"
        return name

    @cached_property
    def observed(self) -> frozenset[Key]:
        """What the caller wants to see."""
        steps = (s for p in self.network.protocols.values() for s in steps_of(p.body))
        phases = {step.name for step in steps if isinstance(step, RunPhase)}
        return frozenset(key_of(text, phases) for text in self.observe)

    @cached_property
    def placed(self) -> Mapping[str, str]:
        """Where states of rules are kept, and why."""
        rules = [p.rule for p in self.network.projections.values() if p.rule is not None]
        return {path: why for rule in rules for path, why in rule.notes.items()}

    def scratch(self, hint: str, place: Place, owner: str, why: str, memory: str = "") -> str:
        """A new scratch buffer, named after what it holds."""
        self.scratch_count += 1
        name = f"{hint}@{self.scratch_count}"
        return self.need(name, place, owner, "scratch", why, memory=memory)

    def effective_weight(self, projection: str, value: Expr) -> str:
        """The buffer of a function of a projection's weight; equal functions share one."""
        key = (projection, value)
        if key not in self.effective:
            number = sum(name == projection for name, _ in self.effective) + 1
            suffix = "" if number == 1 else str(number)
            self.effective[key] = self.need(
                f"{projection}.effective{suffix}",
                Place.SYNAPSE,
                projection,
                "scratch",
                "function of the weight that is delivered",
            )
        return self.effective[key]

    def sample(self, path: str, owner: str) -> str:
        """The buffer of a sample field as population `owner` reads it ("" for one per sample)."""
        variable = self.variable(path)
        scalar = variable.place is Place.ROW
        place, whose = (Place.ROW, "") if scalar else (Place.UNIT, owner)
        if variable.shape and variable.shape != (self.size(owner),):
            raise LoweringError(
                "E0784",
                f"`{path}` has {variable.shape[0]} values, `{owner}` has {self.size(owner)} units",
                variable.span,
                "declare the field with the population's size, or read it elsewhere",
            )
        held = self.buffers.get(self.named.get(Key(path), ""))
        if held is not None and not scalar and self.size(held.owner) != self.size(owner):
            raise LoweringError(
                "E0206",
                f"`{path}` is read by `{held.owner}` ({self.size(held.owner)} units) and by "
                f"`{owner}` ({self.size(owner)} units)",
                variable.span,
                "a vector field has one width: give both populations the same size",
            )
        why = "sample field, of each step" if variable.series else "sample field"
        name = self.need(path, place, whose, "sample", why, type=variable.type, tag="")
        if variable.series:
            # Slot k is what is read at step k.
            slots = max(2, series_steps(self.network, variable))
            self.buffers[name] = replace(self.buffers[name], slots=slots)
        return name

    def size(self, population: str) -> int:
        """Neurons of a population."""
        return self.network.populations[population].size

    def place(self, expr: Expr, local: dict[str, Place] | None = None) -> Place:
        """How many numbers an expression over buffers is."""
        found: dict[Place, None] = {}
        for node in walk(expr):
            if isinstance(node, Load):
                found[self.buffers[node.buffer].place] = None
            elif isinstance(node, Local):
                found[(local or {}).get(node.name, Place.UNIT)] = None
            elif isinstance(node, Index):
                found[Place.NEURON if node.side == "own" else Place.SYNAPSE] = None
        return held(found)


def add(a: Expr, b: Expr) -> Expr:
    """a + b."""
    return Apply("add", (a, b))
