"""Declarations of the network as pieces of text."""

from __future__ import annotations

from netdsl.syntax import ast
from netdsl.syntax.fmt.body import formals, initial, opt, refs, show_param, underscored, words
from netdsl.syntax.fmt.experiment import ExperimentPrinter
from netdsl.syntax.fmt.expressions import show, show_args
from netdsl.syntax.fmt.pieces import Nested, Piece, alternatives

Parts = tuple[str | Nested, ...]
_TEMPLATES: dict[type[ast.Node], str] = {
    ast.NeuronDecl: "neuron",
    ast.SynapseDecl: "synapse",
    ast.RuleDecl: "rule",
    ast.OptimiserDecl: "optimiser",
    ast.TraceDecl: "trace",
}


class DeclarationPrinter(ExperimentPrinter):
    """Everything that stands at the top level of a file."""

    def items(self, items: tuple[ast.Item, ...]) -> list[Piece]:
        """The declarations of a file or of a `when` block."""
        return [Piece(item.span, self.item(item)) for item in items]

    def item(self, node: ast.Item) -> Parts:
        """One declaration."""
        text = self._simple_item(node)
        if text is not None:
            return (text,)
        parts = self.experiment(node) or self._network(node)
        if parts is None:
            raise TypeError(f"not a declaration: {node!r}")
        return parts

    def _simple_item(self, node: ast.Item) -> str | None:
        match node:
            case ast.Edition():
                return f"edition {node.number}"
            case ast.Import():
                return f"import {node.module} {{ {refs(node.names)} }}"
            case ast.Param():
                return show_param(node)
            case ast.Let():
                return f"let {node.name} = {show(node.value)}"
            case ast.Function():
                params = formals(node.params) or "()"
                return f"function {node.name}{params} = {show(node.value)}"
            case ast.Dt():
                return f"dt = {show(node.value)}"
            case ast.Control():
                return f"control {node.name} = {show(node.value)}"
            case ast.GlobalState():
                return f"global state {node.name} = {show(node.value)}"
            case ast.CellType():
                return f"celltype {node.name} sign {node.sign}"
            case ast.TableDecl():
                axes = ", ".join(f"{axis.side} {axis.attribute}" for axis in node.axes)
                return f"table {node.name}[{axes}] = {show(node.value)}"
            case ast.Claim():
                return f"claim {node.rule} : {', '.join(_label(x) for x in node.labels)}"
            case ast.Allow():
                label = underscored(node.label)
                return f'allow {label} on {refs(node.on)} because "{node.reason}"'
            case ast.Ensemble():
                return f"ensemble {show(node.count)} vary {refs(node.vary)}"
            case ast.Use():
                return words(
                    f'use "{node.path}"', f"with {show_args(node.args)}" if node.args else ""
                )
        return None

    def _network(self, node: ast.Item) -> Parts | None:
        match node:
            case (
                ast.NeuronDecl()
                | ast.SynapseDecl()
                | ast.RuleDecl()
                | ast.OptimiserDecl()
                | ast.TraceDecl()
            ):
                head = f"{_TEMPLATES[type(node)]} {node.name}{formals(node.params)}"
                return (head, self.body(node.body))
            case ast.ModulatorDecl():
                indices = [s for s in (node.slot, node.other) if s is not None]
                slot = ", ".join(f"{s.name} in {s.memory}" for s in indices)
                slot = f"[{slot}]" if slot else ""
                head = f"modulator {node.name}{slot}{formals(node.params)}"
                to = ", ".join(f"{r.population}{' cells' if r.cells else ''}" for r in node.to)
                clauses = (opt("on", node.on), f"to {to}" if to else "")
                return (words(head, *clauses), self.body(node.body))
            case ast.InitialiserDecl():
                head = f"initialiser {node.name}{formals(node.params) or '()'}"
                if node.value is None:
                    return (head, self.body(node.body))
                return (words(head, initial(node.value, node.drawn)),)
            case ast.PopulationDecl():
                return self._population(node)
            case ast.ProjectionDecl():
                return self._projection(node)
            case ast.RewireDecl():
                return (f"rewire {node.name} over {refs(node.over)}", self.body(node.body))
            case ast.When():
                return self._when_item(node)
        return None

    def _population(self, node: ast.PopulationDecl) -> Parts:
        dims = ", ".join(_dim(d) for d in node.dims)
        types = "; ".join(f"{t.name}: {show(t.count)}" for t in node.types)
        head = words(
            f"population {node.name} : {node.cell}[{dims}]",
            f"types {{ {types} }}" if types else "",
            "shuffled" if node.shuffled else "",
        )
        return (head, self.settings(node.overrides)) if node.overrides else (head,)

    def _projection(self, node: ast.ProjectionDecl) -> Parts:
        one = node.sign in ("+", "-")
        sign = "" if node.sign is None else f"sign {'' if one else 'by '}{node.sign}"
        delay = ""
        if node.delay is not None:
            delay = f"delay {'~ ' if node.delay_drawn else ''}{show(node.delay)}"
        using = opt("using", node.using)
        if using and node.using_args:
            using += f"({show_args(node.using_args)})"
        head = words(
            f"projection {node.name} : {node.pre} -> {node.post}",
            *(_connectivity(c) for c in node.connectivity),
            sign,
            delay,
            using,
        )
        return (head, self.body(node.body)) if node.body else (head,)

    def _when_item(self, node: ast.When) -> Parts:
        inner = node.otherwise[0] if len(node.otherwise) == 1 else None
        chained = self._when_item(inner) if isinstance(inner, ast.When) else ()
        then, otherwise = (Nested(tuple(self.items(i))) for i in (node.items, node.otherwise))
        return alternatives(show(node.condition), then, otherwise, chained)


def _label(label: ast.Label) -> str:
    return label.name + (f"({', '.join(map(show, label.args))})" if label.args else "")


def _dim(dim: ast.Dim) -> str:
    return show(dim.size) if dim.name is None else f"{dim.name}: {show(dim.size)}"


def _connectivity(conn: ast.Connectivity) -> str:
    args = f"({show_args(conn.args)})" if conn.args else ""
    if conn.name == "from":
        return f"from {conn.of}"
    return words(conn.name + args, opt("of", conn.of))
