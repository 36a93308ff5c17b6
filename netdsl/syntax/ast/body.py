"""Statements in the bodies of cells, synapses, projections, rules, modulators and optimisers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from netdsl.syntax.ast.base import Let, Named, Node, Param, Range, Ref, Setting, TypeRef
from netdsl.syntax.ast.expressions import Expr, Index, Name


@dataclass(frozen=True, slots=True)
class Extends(Node):
    """`extends PARENT`: this body is appended to the parent's."""

    parent: Ref


@dataclass(frozen=True, slots=True)
class Input(Named):
    """`input j`, `input cls[K] : mV`: the sum of what projections deliver."""

    size: Expr | None = None
    type: TypeRef | None = None


@dataclass(frozen=True, slots=True)
class State(Named):
    """`state v = 0`, `population state l = 0`, `state u = 0 per pre`, `state g[K] ~ D keep`.

    `level` is the word before `state` (None: one per neuron or synapse).
    """

    init: Expr
    drawn: bool = False
    level: Literal["population", "projection"] | None = None
    size: Expr | None = None
    type: TypeRef | None = None
    keep: bool = False
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Def(Named):
    """`def err = e` (public, re-evaluated where read); `def a[k in K] = e` with a bound index."""

    value: Expr
    index: str | None = None
    size: Expr | None = None


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`x := e`, `g[k] := e`."""

    target: Name | Index
    value: Expr


@dataclass(frozen=True, slots=True)
class Draw(Node):
    """`s ~ bernoulli(p)`: a fresh draw at every step."""

    target: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Ode(Node):
    """`d v/dt = e`."""

    target: Name | Index
    value: Expr


@dataclass(frozen=True, slots=True)
class Integrate(Node):
    """`integrate v, u with euler`; without names all equations, without method `auto`."""

    names: tuple[Ref, ...] = ()
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Spike(Named):
    """`spike s when cond { … }`."""

    condition: Expr
    body: Body = ()


@dataclass(frozen=True, slots=True)
class Refractory(Node):
    """`refractory 5 step hold v`."""

    duration: Expr
    hold: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Surrogate(Node):
    """`surrogate triangle(damp = 0.3, width = thr)`."""

    function: Expr


@dataclass(frozen=True, slots=True)
class Trace(Named):
    """`trace z of s { tau = 13 ms; … }`, `trace z of s using NAME(args)`."""

    of: Expr
    using: Ref | None = None
    body: Body = ()


@dataclass(frozen=True, slots=True)
class Expose(Node):
    """`expose lat`."""

    names: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class OnEvent(Node):
    """`on phase { … }`, `on pre { … }`, `on post { … }`."""

    event: str
    body: Body


@dataclass(frozen=True, slots=True)
class AtUpdate(Node):
    """`at update { … }`: runs when the protocol says `update`."""

    body: Body


@dataclass(frozen=True, slots=True)
class AfterUpdate(Node):
    """`after update { … }`: runs on each weight after it changed."""

    body: Body


@dataclass(frozen=True, slots=True)
class Emit(Node):
    """`emit e`, `emit vector e`."""

    value: Expr
    vector: bool = False


@dataclass(frozen=True, slots=True)
class Scope(Node):
    """`scope population`."""

    level: str


@dataclass(frozen=True, slots=True)
class Reads(Node):
    """`reads pre.s, post.z`: the closed list of what a rule or modulator may read."""

    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Optimise(Node):
    """`optimise adam(rate = eta)`."""

    optimiser: Expr


@dataclass(frozen=True, slots=True)
class Reduce(Node):
    """`reduce mean over batch`."""

    how: str
    axis: str


@dataclass(frozen=True, slots=True)
class Subtract(Node):
    """`subtract e`: outside the optimiser, reduced like `dw`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Bound(Node):
    """`bound w in [a, b]`."""

    target: Ref
    range: Range


@dataclass(frozen=True, slots=True)
class Waive(Node):
    """`allow LABEL because "…"` inside a rule or modulator."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Expect(Node):
    """`expect e == e_hand within 1e-9`."""

    left: Expr
    right: Expr
    tolerance: Expr


@dataclass(frozen=True, slots=True)
class Weight(Named):
    """`weight w ~ uniform(-1, 1)`, `weight w : mV = 0`."""

    init: Expr
    drawn: bool = False
    type: TypeRef | None = None


@dataclass(frozen=True, slots=True)
class Deliver(Node):
    """`deliver j += e`, `deliver m[k] += e`."""

    target: Name | Index
    value: Expr


@dataclass(frozen=True, slots=True)
class Learn(Node):
    """`learn csdp(kappa = gain)`."""

    rule: Expr


@dataclass(frozen=True, slots=True)
class Eligibility(Named):
    """`eligibility e of w to post.s`."""

    of: Ref
    to: Expr


@dataclass(frozen=True, slots=True)
class Prune(Node):
    """`prune where cond` in a `rewire`."""

    condition: Expr


@dataclass(frozen=True, slots=True)
class Regrow(Node):
    """`regrow count among SET weighted by E at VALUE` in a `rewire`."""

    count: Expr
    among: Expr | None = None
    weighted_by: Expr | None = None
    at: Expr | None = None


@dataclass(frozen=True, slots=True)
class WhenBody(Node):
    """`when cond { … } else { … }` among statements; decided when the spec is compiled."""

    condition: Expr
    body: Body
    otherwise: Body = ()


Statement: TypeAlias = (
    Param
    | Let
    | Setting
    | Extends
    | Input
    | State
    | Def
    | Assign
    | Draw
    | Ode
    | Integrate
    | Spike
    | Refractory
    | Surrogate
    | Trace
    | Expose
    | OnEvent
    | AtUpdate
    | AfterUpdate
    | Emit
    | Scope
    | Reads
    | Optimise
    | Reduce
    | Subtract
    | Bound
    | Waive
    | Expect
    | Weight
    | Deliver
    | Learn
    | Eligibility
    | Prune
    | Regrow
    | WhenBody
)
Body: TypeAlias = tuple[Statement, ...]
