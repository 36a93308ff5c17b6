"""The form that a rule declared online is run in: its states step by step, or a reverse sweep.

States of synapses that follow linear recursions with coefficients of the postsynaptic unit, fed by
presynaptic factors and read linearly at `update`, need not be kept: the same change is a batch sum
of products of the presynaptic factor of each step and of a number per unit, which the transposed
recursions give when they run backwards through the phase.
"""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.algebra.derivative import DerivativeError, derivative
from netdsl.ir.algebra.factor import POST, NotFactorable, Term, factor
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Const, Expr, Ref, refs, transform
from netdsl.ir.network import Assign, Kind, Place, Projection, Rule
from netdsl.ir.program import Key
from netdsl.ir.protocol import Choose, Clamp, Each, Repeat, Reset, RunPhase, Step, Update
from netdsl.passes.lower.context import Context, Transposed
from netdsl.passes.lower.deliver import classify
from netdsl.passes.network.place import with_lets

AUTO, ONLINE = "auto", "online"
FORMS = (AUTO, ONLINE, "reverse")
_ZERO = Const(0.0)
_MOST = 2**31  # bytes that a sweep may keep, of all steps and samples of a batch


class Online(Exception):
    """Why a rule has to run step by step."""


def forms(context: Context, form: str) -> dict[str, str]:
    """For each projection whose rule keeps states at synapses a sentence on its form; those that
    run in reverse are in `context.transposed`."""
    notes: dict[str, str] = {}
    for name, projection in context.network.projections.items():
        rule = projection.rule
        if rule is None or not any(True for _ in synaptic(rule)):
            continue
        try:
            if form == ONLINE:
                raise Online("as asked")
            phase = _require(context, projection, rule)
            if form == AUTO:
                _weigh(context, projection, phase)
        except Online as why:
            notes[name] = f"`{name}`: states of `{rule.name}` advance with each step: {why}"
            continue
        context.transposed[name] = Transposed(
            f"{name}.{rule.name}.", (phase.site, signature(context, projection, rule))
        )
        notes[name] = (
            f"`{name}`: `{rule.name}` runs in reverse at `update`: nothing is kept at synapses, "
            "and of each step what the recursions are made of"
        )
    return notes


def synaptic(rule: Rule) -> Iterator[str]:
    """States of a rule that are kept at synapses."""
    for path, variable in rule.variables.items():
        if variable.place is Place.ROW_SYNAPSE and variable.kind in (Kind.STATE, Kind.TRACE):
            yield path


def own(rule: Rule, expr: Expr) -> set[str]:
    """What an expression reads of that which a rule computes at synapses."""
    held = {p for p, v in rule.variables.items() if v.place is Place.ROW_SYNAPSE}
    return {ref.path for ref in refs(expr)} & held


def terms(context: Context, rule: Rule, expr: Expr) -> tuple[Term, ...]:
    """Factors, where what the rule computes at synapses counts as the unit's."""
    plain = classify(context)

    def leaf(node: Expr) -> str | None:
        return POST if isinstance(node, Ref) and own(rule, node) else plain(node)

    return factor(expr, leaf)


def stated(context: Context, rule: Rule) -> list[Term]:
    """Terms of the change that read the states."""
    assert rule.dw is not None
    found = terms(context, rule, with_lets(rule, rule.dw))
    return [term for term in found if term.post is not None and own(rule, term.post)]


def unstated(rule: Rule) -> Expr | None:
    """What the change is beside those: its value where all states are 0."""
    assert rule.dw is not None
    rest = _without_states(rule, with_lets(rule, rule.dw))
    return None if rest == _ZERO else rest


def _without_states(rule: Rule, expr: Expr) -> Expr:
    def gone(node: Expr) -> Expr | None:
        return _ZERO if isinstance(node, Ref) and own(rule, node) else None

    return simplify(transform(expr, gone))


# ---------------------------------------------------------------- what a sweep needs


def _require(context: Context, projection: Projection, rule: Rule) -> RunPhase:
    """The phase that advances the states. Raises Online."""
    if rule.clock != "update":
        raise Online("its weights change with each step")
    kind = projection.connectivity.kind
    if kind == "one_to_one" or projection.connectivity.windows or projection.carrier:
        raise Online("its synapses are no matrix of their own")
    for path, variable in rule.variables.items():
        if Key(path) in context.observed:
            raise Online(f"`{variable.name}` is observed")
        started = variable.init is not None and variable.init != _ZERO
        if own(rule, Ref(path)) and (variable.keep or started):
            raise Online(f"`{variable.name}` does not start from 0")
    _linear(context, rule)
    _in_order(rule)
    return _alone(context, projection)


