"""The network graph: what a specification declares, with every name resolved.

Semantic analysis produces it; checks, locality, drawing and lowering read it. Parameters are
folded to constants, `when` is decided, templates are instantiated: one population or projection
of the file is one object here. Expressions are `netdsl.ir.expr` trees over variable paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from netdsl.diagnostics.span import Span
from netdsl.ir.ensemble import Ensemble
from netdsl.ir.expr import Expr
from netdsl.ir.protocol import Data, Metric, Pairs, Protocol, Readout, Recorder
from netdsl.ir.tables import Table
from netdsl.ir.variables import (
    Assign,
    Draw,
    DrawAssign,
    Integrate,
    Kind,
    Made,
    Place,
    Spike,
    Statement,
    Type,
    Variable,
)
from netdsl.ir.windows import Windows

__all__ = [
    "Assign",
    "Claim",
    "Connectivity",
    "Deliver",
    "Draw",
    "DrawAssign",
    "Eligibility",
    "Expect",
    "Integrate",
    "Kind",
    "Loss",
    "Made",
    "Memory",
    "Modulator",
    "Network",
    "Optimiser",
    "Place",
    "Population",
    "Projection",
    "Rule",
    "Spike",
    "Statement",
    "Type",
    "Variable",
    "Waiver",
]


@dataclass(frozen=True)
class Population:
    """A group of like neurons; modulator statements stand at the end of `body`."""

    name: str
    cell: str
    axes: tuple[tuple[str, int], ...]  # (axis name or "", length), row-major
    types: tuple[tuple[str, int, int], ...]  # (cell type, first, past last)
    variables: Mapping[str, Variable]  # by path, in order of declaration
    body: tuple[Statement, ...]
    on_phase: tuple[Assign, ...] = ()
    span: Span | None = field(default=None, compare=False)
    shuffled: bool = False  # which neuron has which type is drawn: `types` says how many
    notes: tuple[str, ...] = ()  # what passes made of it: `show schedule`

    @property
    def size(self) -> int:
        """Number of neurons."""
        size = 1
        for _, length in self.axes:
            size *= length
        return size


@dataclass(frozen=True)
class Connectivity:
    """Which synapses exist.

    `kind`: dense | one_to_one | sparse | fixed_in | fixed_out | array | conv | pool.
    `windows`: one kernel stands for all positions (conv, pool, and dense with a shared weight).
    """

    kind: str = "dense"
    probability: float | None = None
    number: int | None = None
    draw: str = "bernoulli"  # bernoulli | exact | pairs_with_replacement
    self_connections: bool = True
    windows: Windows | None = None
    array: str = ""  # "wiring.mask": not 0 where a synapse exists
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Deliver:
    """`deliver input += value`: value over pre ("pre" side, ARRIVAL), `w` and post variables."""

    input: str
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Optimiser:
    """An instantiated optimiser. `gradient` is the path that stands for the reduced dw (`g`)."""

    name: str
    variables: Mapping[str, Variable]  # SYNAPSE states, and GLOBAL ones for `projection state`
    statements: tuple[Assign, ...]
    change: Expr
    gradient: str


@dataclass(frozen=True)
class Eligibility:
    """`eligibility e of w to post.s`: this step's derivative of a variable of the post unit by a
    synapse's weight, along the unit's own history.

    `variable` is its path, a LET of the rule; the weight is the effective one of its projection.
    """

    variable: str
    target: str  # path of the post population's variable
    factors: tuple[tuple[str, Expr], ...] = ()  # by input: what it gains as the weight does
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Expect:
    """`expect A == B within TOLERANCE`: two values of a rule that `check` runs and compares."""

    left: Expr
    right: Expr
    within: float
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Rule:
    """A learning rule bound to one projection.

    `statements` run at the end of each step of its learning phases, whatever its clock is, and
    advance its states; `dw` is computed at the clock.
    """

    name: str
    projection: str
    clock: str  # "step" or "update"
    dw: Expr | None  # None for bptt
    reduce: str = "sum"  # sum | mean over batch
    optimiser: Optimiser | None = None
    subtract: tuple[Expr, ...] = ()
    after: tuple[Assign, ...] = ()  # targets the weight; w@prev is the weight before the update
    bound: tuple[Expr, Expr] | None = None
    reads: tuple[str, ...] | None = None  # the closed list as written, e.g. "pre.s", "good"
    variables: Mapping[str, Variable] = field(default_factory=dict)  # states and lets of the rule
    statements: tuple[Statement, ...] = ()
    eligibilities: tuple[Eligibility, ...] = ()
    expects: tuple[Expect, ...] = ()
    loss: str | None = None  # bptt(loss = NAME)
    span: Span | None = field(default=None, compare=False)
    learn_span: Span | None = field(default=None, compare=False)
    reads_spans: tuple[Span, ...] = field(default=(), compare=False)
    notes: Mapping[str, str] = field(default_factory=dict)  # where its states are kept, and why

    @property
    def each_step(self) -> bool:
        """Has it something to do at the end of each step of a learning phase?"""
        return self.clock == "step" or bool(self.statements or self.eligibilities)


@dataclass(frozen=True)
class Projection:
    """A set of synapses from one population to another (or a slice by cell type)."""

    name: str
    pre: str
    post: str
    connectivity: Connectivity
    delay: int  # steps
    variables: Mapping[str, Variable]  # weight first, then other synapse states and parameters
    delivers: tuple[Deliver, ...]
    weight: str | None = None  # path of the weight; a transpose has its owner's
    rule: Rule | None = None
    transpose_of: str | None = None
    fixed: bool = False
    pre_slice: tuple[int, int] | None = None
    post_slice: tuple[int, int] | None = None
    sign: Expr | None = None  # +-1 over the pre index: `weight` is then the stored magnitude
    span: Span | None = field(default=None, compare=False)
    mask_of: str | None = None  # `mask_transpose of`: its synapses backwards, without its weight
    present: Expr | None = None  # with `mask_of`: where learning decides which of these there are

    @property
    def carrier(self) -> str | None:
        """The projection whose synapses this one reads backwards; None where it has its own."""
        return self.transpose_of or self.mask_of


@dataclass(frozen=True)
class Modulator:
    """One instance of a modulator; its statements live in the population's body.

    `variable` is the path of what it emits: place ROW for scopes global and population,
    UNIT for neuron. Each component of a vector that is emitted is a modulator of its own. One
    without a population is the only unit of a population of its own name (`home`).
    """

    name: str
    population: str | None  # None for one that is on no population
    scope: str  # global | population | celltype | neuron
    variable: str
    emit: Expr
    span: Span | None = field(default=None, compare=False)
    to: tuple[str, ...] = ()  # further populations whose rules it reaches
    cells: tuple[str, ...] = ()  # those of them whose cells may read it, one step later
    memory: str = ""  # it has a number for each slot of this memory

    @property
    def home(self) -> str:
        """The population whose body computes it."""
        return self.variable.rsplit(".", 1)[-1]

    def reaches(self, population: str) -> bool:
        """Whether rules of projections to a population may read it."""
        return self.scope == "global" or population in (self.population, *self.to)


@dataclass(frozen=True)
class Memory:
    """`memory M : replay[6] of digits`, `memory M : window[6] of xin.v, out.zt`.

    A replay keeps `size` samples of `data`, which become the rows; a window what `variables` were.
    """

    name: str
    kind: str  # replay | window
    size: int
    data: str = ""
    variables: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Loss:
    """`loss E = ...`: a scalar to differentiate; per-sample body under a batch reduction."""

    name: str
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Claim:
    """`claim RULE : property, ...`, checked against the certificate."""

    rule: str
    properties: tuple[str, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Waiver:
    """`allow LEVEL on NAME because "..."`."""

    level: str
    target: str
    reason: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Network:
    """Everything that one specification says, resolved."""

    name: str
    source: str  # file name, for messages
    text: str  # source text, for carets and the run directory
    dt: float | None  # seconds
    params: Mapping[str, object]  # resolved top-level and per-declaration parameters, by path
    variables: Mapping[str, Variable]  # network-wide: controls, globals, sample fields, counters
    populations: Mapping[str, Population]
    projections: Mapping[str, Projection]
    modulators: tuple[Modulator, ...]
    losses: Mapping[str, Loss]
    data: Mapping[str, Data]
    pairs: Mapping[str, Pairs]
    protocols: Mapping[str, Protocol]
    readouts: Mapping[str, Readout]
    metrics: Mapping[str, Metric]
    recorders: tuple[Recorder, ...]
    claims: tuple[Claim, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    arrays: Mapping[str, str] = field(default_factory=dict)  # files by name
    ensemble: Ensemble | None = None
    memories: Mapping[str, Memory] = field(default_factory=dict)

    @cached_property
    def table(self) -> Mapping[str, Variable]:
        """Every variable of the network by path."""
        table: dict[str, Variable] = dict(self.variables)
        for population in self.populations.values():
            table.update(population.variables)
        for projection in self.projections.values():
            table.update(projection.variables)
            if projection.rule is not None:
                table.update(projection.rule.variables)
                if projection.rule.optimiser is not None:
                    table.update(projection.rule.optimiser.variables)
        return table

    def changing(self, names: Iterable[str]) -> frozenset[str]:
        """Those of some projections whose weights change at every step when they learn."""
        rules = {name: self.projections[name].rule for name in names}
        return frozenset(
            n for n, rule in rules.items() if rule is not None and rule.clock == "step"
        )

    def ends(self, projection: Projection) -> tuple[str, str]:
        """The populations of a projection, with the cell type where it joins only a part."""
        named = []
        for name, part in (
            (projection.pre, projection.pre_slice),
            (projection.post, projection.post_slice),
        ):
            types = self.populations[name].types
            of = next((t for t, first, last in types if part == (first, last)), None)
            named.append(f"{name}.{of}" if of is not None else name)
        return named[0], named[1]
