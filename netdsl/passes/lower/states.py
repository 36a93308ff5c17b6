"""States of rules: what advances them at the end of a step, and how a reset sets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from netdsl.ir.algebra.factor import POST, PRE, ROW, classes
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Load, Local, Ref, children, rebuild, refs, transform
from netdsl.ir.network import Assign, Kind, Place, Population, Projection, Rule, Variable
from netdsl.ir.program import Bind, Each, Elementwise, Fill, Key, Op, Store
from netdsl.ir.space import ROW as ROWS
from netdsl.ir.space import Space, edge
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.deliver import classify
from netdsl.passes.lower.mask import mask_of
from netdsl.passes.lower.resolve import variable_buffer
from netdsl.passes.lower.synapse import Factors, Read
from netdsl.passes.network.place import with_lets

HELD = (Kind.STATE, Kind.TRACE)


def require_synapses(projection: Projection, rule: Rule) -> None:
    """Raises LoweringError where there is no place for one number per synapse and sample."""
    kind, span = projection.connectivity.kind, rule.learn_span or rule.span
    if projection.connectivity.windows is not None or kind == "one_to_one":
        what = "none of its own" if kind == "one_to_one" else "one kernel for many"
        raise LoweringError(
            "E0840",
            f"rule `{rule.name}` keeps states for each synapse, and `{projection.name}` has {what}",
            span,
            "keep the trace in the pre or post cell, or make the projection dense or sparse",
        )
    if projection.pre_slice or projection.post_slice:
        raise LoweringError(
            "E0841",
            f"rule `{rule.name}` keeps a state for each synapse and sample, which advances with "
            f"each step, and `{projection.name}` joins a part of a population",
            span,
            "make the part a population of its own, let states follow from one end only, or let "
            "the rule run in reverse (`show schedule` says why it does not)",
        )


@dataclass
class RowReads:
    """Reads of one rule at its synapses, sample by sample: the space is (row, edge)."""

    context: Context
    projection: Projection
    rule: Rule
    read: Read
    factors: Factors
    ops: list[Op] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)  # `let`s with a local name

    def value(self, expr: Expr) -> Expr:
        """An expression over buffers; what is of one end alone is computed once per unit."""
        found = classes(expr, classify(self.context))
        own = any(ref.path in self.rule.variables for ref in refs(expr))
        if not own and found <= {POST, ROW}:
            return self._at_end(self.projection.post, POST, expr, 0)
        if not own and found <= {PRE, ROW}:
            return self._at_end(self.projection.pre, PRE, expr, self.projection.delay)
        if isinstance(expr, Ref):
            return self._own(expr)
        return simplify(rebuild(expr, tuple(self.value(part) for part in children(expr))))

    def _own(self, ref: Ref) -> Expr:
        if ref.path in self.bound:
            return Local(ref.path, ref.span)
        variable = self.context.variable(ref.path)
        if ref.path not in self.rule.variables:
            return Load(variable_buffer(self.context, variable), ref.span)
        side = ref.side if ref.side in (PRE, POST) else "own"
        return Load(buffer_of(self.context, variable), ref.span, side=side)

    def _at_end(self, population: str, side: str, expr: Expr, delay: int) -> Expr:
        """A value of one end: read where it is held, else computed for each unit first."""
        ops, value = self.read(population, expr, delay)
        self.ops += ops
        if self.context.place(value) in (Place.GLOBAL, Place.ROW):
            return value
        if not isinstance(value, Load):
            self.factors.ops = []
            name = self.factors.buffer(population, value, f"factor of {self.rule.name}")
            self.ops += self.factors.ops
            value = Load(name)
        return replace(value, side=side)


@dataclass
class StateSteps(RowReads):
    """Builds the operations of one rule: per unit first, as far as its statements allow."""

    def build(self) -> list[Op]:
        """Operations in order."""
        statements = self._in_order(list(self._needed()))
        self.ops, done = [], []
        while statements:
            here = self._where(statements[0])
            group = [statements.pop(0)]
            while statements and self._where(statements[0]) == here:
                group.append(statements.pop(0))
            later = {ref.path for s in statements for ref in refs(s.value)}
            done += self._synapses(group, later) if not here else self._units(here, group)
        return done

    def _needed(self) -> Iterator[Assign]:
        """The statements without `let`s that nobody reads."""
        rule = self.rule
        behind = [with_lets(rule, e) for e in (*([rule.dw] if rule.dw else []), *rule.subtract)]
        self.behind = {ref.path for expr in behind for ref in refs(expr)}
        self.behind |= {p for p in rule.variables if Key(p) in self.context.observed}
        read = set(self.behind)
        kept: list[Assign] = []
        for statement in reversed(rule.statements):
            assert isinstance(statement, Assign)
            if rule.variables[statement.target].kind is Kind.LET and statement.target not in read:
                continue
            read |= {ref.path for ref in refs(statement.value)}
            kept.append(statement)
        return reversed(kept)

    def _where(self, statement: Assign) -> str:
        """The population whose units a statement is of; "" for synapses."""
        variable = self.rule.variables[statement.target]
        return "" if variable.place is Place.ROW_SYNAPSE else variable.owner

    def _in_order(self, statements: list[Assign]) -> list[Assign]:
        """Statements of units go ahead of those of synapses that do not read what they change."""
        placed: list[Assign] = []
        for statement in statements:
            at = len(placed)
            here = self._where(statement)
            own = {ref.path for ref in refs(statement.value)} | {statement.target}
            while here and at and not self._meet(placed[at - 1], statement, own):
                at -= 1
            placed.insert(at, statement)
        return placed

    def _meet(self, earlier: Assign, statement: Assign, own: set[str]) -> bool:
        """Must one stay ahead of the other?"""
        if self._where(earlier) == self._where(statement):
            return True
        read = {ref.path for ref in refs(earlier.value)}
        return statement.target in read or earlier.target in own

    # -- statements -----------------------------------------------------------------------------

    def _units(self, population: str, group: list[Assign]) -> list[Op]:
        """Statements over the units of one population."""
        ops: list[Op] = []
        stores: list[Store] = []
        for statement in group:
            expr = own_reads(self.rule, statement.value)
            before, value = self.read(population, expr, self.projection.delay)
            if before:  # reductions that this one reads
                ops += [*self._over_units(population, stores), *before]
                stores = []
            target = buffer_of(self.context, self.rule.variables[statement.target])
            stores.append(Store(target, value, statement.span))
        return [*ops, *self._over_units(population, stores)]

    def _over_units(self, population: str, stores: list[Store]) -> list[Op]:
        held = tuple(stores)
        return [Elementwise(population, held, label=self._label())] if held else []

    def _synapses(self, group: list[Assign], later: set[str]) -> list[Op]:
        require_synapses(self.projection, self.rule)
        self.ops, self.bound = [], set()
        statements: list[Bind | Store] = []
        mask = mask_of(self.context, self.projection)
        for statement in group:
            path = statement.target
            variable = self.rule.variables[path]
            value = self.value(statement.value)
            if variable.kind is Kind.LET:
                statements.append(Bind(path, value, statement.span))
                self.bound.add(path)
                if path in later or path in self.behind:
                    held = buffer_of(self.context, variable)
                    statements.append(Store(held, Local(path), statement.span))
                continue
            if mask is not None:  # a synapse that does not exist keeps 0
                value = simplify(Apply("mul", (Load(mask), value)))
            target = buffer_of(self.context, variable)
            statements.append(Store(target, value, statement.span))
        each = Each(space(self.projection), tuple(statements), label=self._label())
        return [*self.ops, each]

    def _label(self) -> str:
        return f"{self.projection.name} remembers for {self.rule.name}"


def space(projection: Projection) -> Space:
    """Where its rule's states are: at each synapse, for each sample."""
    return (ROWS, edge(projection.name))


