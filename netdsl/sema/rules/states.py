"""States of a rule, one for each synapse and sample, and the statements that advance them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.diagnostics import Label, Span
from netdsl.ir.expr import Expr, Ref, refs
from netdsl.ir.network import Assign, Integrate, Kind, Place, Statement, Type, Variable
from netdsl.sema.cells.bodies import BodyScope, declared_dim
from netdsl.sema.cells.populations import variable_type
from netdsl.sema.cells.statements import CellStatements
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.components import Vector
from netdsl.sema.scopes.units import Dim, Unknown
from netdsl.sema.scopes.values import Value, bad
from netdsl.sema.synapses.synapses import SynapseArguments
from netdsl.syntax import ast

STATEFUL = (ast.State, ast.Trace, ast.Ode, ast.Integrate, ast.Assign)  # what makes a rule remember
_RESERVED = ("pre", "post", "self", "mag", "dw")


class RuleScope(BodyScope):
    """The states and `let`s of a rule at one synapse, before whatever else its synapse names."""

    side = "synapse"
    whole = Place.ROW_SYNAPSE

    def __init__(self, home: SynapseArguments, path: str, projection: str) -> None:
        super().__init__(home.context, home, path, home.kind)
        self.owner = projection
        self.vectors = home.vectors
        self.lets: dict[str, ast.Let] = {}
        self.defs: dict[str, ast.Def] = {}

    def place(self, value: Place) -> Place:
        """One for each synapse and sample, until a pass finds that it is less."""
        return Place.ROW_SYNAPSE

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        name = parts[0]
        if len(parts) == 1:
            if name in self.params:
                return self.params[name].at(span)
            if name in self.defs:
                return self._defined(self.defs[name], at, span)
            if name in self.paths:
                return self.read(self.paths[name], at, span)
        return super().find(parts, at, span)

    def vector(self, parts: tuple[str, ...]) -> Vector | None:
        if len(parts) == 1 and parts[0] in self.vectors:
            return Vector(self.vectors[parts[0]], parts, self)
        return super().vector(parts)

    def names(self) -> Iterator[str]:
        yield from self.paths
        yield from super().names()

    def _defined(self, node: ast.Def, at: str | None, span: Span) -> Value:
        """A definition is its value wherever it is read."""
        if at is not None:
            self.context.bag.error(
                "E0106",
                f"`{node.name}` is a definition, and a rule does not remember it",
                span,
                help="keep it in a state, or write `@prev` in the definition",
            )
            return bad(span)
        with self.context.expansion.of(f"{self.kind},", node.name, node) as fits:
            return expressions.translate(node.value, self).at(span) if fits else bad(span)

    def _private(self, variable: Variable, at: str | None) -> tuple[str, str, str] | None:
        name = variable.name
        if variable.kind is not Kind.LET:
            return None
        if at is not None:
            return (
                "E0107",
                f"`{name}` is a `let`: it has a value only below its own line in the rule",
                f"keep it in a state, and read `{name}` of the step before from that",
            )
        if variable.path not in self.ready:
            return "E0107", f"`{name}` is read above its `let`", "move the `let` up"
        return None


class FinalScope(RuleScope):
    """The same names in `at update { … }`: states are final, and no step has a `let` of its own."""

    def __init__(self, steps: RuleScope, home: SynapseArguments) -> None:
        super().__init__(home, steps.name, steps.owner)
        self.params, self.variables, self.paths = steps.params, steps.variables, steps.paths
        self.lets, self.defs = steps.lets, steps.defs

    def read(self, path: str, at: str | None, span: Span) -> Value:
        variable = self.variables[path]
        if at is not None:
            self.context.bag.error(
                "E0106",
                f"`{variable.name}@{at}` has no meaning in `at update`: states are final there",
                span,
                help="copy the earlier value into a state of its own, ahead of the assignment",
            )
            return bad(span)
        if variable.kind is not Kind.LET:
            return super().read(path, at, span)
        self.context.use("variable", path)
        return self._again(variable, span)

    def _again(self, variable: Variable, span: Span) -> Value:
        """A `let` of the steps has a value here where it reads none of the rule's states."""
        node = self.lets[variable.name]
        with self.context.expansion.of(f"{self.kind},", node.name, node) as fits:
            value = expressions.translate(node.value, self) if fits else bad(span)
        if any(ref.path in self.variables for ref in refs(value.expr)):
            self.context.bag.error(
                "E0107",
                f"`{variable.name}` is a `let` of the steps, and has no value at `update`",
                span,
                help="store it in a state, or write `def`, which is re-evaluated where it is read",
            )
            return bad(span)
        return value.at(span)


