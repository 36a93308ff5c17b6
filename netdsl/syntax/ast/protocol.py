"""Protocols and their statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from netdsl.syntax.ast.base import Let, Named, Node, Param, Ref, Setting
from netdsl.syntax.ast.expressions import Arg, Expr


@dataclass(frozen=True, slots=True)
class Each(Node):
    """`each batch of digits.train limit 10 { … }`; kinds: epoch, batch, sample, trial…"""

    kind: str
    body: Steps
    of: Ref | None = None
    limit: Expr | None = None


@dataclass(frozen=True, slots=True)
class Reset(Node):
    """`reset`, `reset act, inp`, `reset memory past`; without targets everything per sample."""

    targets: tuple[Ref, ...] = ()
    memories: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Clamp(Node):
    """`clamp img.p = e`: bound until the enclosing block ends."""

    target: Ref
    value: Expr


@dataclass(frozen=True, slots=True)
class Set(Node):
    """`set h1.x := e`: assigned once, between steps."""

    target: Ref
    value: Expr


@dataclass(frozen=True, slots=True)
class GlobalAssign(Node):
    """`sgn := e`: a global state."""

    target: Ref
    value: Expr


@dataclass(frozen=True, slots=True)
class Phase(Named):
    """`phase nudged 10 steps learning W1, W2 { nudge = 1 }`.

    `learning` without `projections` means all of them; `controls` hold for this phase only.
    """

    duration: Expr
    learning: bool = False
    projections: tuple[Ref, ...] = ()
    controls: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Update(Node):
    """`update Wff, Wfb`."""

    projections: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Evaluate(Node):
    """`evaluate test(digits.dev) limit 10 as dev from present state`."""

    protocol: Ref
    args: tuple[Arg, ...] = ()
    name: str | None = None
    from_present: bool = False
    limit: Expr | None = None


@dataclass(frozen=True, slots=True)
class RunProtocol(Node):
    """`run pretrain(digits.train, epochs = 3)`."""

    protocol: Ref
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint(Named):
    """`checkpoint best by accuracy on dev`."""

    by: Ref | None = None
    on: Ref | None = None


@dataclass(frozen=True, slots=True)
class Restore(Node):
    """`restore best`."""

    checkpoint: Ref


@dataclass(frozen=True, slots=True)
class Push(Node):
    """`push past`."""

    memory: Ref


@dataclass(frozen=True, slots=True)
class DoRewire(Node):
    """`rewire closed`."""

    rewire: Ref


@dataclass(frozen=True, slots=True)
class WhenStep(Node):
    """`when past.full { … } else { … }` in a protocol: decided at run time."""

    condition: Expr
    body: Steps
    otherwise: Steps = ()


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    """`repeat { … } until cond limit 20`."""

    body: Steps
    until: Expr
    limit: Expr | None = None


ProtocolStep: TypeAlias = (
    Each
    | Reset
    | Clamp
    | Set
    | GlobalAssign
    | Let
    | Phase
    | Update
    | Evaluate
    | Checkpoint
    | Restore
    | Push
    | RunProtocol
    | DoRewire
    | WhenStep
    | Repeat
)
Steps: TypeAlias = tuple[ProtocolStep, ...]


@dataclass(frozen=True, slots=True)
class ProtocolDecl(Named):
    """`protocol train(epochs = 10) { … }`."""

    body: Steps
    params: tuple[Param, ...] = ()
