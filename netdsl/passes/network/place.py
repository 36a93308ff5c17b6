"""Where the states of rules are kept: at each synapse, or at the units of one end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from netdsl.ir.expr import NOW, PREV, Expr, Index, Reduce, Ref, refs, transform, walk
from netdsl.ir.network import Assign, Kind, Network, Place, Projection, Rule, Statement, Variable

PRE, POST = "pre", "post"
Ends = frozenset[str]  # the ends that a value is of: both where it is a synapse's own
_SIDES: Mapping[Ends, str] = {frozenset(): "own", frozenset((PRE,)): PRE, frozenset((POST,)): POST}

_MOST = 1000  # operations of a `let` that is written out where it is read


def placed(network: Network) -> Network:
    """States of rules that follow from one end alone are kept per unit of that end."""
    projections = {
        name: replace(held, rule=_placed(network, held, held.rule))
        if held.rule is not None and held.rule.variables
        else held
        for name, held in network.projections.items()
    }
    return replace(network, projections=projections)


def _placed(network: Network, projection: Projection, rule: Rule) -> Rule:
    rule = remembering(rule)
    ends = _ends(network, rule)
    variables = {p: _at(v, ends[p], projection) for p, v in rule.variables.items()}

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or node.path not in ends:
            return None
        return replace(node, side=_SIDES.get(ends[node.path], "synapse"))

    notes = {p: _note(v, ends[p]) for p, v in variables.items() if v.kind is not Kind.LET}
    return replace(_over(rule, visit), variables=variables, notes=notes)


def _at(variable: Variable, ends: Ends, projection: Projection) -> Variable:
    """The variable where it is kept."""
    side = _SIDES.get(ends)
    if side is None:
        return variable
    owner = projection.pre if side == PRE else projection.post
    return replace(variable, place=Place.UNIT if ends else Place.ROW, owner=owner)


def _over(rule: Rule, visit: Callable[[Expr], Expr | None]) -> Rule:
    """The rule with every expression that may read its states rewritten."""
    return replace(
        rule,
        statements=tuple(_value(s, transform(s.value, visit)) for s in _assigns(rule)),
        dw=None if rule.dw is None else transform(rule.dw, visit),
        subtract=tuple(transform(expr, visit) for expr in rule.subtract),
    )


def _value(statement: Assign, value: Expr) -> Assign:
    return replace(statement, value=value)


def _assigns(rule: Rule) -> Iterator[Assign]:
    for statement in rule.statements:
        assert isinstance(statement, Assign)  # equations are integrated by now
        yield statement


# -- the values of the step before -------------------------------------------------------------


def remembering(rule: Rule) -> Rule:
    """Reads of a state's value at the start of the step become reads of a `let` that holds it,
    where the state has changed since."""
    changed: set[str] = set()
    kept: dict[str, str] = {}

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or node.path not in rule.variables or node.time != PREV:
            return None
        if node.path not in changed:
            return replace(node, time=NOW)
        held = kept.setdefault(node.path, f"{node.path}@start")
        return replace(node, path=held, time=NOW)

    statements: list[Statement] = []
    for statement in _assigns(rule):
        statements.append(_value(statement, transform(statement.value, visit)))
        changed.add(statement.target)
    made = replace(
        rule,
        statements=tuple(statements),
        dw=None if rule.dw is None else transform(rule.dw, visit),
        subtract=tuple(transform(expr, visit) for expr in rule.subtract),
    )
    for path, held in kept.items():
        made = _kept(made, path, held)
    return made


def _kept(rule: Rule, path: str, held: str) -> Rule:
    """The rule with a `let` of a state's value ahead of the first statement that changes it."""
    variable = rule.variables[path]
    let = replace(variable, path=held, kind=Kind.LET, init=None, keep=False)
    first = next(n for n, s in enumerate(_assigns(rule)) if s.target == path)
    copy = Assign(held, Ref(path, "synapse", span=variable.span), variable.span)
    statements = (*rule.statements[:first], copy, *rule.statements[first:])
    return replace(rule, variables={**rule.variables, held: let}, statements=statements)


# -- ends --------------------------------------------------------------------------------------


def _ends(network: Network, rule: Rule) -> dict[str, Ends]:
    """The ends whose values each variable follows from."""
    found: dict[str, Ends] = {path: frozenset() for path in rule.variables}
    while True:
        before = dict(found)
        for statement in _assigns(rule):
            found[statement.target] |= _ends_of(network, found, statement.value)
        if found == before:
            return found


def _ends_of(network: Network, known: Mapping[str, Ends], expr: Expr) -> Ends:
    ends: Ends = frozenset()
    for node in walk(expr):
        if isinstance(node, Index) or (isinstance(node, Reduce) and node.axis != "batch"):
            ends |= {PRE, POST}
        elif isinstance(node, Ref):
            ends |= known[node.path] if node.path in known else _ends_of_read(network, node)
    return ends


def _ends_of_read(network: Network, ref: Ref) -> Ends:
    variable = network.table[ref.path]
    whole = variable.kind is not Kind.DEF and variable.place in (Place.GLOBAL, Place.ROW)
    if whole:  # one number for all units
        return frozenset()
    if ref.side in (PRE, POST):
        return frozenset((ref.side,))
    return frozenset((PRE, POST)) if ref.side == "synapse" else frozenset((POST,))


def _note(variable: Variable, ends: Ends) -> str:
    if variable.place is Place.ROW:
        return "one per sample: it reads neither end"
    if variable.place is Place.UNIT:
        what = "presynaptic" if ends == {PRE} else "postsynaptic"
        return f"one per unit of `{variable.owner}` and sample: it reads {what} values only"
    return "one per synapse and sample: it follows from both ends"


def assigned_after(rule: Rule, number: int) -> frozenset[str]:
    """What the statements behind one change."""
    return frozenset(s.target for s in list(_assigns(rule))[number + 1 :])


def with_lets(rule: Rule, expr: Expr) -> Expr:
    """A value read behind all statements, with `let`s replaced by what they are of, where that has
    not changed since."""
    values: dict[str, Expr] = {}

    def visit(node: Expr) -> Expr | None:
        return values.get(node.path) if isinstance(node, Ref) else None

    for number, statement in enumerate(_assigns(rule)):
        if rule.variables[statement.target].kind is Kind.LET:
            value = transform(statement.value, visit)
            moved = {ref.path for ref in refs(value)} & assigned_after(rule, number)
            if not moved and value.size <= _MOST:
                values[statement.target] = value
    return transform(expr, visit)