def _in_order(rule: Rule) -> None:
    """Raises Online where states of synapses read what a later statement changes at a unit: a sweep
    knows the values of the end of a step."""
    read: set[str] = set()
    for statement in rule.statements:
        assert isinstance(statement, Assign)
        if own(rule, Ref(statement.target)):
            read |= {ref.path for ref in refs(statement.value)}
        elif statement.target in read:
            raise Online("a state of synapses reads one of units before that advances")


def _linear(context: Context, rule: Rule) -> None:
    try:
        for statement in rule.statements:
            assert isinstance(statement, Assign)
            if own(rule, Ref(statement.target)):
                for term in terms(context, rule, statement.value):
                    _recursion(rule, term)
        for expr in rule.subtract:
            if own(rule, with_lets(rule, expr)):
                raise Online("`subtract` reads its states")
        for term in stated(context, rule):
            if term.pre is not None or term.synapse is not None:
                raise Online("its change has another factor beside the states")
            _homogeneous(rule, term.post)
    except (NotFactorable, DerivativeError):
        raise Online("its states follow no linear recursion") from None


def _recursion(rule: Rule, term: Term) -> None:
    if term.pre is None and term.synapse is None:
        _homogeneous(rule, term.post)
    elif term.post is not None and own(rule, term.post):
        raise Online("a coefficient of its states is not one of the unit")
    elif term.pre is None:
        raise Online("its states are fed by more than what arrives")


def _homogeneous(rule: Rule, expr: Expr | None) -> None:
    """Is a value linear in the states, with nothing beside?"""
    read = own(rule, expr) if expr is not None else set()
    if expr is None or not read:
        raise Online("its states are fed by more than what arrives")

    if _without_states(rule, expr) != _ZERO:
        raise Online("its states follow no linear recursion")
    for path in read:
        if own(rule, simplify(derivative(expr, path))):
            raise Online("its states follow no linear recursion")


def signature(context: Context, projection: Projection, rule: Rule) -> object:
    """Equal for rules whose states follow the same recursions and enter the change alike."""
    prefix = f"{projection.name}.{rule.name}."
    seen: dict[tuple[Expr, Expr | None], int] = {}

    def named(node: Expr) -> Expr | None:
        mine = isinstance(node, Ref) and node.path.startswith(prefix)
        return Ref(node.path[len(prefix) :]) if mine and isinstance(node, Ref) else None

    def plain(term: Term) -> object:
        number = None
        if term.pre is not None:
            number = seen.setdefault((term.pre, term.synapse), len(seen))
        post = None if term.post is None else transform(term.post, named)
        return term.scalar, post, number

    recursions = tuple(
        (s.target[len(prefix) :], tuple(plain(t) for t in terms(context, rule, s.value)))
        for s in rule.statements
        if isinstance(s, Assign) and own(rule, Ref(s.target))
    )
    change = tuple(plain(term) for term in stated(context, rule))
    return projection.post, recursions, change


# ---------------------------------------------------------------- where it stands


def _alone(context: Context, projection: Projection) -> RunPhase:
    """The one phase that advances the states: a reset before it, the update right behind it."""
    name, found = projection.name, list[RunPhase]()
    for protocol in context.network.protocols.values():
        for block in _blocks(protocol.body):
            fresh = False
            for number, step in enumerate(block):
                following = block[number + 1] if number + 1 < len(block) else None
                if isinstance(step, Reset):
                    fresh = not step.targets
                elif isinstance(step, RunPhase) and name in step.learning:
                    behind = isinstance(following, Update) and name in following.projections
                    if not (fresh and behind and isinstance(step.steps, Const)):
                        raise Online("not every learning phase runs between `reset` and `update`")
                    found.append(step)
                    fresh = False
                elif isinstance(step, Update) and name in step.projections:
                    before = block[number - 1] if number else None
                    if not (isinstance(before, RunPhase) and name in before.learning):
                        raise Online("an `update` follows no learning phase")
                elif not isinstance(step, Clamp):
                    fresh = False
    if len(found) != 1:
        raise Online("not one phase learns, but several")
    return found[0]


def _blocks(body: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    yield body
    for step in body:
        if isinstance(step, Each | Repeat):
            yield from _blocks(step.body)
        elif isinstance(step, Choose):
            yield from _blocks(step.then)
            yield from _blocks(step.otherwise)


def _weigh(context: Context, projection: Projection, phase: RunPhase) -> None:
    """Raises Online where a sweep would keep too much: some two numbers a unit, step and sample."""
    assert isinstance(phase.steps, Const)
    rows = max((data.batch for data in context.network.data.values()), default=1)
    kept = 2 * 4 * int(phase.steps.value) * rows * context.size(projection.post)
    if kept > _MOST:
        raise Online(f"a sweep would keep too much of {int(phase.steps.value)} steps")
