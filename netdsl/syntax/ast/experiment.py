"""Top-level declarations of the experiment: data, tasks, memories, readouts, metrics, protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from netdsl.syntax.ast import declarations as d
from netdsl.syntax.ast.base import Let, Named, Node, Param, Ref, Setting
from netdsl.syntax.ast.expressions import Expr
from netdsl.syntax.ast.protocol import ProtocolDecl


@dataclass(frozen=True, slots=True)
class Split(Named):
    """`split dev = train[1300, 1500]`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Augment(Named):
    """`augment train = flip`; `name` is the split."""

    value: Expr


@dataclass(frozen=True, slots=True)
class TaskDraw(Named):
    """`draw c[2] ~ normal(0, 1)`."""

    value: Expr
    size: Expr | None = None


@dataclass(frozen=True, slots=True)
class Field(Named):
    """`field label = e`, `field z[10] ~ uniform(0, 1) once`: one value per sample."""

    value: Expr
    drawn: bool = False
    size: Expr | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Signal(Named):
    """`signal rate[40] = e`: a field that varies with `t`."""

    value: Expr
    size: Expr | None = None


DataStatement: TypeAlias = Param | Let | Setting | Split | Augment | TaskDraw | Field | Signal
DataBody: TypeAlias = tuple[DataStatement, ...]


@dataclass(frozen=True, slots=True)
class DataDecl(Named):
    """`data digits { source = "digits"; batch = 64; split test = test }`."""

    body: DataBody


@dataclass(frozen=True, slots=True)
class TaskDecl(Named):
    """`task cues(batch = 64) { … }`: generated data."""

    body: DataBody
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairs(Named):
    """`pairs streams = wrong_label(digits)`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class ArrayDecl(Named):
    """`array cells = "cells.npz"`."""

    path: str


@dataclass(frozen=True, slots=True)
class MemoryDecl(Named):
    """`memory past : window[16] of h1.z`."""

    kind: str
    size: Expr
    of: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Readout(Named):
    """`readout y = argmax(count(out.s over run))`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Fit(Named):
    """`fit class_of = e on digits.train limit 10000`: a table fitted to data."""

    value: Expr
    on: Ref
    limit: Expr | None = None


@dataclass(frozen=True, slots=True)
class Metric(Named):
    """`metric accuracy = e per batch every 500 batches after update on test`."""

    value: Expr
    per: str | None = None
    every: Expr | None = None
    after: str | None = None
    on: Ref | None = None


@dataclass(frozen=True, slots=True)
class Loss(Named):
    """`loss E = e`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Record(Node):
    """`record h1.s of [0, 50] every 1 step during run on test limit 64 samples`; `within`: `in`."""

    value: Expr
    every: Expr | None = None
    on: Ref | None = None
    limit: Expr | None = None
    of: tuple[Expr, ...] = ()
    during: str | None = None
    within: str | None = None


@dataclass(frozen=True, slots=True)
class When(Node):
    """`when cond { … } else { … }` among declarations."""

    condition: Expr
    items: tuple[Item, ...]
    otherwise: tuple[Item, ...] = ()


Item: TypeAlias = (
    d.Edition
    | d.Import
    | Param
    | Let
    | d.Function
    | d.Dt
    | d.Control
    | d.GlobalState
    | d.NeuronDecl
    | d.SynapseDecl
    | d.PopulationDecl
    | d.CellType
    | d.ProjectionDecl
    | d.RuleDecl
    | d.ModulatorDecl
    | d.OptimiserDecl
    | d.InitialiserDecl
    | d.TraceDecl
    | d.TableDecl
    | d.RewireDecl
    | d.Claim
    | d.Allow
    | d.Ensemble
    | d.Use
    | DataDecl
    | TaskDecl
    | Pairs
    | ArrayDecl
    | MemoryDecl
    | Readout
    | Fit
    | Metric
    | Loss
    | Record
    | When
    | ProtocolDecl
)


@dataclass(frozen=True, slots=True)
class Spec(Node):
    """A whole file."""

    items: tuple[Item, ...] = ()