def own_reads(rule: Rule, expr: Expr) -> Expr:
    """Reads of the rule's variables as those of the unit that keeps them: they never travel."""

    def visit(node: Expr) -> Expr | None:
        mine = isinstance(node, Ref) and node.path in rule.variables
        return replace(node, side="own") if mine and isinstance(node, Ref) else None

    return transform(expr, visit)


def buffer_of(context: Context, variable: Variable) -> str:
    """The buffer of a rule's variable; a `let` has one where it is read behind its statements."""
    if variable.kind is not Kind.LET:
        return variable_buffer(context, variable)
    seen = Key(variable.path) in context.observed
    return context.need(
        variable.path,
        variable.place,
        variable.owner,
        "observed" if seen else "scratch",
        "a `let` read behind its statements",
        span=variable.span,
        tag="" if seen else "kept",
    )


def state_resets(context: Context, population: Population, *, keep: bool) -> Iterator[Op]:
    """Start values of the states of rules whose synapses end in a population."""
    for projection in context.network.projections.values():
        rule = projection.rule
        if rule is None or projection.post != population.name:
            continue
        kept = context.transposed.get(projection.name) is None
        for variable in rule.variables.values():
            if not kept and variable.place is Place.ROW_SYNAPSE:
                continue
            if variable.kind in HELD and variable.keep == keep:
                yield _start(context, projection, variable)


def _start(context: Context, projection: Projection, variable: Variable) -> Op:
    target = variable_buffer(context, variable)
    start = variable.init if isinstance(variable.init, Const) else Const(0.0)
    mask = mask_of(context, projection) if variable.place is Place.ROW_SYNAPSE else None
    if mask is None or not start.value:
        return Fill(target, float(start.value), variable.span)
    value = simplify(Apply("mul", (Load(mask), start)))
    return Each(space(projection), (Store(target, value, variable.span),), label="reset")
