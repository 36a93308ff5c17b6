"""Projections: ends, connectivity, delay, weight and deliveries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const, Expr, Ref, apply, refs
from netdsl.ir.network import Connectivity, Deliver, Draw, Kind, Place, Projection, Type, Variable
from netdsl.sema.cells.draws import WeightScope, build_draw
from netdsl.sema.cells.populations import PopulationScope, size_of
from netdsl.sema.scopes import arrays, expressions
from netdsl.sema.scopes.components import without_index
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.params import param_value, plain
from netdsl.sema.scopes.templates import bind
from netdsl.sema.scopes.units import Dim, Unknown, parse_unit
from netdsl.sema.scopes.values import Value
from netdsl.sema.scopes.vectors import expanded
from netdsl.sema.synapses.connectivity import Wiring, connectivity
from netdsl.sema.synapses.heads import delay_of, end_of
from netdsl.sema.synapses.signs import MAGNITUDE, sign_of, turned
from netdsl.sema.synapses.synapses import (
    DELIVER,
    Ends,
    SynapseArguments,
    SynapseScope,
    formal_arguments,
)
from netdsl.sema.synapses.windows import windows_of
from netdsl.syntax import ast

_ELSEWHERE = (ast.Learn, ast.AfterUpdate, ast.Bound, ast.Optimise, ast.Subtract, ast.Reduce)


class ProjectionBuilder:
    """One projection; `elaborate` gives everything but the rule, which needs the modulators."""

    def __init__(self, node: ast.ProjectionDecl, context: Context) -> None:
        self.node, self.context = node, context
        self.ends: Ends | None = None
        self.scope: SynapseArguments | None = None  # names of the body
        self.learning: list[ast.Statement] = []  # statements that concern the rule
        self.wiring = Wiring(Connectivity())
        self.variables: dict[str, Variable] = {}
        self.delivers: list[Deliver] = []

    def elaborate(self) -> bool:
        """Fill `context.projections`; False after a report that leaves nothing to build."""
        node, context = self.node, self.context
        pre, pre_slice = end_of(node.pre, context)
        post, post_slice = end_of(node.post, context)
        self.wiring = connectivity(node, context)
        delay = delay_of(node, context)
        if pre is None or post is None or self.wiring.broken:
            return False
        if not self._windows(pre, post, whole=pre_slice is None and post_slice is None):
            return False
        self.ends = Ends(node.name, pre, post, pre_slice, post_slice)
        self.ends.sign = sign_of(node, self.ends, context)
        kind = f"projection `{node.name}`"
        synapse = SynapseScope(context, self.ends, DELIVER, kind)
        self.scope = SynapseArguments(context, synapse, {}, kind)
        body = expanded(self._body(), self.scope, self.scope.vectors)
        self._weight(body)
        for statement in body:
            self._statement(statement)
        self._channels()
        context.projections[node.name] = Projection(
            node.name,
            pre.name,
            post.name,
            self.wiring.connectivity,
            delay,
            self.variables,
            tuple(self.delivers),
            weight=self.ends.weight,
            sign=self.ends.sign if self.ends.weight in self.variables else None,
            transpose_of=self.wiring.transpose_of,
            mask_of=self.wiring.mask_of,
            present=self._present(),
            fixed=self.wiring.fixed,
            pre_slice=pre_slice,
            post_slice=post_slice,
            span=node.span,
        )
        return True

    # ------------------------------------------------------------ head

    def _windows(self, pre: PopulationScope, post: PopulationScope, *, whole: bool) -> bool:
        """The shared kernel, where there is one; False after a report."""
        clause = self.wiring.windows
        if clause is None:
            return True
        if not whole:
            self.context.unsupported(
                "shared kernels between parts of populations are",
                clause.span,
                "give the part a population of its own",
            )
            return False
        kind = self.wiring.connectivity.kind
        if kind not in ("dense", clause.name):
            self.context.bag.error(
                "E0110",
                f"`{clause.name}` and `{kind}` both say which synapses exist",
                clause.span,
                help="a kernel is shared by all synapses of its windows: leave one of them out",
            )
            return False
        windows = windows_of(clause, pre, post, self.context)
        found = replace(self.wiring.connectivity, windows=windows)
        self.wiring = replace(self.wiring, connectivity=found)
        return windows is not None

    def _body(self) -> list[ast.Statement]:
        assert self.scope is not None
        own = list(self.node.body)
        if self.node.using is None:
            return self._flatten(own)
        name = self.node.using.name
        template = self.context.declarations.find("synapse", name)
        if template is None:
            known = self.context.declarations.names("synapse")
            self.context.unknown("synapse", name, self.node.using.span, known)
            return self._flatten(own)
        self.context.use("synapse", name)
        what = f"synapse `{name}`"
        span = self.node.using.span
        bound = bind(template.params, self.node.using_args, self.context.scope, what, span)
        if bound is not None:
            formal_arguments(template.params, bound, self.scope)
            self._resolve_formals(template)
        weights = [s for s in own if isinstance(s, ast.Weight)]
        inherited = [s for s in template.body if not (weights and isinstance(s, ast.Weight))]
        return self._flatten([*inherited, *own])

    def _resolve_formals(self, template: ast.SynapseDecl) -> None:
        """Numbers among the arguments can be set from outside and appear among the parameters."""
        assert self.scope is not None
        for formal in template.params:
            argument = self.scope.arguments.get(formal.name)
            if argument is None or (formal.type is not None and formal.type.text == "modulator"):
                continue
            path = f"{self.node.name}.{formal.name}"
            node = getattr(argument, "node", None)
            where = getattr(argument, "scope", self.scope)
            value = param_value(
                formal,
                (path, f"{template.name}.{formal.name}"),
                self.scope,
                instead=node,
                instead_scope=where,
            )
            self.scope.arguments[formal.name] = value
            if plain(value) is not None and not value.bad:
                self.context.params[path] = plain(value)

    def _flatten(self, body: Iterable[ast.Statement]) -> list[ast.Statement]:
        assert self.scope is not None
        flat: list[ast.Statement] = []
        for statement in body:
            if isinstance(statement, ast.WhenBody):
                found = expressions.constant(statement.condition, self.scope, "the condition")
                if not found.bad:
                    chosen = self.context.choose(statement, bool(found.constant))
                    flat.extend(self._flatten(chosen))
            else:
                flat.append(statement)
        return flat

    # ------------------------------------------------------------ weight

    def _weight(self, body: list[ast.Statement]) -> None:
        assert self.ends is not None
        found = [s for s in body if isinstance(s, ast.Weight)]
        if self.wiring.backwards_of is not None:
            self._transposed(found)
            return
        for extra in found[1:]:
            self.context.bag.error(
                "E0102", f"projection `{self.node.name}` has two weights", extra.name_span
            )
        if not found:
            return
        node = found[0]
        path = f"{self.node.name}.{MAGNITUDE if self.ends.sign is not None else node.name}"
        init, dim = self._initial(node, path)
        self.ends.weight, self.ends.weight_name = path, node.name
        self.context.weight_names[self.node.name] = node.name
        self.context.dims[path] = dim
        self.variables[path] = Variable(
            path, Kind.WEIGHT, Place.SYNAPSE, Type.REAL, self.node.name, init, span=node.name_span
        )

    def _initial(self, node: ast.Weight, path: str) -> tuple[Expr | Draw, Dim]:
        assert self.ends is not None and self.scope is not None
        scope = WeightScope(self.scope, *self._fans(), self.ends.sign)
        if node.drawn:
            drawn = build_draw(node.init, scope, path)
            if drawn is None:
                return Const(0.0), None
            self._square(drawn.draw, node)
            value = Value(Const(1.0), drawn.dim, span=node.init.span)
            return drawn.draw, self._declared(node, value)
        given = arrays.start(node.init, self.context)
        if given is not None:
            return given, self._declared(node, Value(Const(1.0), Unknown(), span=node.init.span))
        value = expressions.translate(node.init, scope)
        return value.expr, self._declared(node, value)

    def _fans(self) -> tuple[int, int]:
        """Synapses into and out of a neuron, as initialisers count them."""
        assert self.ends is not None
        found = self.wiring.connectivity
        if found.windows is not None:
            return found.windows.fans
        if found.kind == "one_to_one":
            return 1, 1
        pre, post = self.ends.pre, self.ends.post
        return _length(pre, self.ends.pre_slice), _length(post, self.ends.post_slice)

    def _declared(self, node: ast.Weight, value: Value) -> Dim:
        if node.type is not None and node.type.kind == "unit":
            unit = parse_unit(node.type.text)
            if unit is not None:
                expressions.expect(value, unit.dimension, "the weight is", self.context.scope)
                return unit.dimension
            self.context.bag.error("E0205", f"unknown unit `{node.type.text}`", node.type.span)
        return Unknown() if value.is_zero else value.dim

    def _square(self, draw: Draw, node: ast.Weight) -> None:
        assert self.ends is not None
        windows, kind = self.wiring.connectivity.windows, self.wiring.connectivity.kind
        shared = windows is not None or kind == "one_to_one"
        if draw.made and shared and not draw.alone:
            self.context.bag.error(
                "E0664",
                "a start that is made of rows, columns or sums needs a synapse of its own for each "
                "pair of neurons",
                node.init.span,
                help="draw this weight from a distribution, as in `~ kaiming_uniform()`",
            )
            return
        sizes = size_of(self.ends.pre.axes), size_of(self.ends.post.axes)
        if windows is not None:
            sizes = windows.shape
        if draw.gram and sizes[0] != sizes[1]:
            self.context.bag.error(
                "E0203",
                f"a symmetric start needs a square matrix, this one is {sizes[0]} by {sizes[1]}",
                node.init.span,
            )

    def _transposed(self, found: list[ast.Weight]) -> None:
        assert self.ends is not None
        source = self.wiring.backwards_of
        for node in found:
            self.context.bag.error(
                "E0104",
                "a transpose has no weight of its own",
                node.name_span,
                help=f"it reads the weight of `{source}`"
                if self.wiring.transpose_of is not None
                else f"it reads which synapses `{source}` has",
            )
        if self.ends.sign is not None:
            self.context.bag.error(
                "E0651",
                f"`{self.node.name}` has no sign of its own: it delivers through `{source}`",
                self.node.span,
                help="leave out `sign`; the signs of the original hold",
            )
        owner = self.context.projections.get(self.wiring.transpose_of or "")
        if owner is None or owner.weight is None:
            return
        self.ends.weight = owner.weight
        self.ends.weight_name = self.context.weight_names[owner.name]
        self.ends.sign = turned(owner.sign) if owner.sign is not None else None

    def _present(self) -> Expr | None:
        """Of a signed projection a synapse is present while its magnitude is above 0."""
        original = self.context.projections.get(self.wiring.mask_of or "")
        if original is None or original.weight is None or original.sign is None:
            return None
        return apply("gt", Ref(original.weight, "synapse"), Const(0.0))

    # ------------------------------------------------------------ body

    def _statement(self, node: ast.Statement) -> None:
        if isinstance(node, ast.Deliver):
            self._deliver(node)
        elif isinstance(node, ast.Let):
            assert self.scope is not None
            self.scope.arguments[node.name] = expressions.translate(node.value, self.scope)
        elif isinstance(node, _ELSEWHERE):
            self.learning.append(node)
        elif isinstance(node, ast.Param):
            assert self.scope is not None
            path = f"{self.node.name}.{node.name}"
            value = param_value(node, (path,), self.scope)
            self.scope.arguments[node.name] = value
            self.context.params[path] = plain(value)
        elif isinstance(node, ast.Waive):
            self.learning.append(node)
        elif not isinstance(node, ast.Weight):
            self.context.unsupported(
                "synapses with dynamics of their own are",
                _head(node),
                "keep the state in the pre or post cell",
            )

    def _deliver(self, node: ast.Deliver) -> None:
        assert self.ends is not None and self.scope is not None
        value = expressions.translate(node.value, self.scope)
        target = node.target
        assert isinstance(target, ast.Name)  # vectors are written out
        post = self.ends.post
        path = post.paths.get(target.id)
        inputs = [n for n, p in post.paths.items() if post.variables[p].kind is Kind.INPUT]
        vector = self.scope.vector(("post", target.id))
        if vector is not None:
            without_index(target.id, vector, target.span, self.scope)
            return
        if path is None:
            self.context.unknown("input", target.id, target.span, inputs, f"`{post.name}`")
            return
        if post.variables[path].kind is not Kind.INPUT:
            self.context.bag.error(
                "E0104",
                f"`{target.id}` of `{post.name}` is not an input",
                target.span,
                help=f"inputs are {', '.join(inputs)}" if inputs else "declare `input` in the cell",
            )
            return
        self.context.use("delivered", path)
        message = f"input `{target.id}` is"
        if value.bad or not expressions.expect(value, self.context.dims[path], message, self.scope):
            return
        if self.context.expansion.written_out(value.expr, node.value):
            self.delivers.append(Deliver(path, value.expr, node.span))

    def _channels(self) -> None:
        assert self.ends is not None
        reads = [ref for d in self.delivers for ref in refs(d.value)]
        sent = dict.fromkeys(r.path for r in reads if r.side == "pre")
        self.ends.sent = tuple(sent)
        self.ends.received = tuple(dict.fromkeys(d.input for d in self.delivers))
        if not self.delivers and not self.context.bag.has_errors:
            self.context.bag.lint(
                "L0102", f"projection `{self.node.name}` delivers nothing", self.node.name_span
            )


def _length(scope: PopulationScope, part: tuple[int, int] | None) -> int:
    return size_of(scope.axes) if part is None else part[1] - part[0]


def _head(node: ast.Node) -> Span:
    span = getattr(node, "name_span", node.span)
    return span if isinstance(span, Span) and span.line else node.span