class RuleStates:
    """Translates the plain statements of a rule that remembers something."""

    def __init__(self, scope: RuleScope, weight_name: str | None) -> None:
        self.scope, self.context = scope, scope.context
        self.taken = {*_RESERVED, weight_name or "w"}
        self.places: dict[str, Span] = {}
        self.body = CellStatements(scope)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What was translated so far."""
        return tuple(self.body.statements)

    @property
    def variables(self) -> dict[str, Variable]:
        """States, traces and `let`s."""
        held = self.scope.variables.items()
        return {path: v for path, v in held if v.kind is not Kind.DEF}

    def declare(self, nodes: Iterable[ast.Statement]) -> None:
        """Everything that the statements may name, before any of them is translated."""
        nodes = tuple(nodes)
        for node in nodes:
            self._declare(node)
        self.body.equations.collect(list(nodes))

    def statement(self, node: ast.Statement) -> None:
        """One plain statement."""
        if not isinstance(node, ast.Def):
            self.body.statement(node)

    def finish(self) -> None:
        """Report what was left open."""
        self.body.equations.finish()

    def at_its_place(self, number: int, value: Value, first: int) -> Expr:
        """A `dw` written above statements that change what it reads: its value there."""
        path = f"{self.scope.name}.dw{number}" if number else f"{self.scope.name}.dw"
        span = value.span
        self.scope.variables[path] = Variable(
            path, Kind.LET, Place.ROW_SYNAPSE, value.type, self.scope.owner, span=span
        )
        self.context.dims[path] = value.dim
        self.body.statements.insert(first, Assign(path, value.expr, span))
        return Ref(path, "synapse", span=span)

    # ------------------------------------------------------------ declarations

    def _declare(self, node: ast.Statement) -> None:
        if isinstance(node, ast.State):
            self._state(node)
        elif isinstance(node, ast.Trace):
            self._add(node, Kind.TRACE, Type.REAL, Unknown())
        elif isinstance(node, ast.Let):
            self._add(node, Kind.LET, Type.REAL, Unknown())
            self.scope.lets[node.name] = node
        elif isinstance(node, ast.Def) and self._add(node, Kind.DEF, Type.REAL, Unknown()):
            self.scope.defs[node.name] = node

    def _state(self, node: ast.State) -> None:
        if node.level is not None or node.per is not None:
            self.context.bag.error(
                "E0104", "a rule has states per synapse and sample: `state x = 0`", node.span
            )
        if node.drawn:
            self.context.unsupported(
                "drawn states of rules are", node.span, "begin with a number, or draw in a cell"
            )
            self.scope.params[node.name] = bad(node.span)
            return
        init = expressions.constant(node.init, self.scope.parent or self.scope, "a start value")
        dim = declared_dim(node.type, self.context)
        self._add(node, Kind.STATE, variable_type(node.type), dim, init, keep=node.keep)

    def _add(
        self,
        node: ast.Named,
        kind: Kind,
        type: Type,
        dim: Dim,
        init: Value | None = None,
        *,
        keep: bool = False,
    ) -> bool:
        name, bag = node.name, self.context.bag
        if name in self.taken:
            bag.error("E0102", f"`{name}` has a meaning of its own in a rule", node.name_span)
        elif name in self.places:
            first = Label(self.places[name], "first declared here")
            bag.error(
                "E0102", f"`{name}` is declared twice in {self.scope.kind}", node.name_span, first
            )
        if name in self.taken or name in self.places:
            self.scope.params[name] = bad(node.span)
            return False
        self.places[name] = node.name_span
        path = f"{self.scope.name}.{name}"
        self.scope.paths[name] = path
        self.scope.variables[path] = Variable(
            path,
            kind,
            Place.ROW_SYNAPSE,
            type,
            self.scope.owner,
            init.expr if init is not None else None,
            keep=keep,
            span=node.name_span,
        )
        self.context.dims[path] = dim
        if init is not None:
            expressions.expect(init, dim, f"state `{name}` is", self.scope)
        return True


def assigned_paths(statements: Iterable[Statement]) -> set[str]:
    """What statements change."""
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement, Integrate):
            found.update(path for path, _ in statement.equations)
        else:
            found.add(statement.target)
    return found


__all__ = ["STATEFUL", "FinalScope", "RuleScope", "RuleStates", "assigned_paths"]
