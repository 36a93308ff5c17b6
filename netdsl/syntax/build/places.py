"""Which statements belong in which kind of body."""

from __future__ import annotations

from netdsl.diagnostics import Diagnostic, DiagnosticBag, Label, Span
from netdsl.syntax import ast

_COMMON: tuple[type[ast.Node], ...] = (ast.Param, ast.Let, ast.WhenBody)
_DYNAMICS = (ast.State, ast.Assign, ast.Draw, ast.Ode, ast.Integrate, ast.Trace, ast.Def)
_NEURON = (
    *_DYNAMICS,
    ast.Extends,
    ast.Input,
    ast.Spike,
    ast.Refractory,
    ast.Surrogate,
    ast.Expose,
    ast.OnEvent,
)
_SYNAPSE = (
    *_DYNAMICS,
    ast.Extends,
    ast.Weight,
    ast.Deliver,
    ast.Learn,
    # `learn bptt(…)` has no rule whose body could say how its gradient is applied
    ast.Optimise,
    ast.Reduce,
    ast.Subtract,
    ast.AfterUpdate,
    ast.Bound,
    ast.OnEvent,
    ast.Waive,
)
_RULE = (
    *_DYNAMICS,
    ast.Extends,
    ast.Setting,
    ast.Reads,
    ast.Optimise,
    ast.Subtract,
    ast.AfterUpdate,
    ast.AtUpdate,
    ast.Reduce,
    ast.Bound,
    ast.Eligibility,
    ast.Expect,
    ast.OnEvent,
    ast.Waive,
)
_ALLOWED: dict[str, tuple[type[ast.Node], ...]] = {
    "neuron": _NEURON,
    "synapse": _SYNAPSE,
    "projection": _SYNAPSE,
    "rule": _RULE,
    "modulator": (*_DYNAMICS, ast.Input, ast.Scope, ast.Emit, ast.Reads, ast.OnEvent, ast.Waive),
    "optimiser": (*_DYNAMICS, ast.Setting, ast.Bound),
    "initialiser": (ast.Assign, ast.Draw, ast.Def, ast.State),
    "trace": (*_DYNAMICS, ast.Input, ast.Setting, ast.OnEvent),
    "rewire": (ast.Setting, ast.Prune, ast.Regrow, ast.Assign),
}
_WORDS: dict[type[ast.Node], str] = {
    ast.Ode: "an equation `d …/dt`",
    ast.Assign: "an assignment `:=`",
    ast.Draw: "a draw `~`",
    ast.Setting: "a setting `=`",
    ast.WhenBody: "`when`",
    ast.OnEvent: "`on`",
    ast.AtUpdate: "`at update`",
    ast.AfterUpdate: "`after update`",
    ast.Waive: "`allow`",
}


def check_places(body: ast.Body, kind: str, head: Span, bag: DiagnosticBag) -> None:
    """Report statements that the body of a `kind` cannot hold; `head` is its name."""
    allowed = (*_COMMON, *_ALLOWED[kind])
    for statement in body:
        if not isinstance(statement, allowed):
            what = _WORDS.get(type(statement), f"`{type(statement).__name__.lower()}`")
            message = f"{what} does not belong in a {kind}"
            labels = (Label(head, f"this {kind}"),)
            span = _first_line(statement.span)
            bag.add(Diagnostic("E0011", message, span, labels, _advice(statement, kind)))
        elif isinstance(statement, ast.WhenBody):
            check_places(statement.body, kind, head, bag)
            check_places(statement.otherwise, kind, head, bag)


def _advice(statement: ast.Statement, kind: str) -> str | None:
    if isinstance(statement, ast.Setting) and kind in ("neuron", "modulator", "projection"):
        name = statement.name
        return f"use `let {name} = …`, `def {name} = …`, or `{name} := …` for a state"
    homes = [home for home, allowed in _ALLOWED.items() if isinstance(statement, allowed)]
    return f"it belongs in a {' or '.join(homes[:2])}" if homes else None


def _first_line(span: Span) -> Span:
    """Carets under a statement of several lines mark its first one only."""
    if span.line == span.end_line:
        return span
    return Span(span.source, span.line, span.column, span.line, span.column + 1)
