"""Variables of a network, and the statements that advance them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Apply, Const, Expr, Local, walk

_WHOLE = ("columns", "spectral_radius")  # of a whole matrix


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
    TABLE = "table"  # a mean over synapses between two cell types


class Place(Enum):
    """How many numbers a variable is. Shapes with R rows (samples), n neurons, m presynaptic."""

    GLOBAL = "global"  # one number
    ROW = "row"  # (R,): one per sample
    NEURON = "neuron"  # (n,): shared by samples
    UNIT = "unit"  # (R, n)
    SYNAPSE = "synapse"  # (m, n): pre, post
    PAIR = "pair"  # (R, R): one row against another
    ROW_SYNAPSE = "row_synapse"  # (R, m, n)
    SLOT = "slot"  # (N,): one per slot of a memory, whatever the rows
    SLOT_UNIT = "slot_unit"  # (N, n)
    SLOT_PAIR = "slot_pair"  # (N, N): one slot against another
    ROW_SLOT = "row_slot"  # (R, N): a row against the slots of a memory


class Type(Enum):
    """Value types; BOOL counts as 0/1 in arithmetic."""

    REAL = "real"
    COUNT = "count"
    BOOL = "bool"


@dataclass(frozen=True)
class Draw:
    """A random initial value or draw: `distribution` of `args`, from the stream named `stream`.

    Distributions: uniform(low, high), normal(mean, std), bernoulli(p), integer(low, high),
    poisson(mean), exponential(mean), lognormal(mean, std) of the logarithm, gamma(shape, scale).
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

    @property
    def alone(self) -> bool:
        """Is each element of the matrices that it is made of computed by itself?"""
        whole = [step for step in self.made if step.square]
        parts = [node for expr in self.expressions for node in walk(expr)]
        others = [n for n in parts if not isinstance(n, Const | Local | Apply)]
        named = [n for n in parts if isinstance(n, Apply) and n.function in _WHOLE]
        return not (whole or others or named)


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
    definition: Expr | None = None  # of a DEF, over the owner's variables; of a TABLE the mean
    keep: bool = False  # survives `reset`
    exposed: bool = False  # readable by other cells although not delivered (`expose`)
    slope: bool = False  # an entry of a Jacobian, which a pass added
    differentiated: bool = False  # a `grad` of it was taken, and took its place
    through: tuple[str, ...] = ()  # of a `vjp`: states whose statements it goes through
    unit: str = ""  # dimension as text, for display
    of: str | None = None  # TRACE: the traced variable's path
    shape: tuple[int, ...] = ()  # sample fields: per-sample shape
    memory: str = ""  # it has a number for each slot of this window
    series: bool = False  # sample fields: with a value for each step, `sample.x@step`
    span: Span | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Last part of the path; of a series that of its field."""
        return self.path.rsplit(".", 1)[-1].partition("@")[0]


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
