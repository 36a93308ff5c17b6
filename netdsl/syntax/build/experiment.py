"""Building the declarations of the experiment."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.syntax import ast
from netdsl.syntax.build.base import Part
from netdsl.syntax.build.protocol import ProtocolBuilder

_PLACES = ("clause_during", "clause_in")


class ExperimentBuilder(ProtocolBuilder):
    """Data, tasks, memories, readouts, metrics, recorders, protocols."""

    def item_data(self, parts: list[Part], span: Span) -> ast.Item:
        name, body = parts
        return ast.DataDecl(str(name), self.data_body(body), span=span, name_span=self.span(name))

    def item_task(self, parts: list[Part], span: Span) -> ast.Item:
        name, formals, body = parts
        params, at = self.formals(formals), self.span(name)
        return ast.TaskDecl(str(name), self.data_body(body), params, span=span, name_span=at)

    def item_pairs(self, parts: list[Part], span: Span) -> ast.Item:
        name, value = parts
        return ast.Pairs(str(name), self.expr(value), span=span, name_span=self.span(name))

    def item_array(self, parts: list[Part], span: Span) -> ast.Item:
        name, path = parts
        return ast.ArrayDecl(str(name), self.string(path), span=span, name_span=self.span(name))

    def item_memory(self, parts: list[Part], span: Span) -> ast.Item:
        name, kind, size, of = parts
        return ast.MemoryDecl(
            str(name),
            str(kind),
            self.expr(size),
            self.refs(of),
            span=span,
            name_span=self.span(name),
        )

    def item_readout(self, parts: list[Part], span: Span) -> ast.Item:
        name, value = parts
        return ast.Readout(str(name), self.expr(value), span=span, name_span=self.span(name))

    def item_fit(self, parts: list[Part], span: Span) -> ast.Item:
        name, value, on, limit = parts
        return ast.Fit(
            str(name),
            self.expr(value),
            self.ref(on),
            self.limit(limit),
            span=span,
            name_span=self.span(name),
        )

    def item_metric(self, parts: list[Part], span: Span) -> ast.Item:
        name, value, *clauses = parts
        self.once_each(clauses, "metric")
        found = {str(c.data): c.children[0] for c in clauses}
        on = found.get("on_clause")
        every = found.get("every")
        return ast.Metric(
            str(name),
            self.expr(value),
            self.text(found.get("clause_per")),
            None if every is None else self.quantity(every),
            self.text(found.get("clause_after")),
            None if on is None else self.ref(on),
            span=span,
            name_span=self.span(name),
        )

    def item_loss(self, parts: list[Part], span: Span) -> ast.Item:
        name, value = parts
        return ast.Loss(str(name), self.expr(value), span=span, name_span=self.span(name))

    def item_record(self, parts: list[Part], span: Span) -> ast.Item:
        value, *clauses = parts
        self.once_each(clauses, "record")
        found = {c.data: c for c in clauses}
        every, on, units = found.get("every"), found.get("on_clause"), found.get("clause_of")
        return ast.Record(
            self.expr(value),
            None if every is None else self.quantity(every.children[0]),
            None if on is None else self.ref(on.children[0]),
            self.limit(found.get("limit")),
            tuple(self.expr(e) for e in units.children[0].children) if units is not None else (),
            *(self.text(c and c.children[0]) for c in map(found.get, _PLACES)),
            span=span,
        )

    def item_protocol(self, parts: list[Part], span: Span) -> ast.Item:
        name, formals, body = parts
        params, at = self.formals(formals), self.span(name)
        return ast.ProtocolDecl(str(name), self.steps(body), params, span=span, name_span=at)
