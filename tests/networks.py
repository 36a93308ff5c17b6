"""Small networks built by hand, for tests of stages that take an `ir.Network`.

Expressions are written as Python text: `pre.s`, `post.r__free` (a value at the end of phase
`free`), `w`, `sum(z ** 2)`, `sum(sample.positive, "batch")`, `v__prev`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from netdsl.diagnostics.span import Span
from netdsl.ir import protocol as proto
from netdsl.ir.expr import ARRIVAL, NOW, PREV, Apply, Const, Expr, Index, Reduce, Ref
from netdsl.ir.network import (
    Assign,
    Claim,
    Connectivity,
    Deliver,
    Integrate,
    Kind,
    Loss,
    Modulator,
    Network,
    Place,
    Population,
    Projection,
    Rule,
    Spike,
    Statement,
    Type,
    Variable,
    Waiver,
)

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow",
    ast.Mod: "mod", ast.FloorDiv: "floordiv",
}  # fmt: skip
_COMPARE = {ast.Lt: "lt", ast.Gt: "gt", ast.LtE: "le", ast.GtE: "ge", ast.Eq: "eq"}
_REDUCTIONS = ("sum", "mean", "any", "count")
NETWORK_WIDE = {
    "epoch": Kind.COUNTER,
    "batch.rows": Kind.COUNTER,
    "phase.step": Kind.COUNTER,
    "nudge": Kind.CONTROL,
    "beta": Kind.GLOBAL,
    "sample.label": Kind.SAMPLE,
    "sample.positive": Kind.SAMPLE,
    "sample.image": Kind.SAMPLE,
}


@dataclass
class Builder:
    """Collects declarations; every declaration and statement stands on a line of its own."""

    populations: dict[str, Population] = field(default_factory=dict)
    projections: dict[str, Projection] = field(default_factory=dict)
    modulators: list[Modulator] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    waivers: list[Waiver] = field(default_factory=list)
    losses: dict[str, Loss] = field(default_factory=dict)
    protocols: dict[str, proto.Protocol] = field(default_factory=dict)
    data: dict[str, proto.Data] = field(default_factory=dict)
    readouts: dict[str, proto.Readout] = field(default_factory=dict)
    line: int = 0

    def span(self) -> Span:
        """A place on a fresh line."""
        self.line += 1
        return Span("test.net", self.line, 1, self.line, 2)

    def expr(self, text: str, owner: str = "", pre: str = "", post: str = "") -> Expr:
        """An expression read in a population or projection (`owner`)."""
        span = self.span()
        return _Reader(self, owner, pre, post, span).read(ast.parse(text, mode="eval").body)

    def population(
        self,
        name: str,
        size: int = 3,
        body: Sequence[str] = (),
        *,
        on_phase: Sequence[str] = (),
        defs: Mapping[str, str] | None = None,
        exposed: Sequence[str] = (),
        keep: Sequence[str] = (),
        **kinds: str,
    ) -> None:
        """`kinds`: names by kind (`state="u r"`, `input="ff"`, `spike`, `trace="z:s"`, `row`)."""
        span = self.span()
        table: dict[str, Variable] = {}
        for kind, names in kinds.items():
            for entry in names.split():
                variable, _, of = entry.partition(":")
                path = f"{name}.{variable}"
                place = Place.ROW if kind == "row" else Place.UNIT
                place = Place.NEURON if kind == "param" else place
                table[path] = Variable(
                    path,
                    Kind.STATE if kind == "row" else Kind(kind),
                    place,
                    owner=name,
                    init=Const(0) if kind in ("state", "row", "trace") else None,
                    exposed=variable in exposed,
                    keep=variable in keep,
                    of=f"{name}.{of}" if of else None,
                    span=span,
                )
        self.populations[name] = Population(name, name, (("", size),), (), table, (), (), span)
        for key, text in (defs or {}).items():
            path = f"{name}.{key}"
            at = self.span()
            table[path] = Variable(
                path, Kind.DEF, Place.UNIT, owner=name, definition=self.expr(text, name), span=at
            )
        statements = tuple(self.statement(text, name) for text in body)
        entry_actions = tuple(self.statement(text, name) for text in on_phase)
        self.populations[name] = replace(
            self.populations[name],
            body=statements,
            on_phase=tuple(s for s in entry_actions if isinstance(s, Assign)),
        )

    def statement(self, text: str, owner: str) -> Statement:
        """`x = e`, `spike s: e`, `ode METHOD v: e`."""
        if text.startswith("spike "):
            target, condition = text[6:].split(":", 1)
            value = self.expr(condition.strip(), owner)
            return Spike(f"{owner}.{target.strip()}", value, value, None, self.span())
        if text.startswith("ode "):
            head, rate = text[4:].split(":", 1)
            method, target = head.split()
            equation = (f"{owner}.{target}", self.expr(rate.strip(), owner))
            return Integrate((equation,), method, 1e-3, self.span())
        target, value_text = text.split("=", 1)
        value = self.expr(value_text.strip(), owner)
        return Assign(f"{owner}.{target.strip()}", value, self.span())

    def projection(
        self,
        name: str,
        pre: str,
        post: str,
        deliver: str = "",
        *,
        delay: int = 0,
        transpose_of: str | None = None,
        fixed: bool = False,
        kind: str = "dense",
        init: Expr | None = None,
        self_connections: bool = True,
    ) -> None:
        """`deliver`: "input: value", the input of `post` unless it names its population."""
        span = self.span()
        weight = f"{transpose_of or name}.w"
        table = {}
        if transpose_of is None:
            table[weight] = Variable(
                weight, Kind.WEIGHT, Place.SYNAPSE, owner=name, init=init or Const(0), span=span
            )
        links = Connectivity(kind, self_connections=self_connections, span=span)
        self.projections[name] = Projection(
            name, pre, post, links, delay, table, (), weight, None, transpose_of, fixed, span=span
        )
        if deliver:
            target, value_text = deliver.split(":", 1)
            path = target if "." in target else f"{post}.{target}"
            value = self.expr(value_text.strip(), name, pre, post)
            made = Deliver(path, value, self.span())
            self.projections[name] = replace(self.projections[name], delivers=(made,))

    def learn(self, projection: str, name: str, dw: str | None = None, **settings: Any) -> None:
        """Bind a rule; `subtract`, `after`, `lets` and `states` are texts."""
        edge = self.projections[projection]

        def read(text: str) -> Expr:
            return self.expr(text, projection, edge.pre, edge.post)

        variables = {
            f"{projection}.{key}": Variable(
                f"{projection}.{key}", Kind.LET, Place.SYNAPSE, owner=projection
            )
            for key in settings.get("lets", {})
        }
        self.projections[projection] = replace(
            edge, rule=Rule(name, projection, "step", None, variables=variables)
        )
        lets = tuple(
            Assign(f"{projection}.{key}", read(text))
            for key, text in settings.get("lets", {}).items()
        )
        listed = settings.get("reads")
        rule = Rule(
            name,
            projection,
            settings.get("clock", "step"),
            read(dw) if dw is not None else None,
            settings.get("reduce", "sum"),
            subtract=tuple(read(text) for text in settings.get("subtract", ())),
            after=tuple(
                Assign(f"{projection}.w", read(text)) for text in settings.get("after", ())
            ),
            reads=listed,
            variables=variables,
            statements=lets,
            loss=settings.get("loss"),
            span=self.span(),
            learn_span=self.span(),
            reads_spans=tuple(self.span() for _ in listed or ()),
        )
        self.projections[projection] = replace(edge, rule=rule)

    def modulator(self, name: str, population: str | None, scope: str, emit: str) -> None:
        """A modulator whose variable is `name.population`."""
        path = f"{name}.{population}" if population else name
        owner = population or ""
        place = Place.UNIT if scope == "neuron" else Place.ROW
        variable = Variable(path, Kind.MODULATOR, place, owner=owner, span=self.span())
        if population:
            held = self.populations[population]
            self.populations[population] = replace(
                held, variables={**held.variables, path: variable}
            )
        value = self.expr(emit, owner)
        self.modulators.append(Modulator(name, population, scope, path, value, self.span()))

    def claim(self, rule: str, *properties: str) -> None:
        """`claim rule : properties`."""
        self.claims.append(Claim(rule, properties, self.span()))

    def allow(self, level: str, target: str, reason: str = "it is so") -> None:
        """`allow level on target because "reason"`."""
        self.waivers.append(Waiver(level, target, reason, self.span()))

    def protocol(self, name: str, *steps: proto.Step) -> None:
        """`protocol name { each batch of digits.train { steps } }`."""
        split = proto.SplitRef("digits", "train")
        body = (proto.Each("batch", split, None, tuple(steps), f"{name}.0", self.span()),)
        self.protocols[name] = proto.Protocol(name, (), body, self.span())

    def network(self) -> Network:
        """The finished network."""
        shared = {
            path: Variable(
                path,
                kind,
                Place.ROW if kind is Kind.SAMPLE else Place.GLOBAL,
                Type.BOOL if path == "sample.positive" else Type.REAL,
            )
            for path, kind in NETWORK_WIDE.items()
        }
        globals_ = {
            m.variable: Variable(m.variable, Kind.MODULATOR, Place.ROW)
            for m in self.modulators
            if m.population is None
        }
        return Network(
            "test", "test.net", "", None, {}, {**shared, **globals_}, self.populations,
            self.projections, tuple(self.modulators), self.losses, self.data, {},
            self.protocols, self.readouts, {}, (), tuple(self.claims), tuple(self.waivers),
        )  # fmt: skip


class _Reader:
    """Python expression trees to `netdsl.ir.expr` ones."""

    def __init__(self, builder: Builder, owner: str, pre: str, post: str, span: Span) -> None:
        self.builder, self.owner, self.ends = builder, owner, {"pre": pre, "post": post}
        self.span = span

    def read(self, node: ast.expr) -> Expr:
        at = replace(
            self.span, column=node.col_offset + 1, end_column=(node.end_col_offset or 0) + 1
        )
        match node:
            case ast.Constant(value=value):
                assert isinstance(value, int | float)
                return Const(value, at)
            case ast.BinOp(left=left, op=op, right=right):
                return Apply(_BINARY[type(op)], (self.read(left), self.read(right)), at)
            case ast.UnaryOp(operand=operand):
                return Apply("neg", (self.read(operand),), at)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return Apply(_COMPARE[type(op)], (self.read(left), self.read(right)), at)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(name, args, at)
            case ast.Attribute(value=ast.Name(id=base), attr=attr):
                return self.dotted(base, attr, at)
            case ast.Name(id=name):
                return self.named(name, at)
        raise ValueError(ast.dump(node))

    def call(self, name: str, args: list[ast.expr], at: Span) -> Expr:
        if name in _REDUCTIONS or (name == "max" and len(args) == 1):
            axis = args[1].value if len(args) > 1 and isinstance(args[1], ast.Constant) else None
            return Reduce(name, str(axis or "population"), self.read(args[0]), at)
        if name == "index":
            return Index(None, "own", at)
        return Apply(name, tuple(self.read(arg) for arg in args), at)

    def dotted(self, base: str, attr: str, at: Span) -> Expr:
        name, time = self.timed(attr)
        if base in self.ends:
            standard = ARRIVAL if base == "pre" else NOW
            return Ref(f"{self.ends[base]}.{name}", base, time or standard, at)
        side = "synapse" if name == "w" else "own"
        return Ref(f"{base}.{name}", side, time or NOW, at)

    def named(self, written: str, at: Span) -> Expr:
        name, time = self.timed(written)
        for modulator in self.builder.modulators:
            if modulator.name == name and modulator.population in (
                None, self.owner, self.ends["post"]
            ):  # fmt: skip
                return Ref(modulator.variable, "post", NOW, at)
        path = f"{self.owner}.{name}"
        edge = self.builder.projections.get(self.owner)
        if edge is not None and name == "w":
            return Ref(edge.weight or path, "synapse", time or NOW, at)
        if edge is not None and edge.rule is not None and path in edge.rule.variables:
            return Ref(path, "synapse", time or NOW, at)
        home = self.builder.populations.get(self.owner)
        known = home is not None and name not in ("nudge", "beta", "epoch")
        return Ref(path if known else name, "own", time or NOW, at)

    @staticmethod
    def timed(written: str) -> tuple[str, str]:
        name, _, phase = written.partition("__")
        return name, (PREV if phase == "prev" else f"@{phase}") if phase else ""
