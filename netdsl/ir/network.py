"""The network graph: what a specification declares, with every name resolved.

Semantic analysis produces it; checks, locality, drawing and lowering read it. Parameters are
folded to constants, `when` is decided, templates are instantiated: one population or projection
of the file is one object here. Expressions are `netdsl.ir.expr` trees over variable paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr
from netdsl.ir.protocol import Data, Metric, Pairs, Protocol, Readout, Recorder
from netdsl.ir.windows import Windows


class Kind(Enum):
    """What a variable is."""

    PARAM = "param"  # per neuron or per synapse; scalar parameters are folded away
    INPUT = "input"
    STATE = "state"
    DEF = "def"  # re-evaluated where read: `Variable.definition`
    LET = "let"
    SPIKE = "spike"
    TRACE = "trace"
    DRAW = "draw"
    WEIGHT = "weight"
    OPTIMISER = "optimiser"
    MODULATOR = "modulator"
    CONTROL = "control"
    GLOBAL = "global"
    SAMPLE = "sample"
    COUNTER = "counter"


class Place(Enum):
    """How many numbers a variable is. Shapes with R rows (samples), n neurons, m presynaptic."""

    GLOBAL = "global"  # one number
    ROW = "row"  # (R,): one per sample
    NEURON = "neuron"  # (n,): shared by samples
    UNIT = "unit"  # (R, n)
    SYNAPSE = "synapse"  # (m, n): pre, post
    PAIR = "pair"  # (R, R): one row against another
    ROW_SYNAPSE = "row_synapse"  # (R, m, n)


class Type(Enum):
    """Value types; BOOL counts as 0/1 in arithmetic."""

    REAL = "real"
    COUNT = "count"
    BOOL = "bool"


@dataclass(frozen=True)
class Draw:
    """A random initial value or draw: `distribution` of `args`, from the stream named `stream`.

    Distributions: uniform(low, high), normal(mean, std), bernoulli(p), integer(low, high).
    `gram` marks `spd(D)`: the drawn square matrix A is replaced by A Aᵀ. `made` says how the start
    of a weight is made step by step; its result is the matrix `w`. The distribution `array` is
    the array of a file that `stream` names, "cells.C".
    """

    distribution: str
    args: tuple[Expr, ...]
    stream: str
    gram: bool = False
    made: tuple[Made, ...] = ()
    span: Span | None = field(default=None, compare=False)

    @property
    def expressions(self) -> tuple[Expr, ...]:
        """What is read to draw it."""
        found = list(self.args)
        for step in self.made:
            found += step.value.args if isinstance(step.value, Draw) else (step.value,)
        return tuple(found)


@dataclass(frozen=True)
class Made:
    """A step of a start: the matrix `name` is drawn or computed from those before it (`Local`).

    `square`: drawn with a row and a column for each presynaptic unit, else (pre, post).
    """

    name: str
    value: Expr | Draw
    square: bool = False


@dataclass(frozen=True)
class Variable:
    """One variable of a population, projection, modulator, or of the whole network."""

    path: str  # "h1.v", "W1.w", "W1.adam.m", "good.h1", "sample.label", "epoch"
    kind: Kind
    place: Place
    type: Type = Type.REAL
    owner: str = ""  # population or projection it belongs to; "" for network-wide ones
    init: Expr | Draw | None = None
    definition: Expr | None = None  # of a DEF, over the owner's variables
    keep: bool = False  # survives `reset`
    exposed: bool = False  # readable by other cells although not delivered (`expose`)
    differentiated: bool = False  # a `grad` of it was taken, and took its place
    unit: str = ""  # dimension as text, for display
    of: str | None = None  # TRACE: the traced variable's path
    shape: tuple[int, ...] = ()  # sample fields: per-sample shape
    span: Span | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit(".", 1)[-1]


@dataclass(frozen=True)
class Assign:
    """`target := value` (states), or `let target = value` when `target` is a LET variable."""

    target: str
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class DrawAssign:
    """`target ~ D(...)` at every step."""

    target: str
    draw: Draw
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Spike:
    """`spike target when condition`: `target` becomes 0/1. Resets follow as `Assign`s."""

    target: str
    condition: Expr
    margin: Expr  # positive where the condition holds; what a surrogate is a function of
    surrogate: Expr | None = None  # derivative by the margin, as an expression
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Integrate:
    """Advance all `equations` (state path, right-hand side in 1/s) together by `dt` seconds."""

    equations: tuple[tuple[str, Expr], ...]
    method: str  # auto | exact | expeuler | euler | rk4
    dt: float
    span: Span | None = field(default=None, compare=False)


Statement = Assign | DrawAssign | Spike | Integrate


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


@dataclass(frozen=True)
class Modulator:
    """One instance of a modulator; its statements live in the population's body.

    `variable` is the path of what it emits: place ROW for scopes global and population,
    UNIT for neuron.
    """

    name: str
    population: str | None  # None for a global one
    scope: str  # global | population | celltype | neuron
    variable: str
    emit: Expr
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
    arrays: Mapping[str, str] = field(default_factory=dict)  # files by name

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
