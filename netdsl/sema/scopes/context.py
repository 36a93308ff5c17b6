"""What the parts of the analysis share while one specification is analysed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netdsl.diagnostics import DiagnosticBag, Label, Span, did_you_mean
from netdsl.ir.network import (
    Kind,
    Loss,
    Memory,
    Modulator,
    Place,
    Population,
    Projection,
    Type,
    Variable,
)
from netdsl.ir.protocol import Data, Metric, Pairs, Readout, Rewire
from netdsl.ir.tables import Table
from netdsl.sema.scopes.expansion import Expansion
from netdsl.sema.scopes.units import Dim
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.cells.populations import PopulationScope
    from netdsl.sema.cells.statements import CellStatements
    from netdsl.sema.scopes.declarations import Declarations
    from netdsl.sema.scopes.overrides import Overrides
    from netdsl.sema.scopes.specification import SpecificationScope
    from netdsl.sema.synapses.tables import TypeTable

_HINTED = 100  # findings after which no likely names are looked for any more
_FIELD_TYPES = {
    "label": Type.COUNT,
    "shown_label": Type.COUNT,
    "positive": Type.BOOL,
    "newest": Type.BOOL,
}


@dataclass(frozen=True)
class Signal:
    """A signal of a task: its value, over fields, `t` and `index`, and how many units it has."""

    value: Value
    size: int | None
    span: Span


@dataclass
class Context:
    """Findings, declarations and what has been elaborated so far."""

    bag: DiagnosticBag
    declarations: Declarations
    overrides: Overrides
    flip: bool = False  # take the other branch of every `when`, to check its names
    dead: set[str] = field(default_factory=set)  # names whose declaration was reported
    undecided: bool = False  # the condition of a `when` could not be evaluated
    left_out: set[str] = field(
        default_factory=set
    )  # names in branches of bodies that are not taken
    whens: list[Span] = field(default_factory=list)  # branches that were not taken
    scope: SpecificationScope = field(init=False)
    expansion: Expansion = field(init=False)
    params: dict[str, object] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)  # network-wide ones
    dims: dict[str, Dim] = field(default_factory=dict)  # by variable path
    cells: dict[str, PopulationScope] = field(default_factory=dict)
    populations: dict[str, Population] = field(default_factory=dict)
    projections: dict[str, Projection] = field(default_factory=dict)
    modulators: dict[str, dict[str | None, Modulator]] = field(default_factory=dict)
    vectors: dict[str, int] = field(default_factory=dict)  # lengths of vector modulators
    losses: dict[str, Loss] = field(default_factory=dict)
    data: dict[str, Data] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    pairs: dict[str, Pairs] = field(default_factory=dict)
    readouts: dict[str, Readout] = field(default_factory=dict)
    readout_values: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    tables: dict[str, TypeTable | None] = field(default_factory=dict)
    means: dict[str, Table] = field(default_factory=dict)  # tables that follow weights
    weight_names: dict[str, str] = field(default_factory=dict)  # by projection, as written
    rewirings: dict[str, Rewire] = field(default_factory=dict)
    phases: dict[str, Span] = field(default_factory=dict)
    foreign: list[tuple[str, Span]] = field(default_factory=list)  # reads to verify at the end
    used: set[tuple[str, str]] = field(default_factory=set)  # (kind, name) of declarations
    texts: dict[str, str] = field(default_factory=dict)  # by source
    known: dict[str, Value] = field(default_factory=dict)  # parameters of tasks, by path
    signals: dict[str, dict[str, Signal]] = field(default_factory=dict)  # by name and task
    steps: CellStatements | None = None  # where statements are being translated
    named: int = 0  # values that no text names
    dt: float | None = None
    dt_dim: Dim = None

    def __post_init__(self) -> None:
        self.expansion = Expansion(self.bag)

    def use(self, kind: str, name: str) -> None:
        """Note that a declaration is used."""
        self.used.add((kind, name))

    def unknown(
        self, what: str, name: str, span: Span, candidates: Iterable[str], where: str = ""
    ) -> None:
        """Report an unknown name, once in each place of the language."""
        first = name.split(".")[0]
        elsewhere = first in self.declarations.elsewhere() or (self.flip and first in self.left_out)
        if first in self.dead:
            return  # its declaration was reported
        if elsewhere and (self.flip or self.undecided):
            return  # declared in a branch that this look leaves out
        if not self.bag.poison(where, name):
            return
        inside = f" in {where}" if where else ""
        code, message, help = "E0101", f"unknown {what} `{name}`{inside}", None
        if elsewhere:
            help = "it is declared in a branch of `when` that is not taken here"
        elif len(self.bag) < _HINTED:
            from netdsl.sema.scopes.habits import COMMENT, comment_at, hint

            known = list(dict.fromkeys(candidates))
            help = did_you_mean(name, known)
            found = hint(what, name, known)
            if help is None and (comment := comment_at(span, self.texts)) is not None:
                span, found = comment, COMMENT
            if found is not None and (found.sure or help is None):
                code, message, help = found.code, found.message or message, found.help
        self.bag.error(code, message, span, help=help)

    def hides(self, name: str, span: Span, meaning: str) -> None:
        """A body has its own `name`: report a value of the specification that it hides."""
        if span.source.startswith("std."):
            return
        for kind in ("param", "let", "control", "global"):
            node = self.declarations.table(kind).get(name)
            if node is not None:
                self.bag.error(
                    "E0120",
                    f"`{name}` cannot be read in a body where {meaning}",
                    node.name_span,
                    Label(span, "read here"),
                    help="give it another name",
                )

    def unsupported(self, what: str, span: Span, help: str) -> None:
        """Report something of the language that no backend of this edition carries."""
        self.bag.error("E0831", f"{what} not offered by this edition's backends", span, help=help)

    def sample(self, name: str, span: Span, place: Place | None = None) -> Variable:
        """The variable of a sample field, declared at its first mention."""
        path = f"sample.{name}"
        if path not in self.variables:
            scalar = name in _FIELD_TYPES
            self.variables[path] = Variable(
                path,
                Kind.SAMPLE,
                place or (Place.ROW if scalar else Place.UNIT),
                _FIELD_TYPES.get(name, Type.REAL),
                span=span,
            )
        return self.variables[path]

    def series(self, name: str, span: Span) -> Variable:
        """The variable of a sample field that has a value for each step."""
        path = f"sample.{name}@step"
        if path not in self.variables:
            self.variables[path] = Variable(path, Kind.SAMPLE, Place.UNIT, series=True, span=span)
        return self.variables[path]

    def choose(self, node: ast.WhenBody, condition: bool) -> ast.Body:
        """The branch of a `when` inside a body; remembers where the other one stands."""
        taken = condition is not self.flip
        skipped = node.otherwise if taken else node.body
        if skipped:
            self.whens.append(skipped[0].span.to(skipped[-1].span))
        parts = (part for statement in skipped for part in ast.walk(statement))
        self.left_out.update(part.name for part in parts if isinstance(part, ast.Named))
        return node.body if taken else node.otherwise
