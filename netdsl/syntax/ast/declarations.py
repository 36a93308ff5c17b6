"""Top-level declarations of the network: cells, wiring, rules, modulators, and their templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netdsl.syntax.ast.base import Named, Node, Param, Ref, Setting
from netdsl.syntax.ast.body import Body
from netdsl.syntax.ast.expressions import Arg, Expr


@dataclass(frozen=True, slots=True)
class Edition(Node):
    """`edition 1`."""

    number: int


@dataclass(frozen=True, slots=True)
class Import(Node):
    """`import std.neuron { lif, alif }`."""

    module: Ref
    names: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Function(Named):
    """`function gauss(a, b) = e`."""

    params: tuple[Param, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class Dt(Node):
    """`dt = 3 ms`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Control(Named):
    """`control nudge = 0`: set by phases, restored after them."""

    value: Expr


@dataclass(frozen=True, slots=True)
class GlobalState(Named):
    """`global state b = 1`: assigned by the protocol, never reset."""

    value: Expr


@dataclass(frozen=True, slots=True)
class NeuronDecl(Named):
    """`neuron NAME(params) { … }`."""

    body: Body
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class SynapseDecl(Named):
    """`synapse NAME(params) { … }`: a template for the body of projections."""

    body: Body
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class Dim(Node):
    """One axis of a population, named or not: `row: 28`."""

    size: Expr
    name: str | None = None


@dataclass(frozen=True, slots=True)
class TypeCount(Node):
    """`E: 81` in the `types` of a population."""

    name: str
    count: Expr


@dataclass(frozen=True, slots=True)
class PopulationDecl(Named):
    """`population NAME : cell[dims] types { … } shuffled { param = value }`."""

    cell: Ref
    dims: tuple[Dim, ...]
    types: tuple[TypeCount, ...] = ()
    shuffled: bool = False
    overrides: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class CellType(Named):
    """`celltype E sign +`."""

    sign: Literal["+", "-"]


@dataclass(frozen=True, slots=True)
class Connectivity(Node):
    """`dense`, `sparse(p = 0.1)`, `no_self`, `fixed`, `transpose of W2` (`of` is `W2`)…"""

    name: str
    args: tuple[Arg, ...] = ()
    of: Ref | None = None


@dataclass(frozen=True, slots=True)
class ProjectionDecl(Named):
    """`projection NAME : pre -> post connectivity… sign S delay D using T(args) { … }`.

    `sign` is `+`, `-` or `pre` (`sign by pre`: Dale's law); `using_args` is None without `using`.
    """

    pre: Ref
    post: Ref
    connectivity: tuple[Connectivity, ...] = ()
    sign: str | None = None  # `+`, `-`, `pre` or an array of signs, `cells.sign`
    delay: Expr | None = None
    delay_drawn: bool = False
    using: Ref | None = None
    using_args: tuple[Arg, ...] = ()
    body: Body = ()


@dataclass(frozen=True, slots=True)
class RuleDecl(Named):
    """`rule NAME(params) { … }`."""

    body: Body
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class Receiver(Node):
    """A population whose rules a modulator reaches, as in `to h`; with `cells` its cells too."""

    population: Ref
    cells: bool = False


@dataclass(frozen=True, slots=True)
class SlotIndex(Named):
    """`[p in past]` after the name of a modulator."""

    memory: Ref


@dataclass(frozen=True, slots=True)
class ModulatorDecl(Named):
    """`modulator NAME[p in past](params) on h1, h2 to h3, h4 cells { … }`.

    `slot`: the index of a modulator that has a number for each slot of a memory; `other`: the
    second index of one that has a number for each two.
    """

    body: Body
    params: tuple[Param, ...] = ()
    on: tuple[Ref, ...] = ()
    to: tuple[Receiver, ...] = ()
    slot: SlotIndex | None = None
    other: SlotIndex | None = None


@dataclass(frozen=True, slots=True)
class OptimiserDecl(Named):
    """`optimiser NAME(params) { … change = e }`."""

    body: Body
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class InitialiserDecl(Named):
    """`initialiser NAME(params) = e`; `~ e` when the expression is a distribution.

    A longer one has a body instead, `initialiser NAME(params) { … }`.
    """

    params: tuple[Param, ...] = ()
    value: Expr | None = None
    drawn: bool = False
    body: Body = ()


@dataclass(frozen=True, slots=True)
class TraceDecl(Named):
    """`trace NAME(params) { … }`: a kind of trace, named by `trace z of s using NAME(args)`."""

    body: Body
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class TableAxis(Node):
    """`pre type`."""

    side: str
    attribute: str


@dataclass(frozen=True, slots=True)
class TableDecl(Named):
    """`table gain[pre type, post type] = e`."""

    axes: tuple[TableAxis, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class RewireDecl(Named):
    """`rewire NAME over Win, R { … }`."""

    over: tuple[Ref, ...]
    body: Body


@dataclass(frozen=True, slots=True)
class Label(Node):
    """One property of a claim, spelled with hyphens: `three-factor(population)`."""

    name: str
    args: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim(Node):
    """`claim csdp : three-factor(population), causal`."""

    rule: Ref
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Allow(Node):
    """`allow weight_transport on Wt because "…"`; `label` has hyphens, as in reports."""

    label: str
    on: tuple[Ref, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Ensemble(Node):
    """`ensemble 30 vary weights`."""

    count: Expr
    vary: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Use(Node):
    """`use "mdgl.net" with rule = eprop, T = 100`."""

    path: str
    args: tuple[Arg, ...] = ()
