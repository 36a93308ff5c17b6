"""Tables over cell types: numbers, or means over the synapses of a projection by type of both ends.

`table gain[pre type, post type] = block_mean(R.w over present)` is read as
`gain[post.type, pre.type]`: an index is the type of a neuron, and stands for it by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const, Reduce, Ref, refs
from netdsl.ir.network import Kind, Place, Type, Variable
from netdsl.ir.tables import Block, Table
from netdsl.sema.cells.types import equals, type_sizes, type_value
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, dotted
from netdsl.sema.scopes.units import Unknown, unify
from netdsl.sema.scopes.values import Value, bad
from netdsl.sema.synapses.synapses import DELIVER, Ends, SynapseScope
from netdsl.syntax import ast

MEAN = "block_mean"
OVER = ("present", "all")
_FORMS = "a list of numbers for each type, or `block_mean(W.w over present)`"


@dataclass(frozen=True)
class TypeTable:
    """`cells`: nested by axis; `axes`: the types along each, None where only their order counts."""

    axes: tuple[tuple[str, ...] | None, ...]
    cells: tuple[Value, ...]  # row-major
    shape: tuple[int, ...]


def read(node: ast.Index, scope: Scope) -> Value | None:
    """`gain[post.type, pre.type]`; None where no table has the name."""
    base = node.base.id if isinstance(node.base, ast.Name) else ""
    context = scope.context
    declared = context.declarations.table("table").get(base)
    if declared is None:
        return None
    context.use("table", base)
    table = table_of(declared, context)
    if table is None:
        if not context.bag.has_errors:
            context.bag.error("E0109", f"the table `{base}` depends on itself", node.span)
        return bad(node.span)
    if scope.host:
        context.bag.error(
            "E0649",
            f"the table `{base}` is read where cells, synapses and modulators are computed",
            node.span,
            help="store the number in a state of a cell",
        )
        return bad(node.span)
    if len(node.args) != len(table.shape):
        context.bag.error(
            "E0648",
            f"`{base}` has {len(table.shape)} axes; indices here: {len(node.args)}",
            node.span,
            help="give the type of a neuron for each, in the order of its declaration",
        )
        return bad(node.span)
    known: list[Places] = []
    for arg, length, names in zip(node.args, table.shape, table.axes, strict=True):
        place = _places(arg, length, names, scope, base)
        if place is None:
            return bad(node.span)
        known.append(place)
    return replace(_look_up(table, known, node, scope), span=node.span)


# Which places of an axis an index can be: (place, whether it is this one), the last one certain.
Places = list[tuple[int, Value | None]]


def _places(
    arg: ast.Expr, length: int, names: tuple[str, ...] | None, scope: Scope, table: str
) -> Places | None:
    """The places that an index can stand for; None after a report."""
    if isinstance(arg, ast.Name) and names is not None and arg.id in names:
        return [(names.index(arg.id), None)]
    value = type_value(arg, scope)
    if value is None or not value.choices:
        if value is None:
            shown = " or ".join(f"`{name}`" for name in names or ())
            scope.context.bag.error(
                "E0648",
                f"an index of `{table}` is the type of a neuron",
                arg.span,
                help="write `pre.type` or `post.type` (`type` in a cell)"
                + (f", or {shown}" if shown else ""),
            )
        return None
    if names is None and len(value.choices) != length:
        scope.context.bag.error(
            "E0648",
            f"`{table}` has {length} places here, and the population {len(value.choices)} types",
            arg.span,
        )
        return None
    codes = list(range(len(value.choices)))
    if isinstance(value.expr, Const):  # all neurons there are of one type
        codes = [int(value.expr.value)]
    found = [value.choices[code] for code in codes]
    missing = [name for name in found if names is not None and name not in names]
    if missing:
        scope.context.bag.error(
            "E0648",
            f"`{table}` has no place for neurons of type `{missing[0]}` here",
            arg.span,
            help=f"along this axis it has {', '.join(names or ())}",
        )
        return None
    places = [names.index(value.choices[code]) if names is not None else code for code in codes]
    tests: list[Value | None] = [equals(value, code) for code in codes]
    return list(zip(places, [*tests[:-1], None], strict=True))


def _look_up(table: TypeTable, places: list[Places], node: ast.Index, scope: Scope) -> Value:
    """The number at the places of all indices, chosen by one type after the other."""

    def chosen(axis: int, offset: int) -> Value:
        if axis == len(places):
            return table.cells[offset]
        found: Value | None = None
        for place, test in reversed(places[axis]):
            inner = chosen(axis + 1, offset * table.shape[axis] + place)
            if test is None or found is None:
                found = inner
            else:
                found = expressions.apply("select", (test, inner, found), node, scope)
        assert found is not None
        return found

    return chosen(0, 0)


# -------------------------------------------------------------------- declarations


def table_of(node: ast.TableDecl, context: Context) -> TypeTable | None:
    """The table, made when it is first asked for; None after a report."""
    if node.name not in context.tables:
        context.tables[node.name] = None
        with suppress(_Reported):
            context.tables[node.name] = _made(node, context)
    return context.tables[node.name]


def _made(node: ast.TableDecl, context: Context) -> TypeTable | None:
    for axis in node.axes:
        if axis.attribute != "type":
            _wrong(context, "an axis of a table is a cell type", axis.span, "write `pre type`")
    if isinstance(node.value, ast.ListExpr):
        return _numbers(node, context)
    if not isinstance(node.value, ast.Call) or node.value.func.name != MEAN:
        _wrong(context, f"`{node.name}` is not a table of types", node.value.span, _FORMS)
    return _means(node, node.value, context)


class _Reported(Exception):
    """What is wrong with a table has been said."""


def _wrong(context: Context, message: str, span: Span, help: str | None) -> NoReturn:
    context.bag.error("E0649", message, span, help=help)
    raise _Reported


def _numbers(node: ast.TableDecl, context: Context) -> TypeTable | None:
    rows: list[ast.Expr] = [node.value]
    shape: list[int] = []
    for _ in node.axes:
        lists = [row for row in rows if isinstance(row, ast.ListExpr)]
        lengths = {len(row.items) for row in lists}
        if len(lists) < len(rows) or len(lengths) != 1 or 0 in lengths:
            nested = "a list" if len(node.axes) == 1 else "lists of one length"
            _wrong(
                context,
                f"`{node.name}` has {len(node.axes)} axes: its numbers stand in {nested}",
                node.value.span,
                "write `[[1, 2], [3, 4]]`: a row for each type along the first axis",
            )
        shape.append(lengths.pop())
        rows = [item for row in lists for item in row.items]
    cells = [expressions.constant(row, context.scope, "a number of a table") for row in rows]
    if any(cell.bad for cell in cells):
        return None
    if expressions.same(tuple(cells), node, context.scope) is None:
        return None
    return TypeTable((None,) * len(shape), tuple(cells), tuple(shape))


def _means(node: ast.TableDecl, call: ast.Call, context: Context) -> TypeTable | None:
    over = [ref.name for ref in call.over.axes] if call.over is not None else []
    plain = call.over is not None and call.over.kind == "over" and call.over.last is None
    if len(call.args) != 1 or not plain or over[:1] not in ([OVER[0]], [OVER[1]]):
        message = f"`{MEAN}` is the mean of one value over all pairs, or over present synapses"
        _wrong(context, message, call.span, "write `block_mean(W.w over present)`")
    if over[1:] not in ([], ["no_self"]):
        message = f"`{over[1]}` does not say which synapses count"
        _wrong(context, message, call.span, "write `over present, no_self`, or leave it out")
    projection = _projection(node, call.args[0].value, context)
    if len(node.axes) != 2 or [axis.side for axis in node.axes] != ["pre", "post"]:
        message = "a mean over synapses has the types of both ends as axes"
        _wrong(context, message, node.name_span, f"write `{node.name}[pre type, post type]`")
    ends = [_types(end, context) for end in (projection.pre, projection.post)]
    if not ends[0] or not ends[1]:
        name = projection.pre.name if not ends[0] else projection.post.name
        _wrong(context, f"`{name}` has no cell types", node.name_span, None)
    names = tuple(tuple(name for name, _, _ in end) for end in ends)
    blocks, cells = [], []
    for pre in ends[0]:
        for post in ends[1]:
            path = f"{node.name}[{pre[0]},{post[0]}]"
            context.variables[path] = Variable(path, Kind.TABLE, Place.GLOBAL, span=node.name_span)
            context.dims[path] = Unknown()
            blocks.append(Block(path, pre, post))
            cells.append(Value(Ref(path), context.dims[path], Type.REAL, span=node.name_span))
    context.means[node.name] = Table(
        node.name, projection.name, over[0], tuple(blocks), len(over) == 1, node.span
    )
    return TypeTable(names, tuple(cells), (len(names[0]), len(names[1])))


def _projection(node: ast.TableDecl, value: ast.Expr, context: Context) -> ast.ProjectionDecl:
    """The projection whose synapses a mean is over: the one that its value names."""
    heads = [found[0][0] for part in ast.walk(value) if (found := _dotted(part)) is not None]
    known = context.declarations.table("projection")
    named = list(dict.fromkeys(head for head in heads if head in known))
    if len(named) != 1:
        message = f"the mean `{node.name}` is over the synapses of one projection"
        _wrong(
            context, message, value.span, "name its weight, as in `block_mean(W.w over present)`"
        )
    found = known[named[0]]
    assert isinstance(found, ast.ProjectionDecl)
    return found


def _dotted(node: ast.Node) -> tuple[tuple[str, ...], str | None] | None:
    return dotted(node) if isinstance(node, ast.Attribute) else None


def _types(end: ast.Ref, context: Context) -> tuple[tuple[str, int | None, int], ...]:
    """(type, its number, how many neurons) at one end; without a number all are of this type."""
    name, *part = [end.name] if context.declarations.find("population", end.name) else end.parts
    node = context.declarations.find("population", name)
    types = tuple(count.name for count in node.types) if node is not None else ()
    sizes = type_sizes(name, types, context) if types else []
    if part:
        return tuple((t, None, n) for t, n in zip(types, sizes, strict=True) if [t] == part)
    return tuple((t, code, n) for code, (t, n) in enumerate(zip(types, sizes, strict=True)))


# -------------------------------------------------------------------- bodies


class TableScope(SynapseScope):
    """What a mean over synapses may read: weights of its projection, and `self`."""

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        if len(parts) == 2 and parts[0] == self.ends.projection and at is None:
            if parts[1] == self.ends.weight_name:
                return self._weight(at, span)
            if parts[1] == "mag" and self.ends.sign is not None:
                return self._stored(at, span)
        return super().find(parts, at, span)


def finish_tables(context: Context, ends: Mapping[str, Ends]) -> Mapping[str, Table]:
    """Translate what tables take the mean of, when all projections are known."""
    for node in context.declarations.table("table").values():
        table_of(node, context)
    done: dict[str, Table] = {}
    for name, table in context.means.items():
        node = context.declarations.table("table")[name]
        call = node.value
        end = ends.get(table.projection)
        if end is None:
            continue  # reported
        try:
            body = _body(call, end, context)
        except _Reported:
            continue
        done[name] = table
        for block in table.blocks:
            unify(context.dims[block.path], body.dim)
            mean = Reduce("mean", "synapses", body.expr, node.name_span)
            variable = replace(context.variables[block.path], definition=mean)
            context.variables[block.path] = variable
    return done


def _body(call: ast.Call, ends: Ends, context: Context) -> Value:
    projection = context.projections[ends.projection]
    wrong = None
    if projection.weight is None or projection.carrier is not None:
        wrong = "owns no weight"
    elif projection.connectivity.windows is not None:
        wrong = "shares a kernel, which belongs to no neuron"
    elif projection.connectivity.kind == "one_to_one":
        wrong = "is one to one"
    if wrong is not None:
        _wrong(
            context,
            f"`{projection.name}` {wrong}: there is no mean by types",
            call.span,
            "give the numbers of the table, as in `[[1, 2], [3, 4]]`",
        )
    scope = TableScope(context, ends, DELIVER, "a table")
    value = expressions.translate(call.args[0].value, scope)
    for ref in refs(value.expr):
        if ref.path != projection.weight and not _fixed(ref, context):
            _wrong(
                context,
                f"`{ref.path}` is no number of a synapse: a table does not follow activity",
                ref.span or call.span,
                "a modulator reads what changes from step to step",
            )
    return value


def _fixed(ref: Ref, context: Context) -> bool:
    population = context.populations.get(ref.path.split(".")[0])
    variable = population.variables.get(ref.path) if population is not None else None
    return variable is not None and variable.kind is Kind.PARAM
