"""Protocols, data, tasks and measurements as pieces of text."""

from __future__ import annotations

from netdsl.syntax import ast
from netdsl.syntax.fmt.body import (
    BodyPrinter,
    declared,
    formals,
    initial,
    opt,
    refs,
    show_param,
    words,
)
from netdsl.syntax.fmt.expressions import show, show_args
from netdsl.syntax.fmt.pieces import Nested, Piece, alternatives


class ExperimentPrinter(BodyPrinter):
    """Steps of protocols, statements of data blocks, and the declarations around them."""

    # ------------------------------------------------------------ protocols

    def steps(self, steps: ast.Steps) -> Nested:
        """`{ … }` of a protocol."""
        return Nested(tuple(self.step(s) for s in steps))

    def step(self, node: ast.ProtocolStep) -> Piece:
        """One step of a protocol."""
        text = self._simple_step(node)
        return Piece(node.span, self._block_step(node) if text is None else (text,))

    def _block_step(self, node: ast.ProtocolStep) -> tuple[str | Nested, ...]:
        match node:
            case ast.Each():
                head = words("each", node.kind, opt("of", node.of), opt("limit", node.limit))
                return (head, self.steps(node.body))
            case ast.Phase():
                learning = words("learning", refs(node.projections)) if node.learning else ""
                head = words("phase", node.name, show(node.duration), learning)
                return (head, self.settings(node.controls)) if node.controls else (head,)
            case ast.WhenStep():
                return self._when_step(node)
            case ast.Repeat():
                tail = words("until", show(node.until), opt("limit", node.limit))
                return ("repeat", self.steps(node.body), tail)
        raise TypeError(f"not a step of a protocol: {node!r}")

    def _when_step(self, node: ast.WhenStep) -> tuple[str | Nested, ...]:
        inner = node.otherwise[0] if len(node.otherwise) == 1 else None
        chained = self._when_step(inner) if isinstance(inner, ast.WhenStep) else ()
        then, otherwise = self.steps(node.body), self.steps(node.otherwise)
        return alternatives(show(node.condition), then, otherwise, chained)

    def _simple_step(self, node: ast.ProtocolStep) -> str | None:
        match node:
            case ast.Reset():
                targets = [r.name for r in node.targets]
                targets += [f"memory {r.name}" for r in node.memories]
                return words("reset", ", ".join(targets))
            case ast.Clamp():
                return f"clamp {node.target} = {show(node.value)}"
            case ast.Set():
                return f"set {node.target} := {show(node.value)}"
            case ast.GlobalAssign():
                return f"{node.target} := {show(node.value)}"
            case ast.Let():
                return f"let {node.name} = {show(node.value)}"
            case ast.Update():
                return f"update {refs(node.projections)}"
            case ast.Evaluate():
                args = f"({show_args(node.args)})" if node.args else ""
                origin = "from present state" if node.from_present else ""
                named, limit = opt("as", node.name), opt("limit", node.limit)
                return words(f"evaluate {node.protocol}{args}", named, origin, limit)
            case ast.RunProtocol():
                return f"run {node.protocol}" + (f"({show_args(node.args)})" if node.args else "")
            case ast.Checkpoint():
                return words("checkpoint", node.name, opt("by", node.by), opt("on", node.on))
            case ast.Restore():
                return f"restore {node.checkpoint}"
            case ast.Push():
                return f"push {node.memory}"
            case ast.DoRewire():
                return f"rewire {node.rewire}"
        return None

    # ------------------------------------------------------------ data and measurements

    def data_body(self, body: ast.DataBody) -> Nested:
        """`{ … }` of a data or task declaration."""
        return Nested(tuple(Piece(s.span, (self._data_statement(s),)) for s in body))

    def _data_statement(self, node: ast.DataStatement) -> str:
        match node:
            case ast.Param():
                return show_param(node)
            case ast.Let():
                return f"let {node.name} = {show(node.value)}"
            case ast.Setting():
                return f"{node.name} = {show(node.value)}"
            case ast.Split():
                return f"split {node.name} = {show(node.value)}"
            case ast.Augment():
                return f"augment {node.name} = {show(node.value)}"
            case ast.TaskDraw():
                return f"draw {declared(node.name, node.size, None)} ~ {show(node.value)}"
            case ast.Field():
                head = declared(node.name, node.size, None)
                once = "once" if node.once else ""
                return words("field", head, initial(node.value, node.drawn), once)
            case ast.Signal():
                return f"signal {declared(node.name, node.size, None)} = {show(node.value)}"

    def experiment(self, node: ast.Item) -> tuple[str | Nested, ...] | None:
        """A declaration of the experiment, or None for one of the network."""
        match node:
            case ast.DataDecl():
                return (f"data {node.name}", self.data_body(node.body))
            case ast.TaskDecl():
                head = f"task {node.name}{formals(node.params)}"
                return (head, self.data_body(node.body))
            case ast.Pairs():
                return (f"pairs {node.name} = {show(node.value)}",)
            case ast.ArrayDecl():
                return (f'array {node.name} = "{node.path}"',)
            case ast.MemoryDecl():
                kind = f"{node.kind}[{show(node.size)}]"
                return (f"memory {node.name} : {kind} of {refs(node.of)}",)
            case ast.Readout():
                return (f"readout {node.name} = {show(node.value)}",)
            case ast.Fit():
                head = f"fit {node.name} = {show(node.value)} on {node.on}"
                return (words(head, opt("limit", node.limit)),)
            case ast.Loss():
                return (f"loss {node.name} = {show(node.value)}",)
            case ast.Metric():
                per, every = opt("per", node.per), opt("every", node.every)
                after, on = opt("after", node.after), opt("on", node.on)
                head = f"metric {node.name} = {show(node.value)}"
                return (words(head, per, every, after, on),)
            case ast.Record():
                units = f"of [{', '.join(map(show, node.of))}]" if node.of else ""
                clauses = (
                    opt("every", node.every),
                    opt("during", node.during),
                    opt("in", node.within),
                    opt("on", node.on),
                    opt("limit", node.limit),
                )
                return (words(f"record {show(node.value)}", units, *clauses),)
            case ast.ProtocolDecl():
                head = f"protocol {node.name}{formals(node.params)}"
                return (head, self.steps(node.body))
        return None
