"""Statements of bodies as pieces of text."""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.syntax import ast
from netdsl.syntax.fmt.expressions import show, show_args
from netdsl.syntax.fmt.pieces import Nested, Piece, alternatives


def refs(names: Iterable[ast.Ref]) -> str:
    """`a, b`"""
    return ", ".join(ref.name for ref in names)


def opt(word: str, value: object) -> str:
    """`WORD value`, or nothing without a value."""
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return f"{word} {refs(value)}"
    return f"{word} {value}" if isinstance(value, str | ast.Ref) else f"{word} {show(value)}"  # type: ignore[arg-type]


def words(*parts: str) -> str:
    """The parts that are not empty, with spaces between."""
    return " ".join(part for part in parts if part)


def initial(value: ast.Expr | None, drawn: bool) -> str:
    """`= e` or `~ D`."""
    return "" if value is None else f"{'~' if drawn else '='} {show(value)}"


def show_type(type_: ast.TypeRef) -> str:
    """A type position."""
    return "{" + ", ".join(type_.choices) + "}" if type_.kind == "enum" else type_.text


def declared(name: str, size: ast.Expr | None, type_: ast.TypeRef | None) -> str:
    """`name[size] : type`"""
    text = name if size is None else f"{name}[{show(size)}]"
    return text if type_ is None else f"{text} : {show_type(type_)}"


def show_range(range_: ast.Range) -> str:
    """`[low, high]`"""
    return f"[{show(range_.low)}, {show(range_.high)}]"


def underscored(label: str) -> str:
    """Labels are written with underscores after `allow`."""
    return label.replace("-", "_")


def formals(params: tuple[ast.Param, ...]) -> str:
    """`(a, b = 1)`, or nothing without parameters."""
    return f"({', '.join(_formal(p) for p in params)})" if params else ""


def _formal(param: ast.Param) -> str:
    return words(declared(param.name, None, param.type), initial(param.default, False))


def show_param(param: ast.Param) -> str:
    """A `param` statement."""
    type_ = "" if param.type is None else f": {show_type(param.type)}"
    range_ = "" if param.range is None else f"in {show_range(param.range)}"
    doc = "" if param.doc is None else f'"{param.doc}"'
    per = opt("per", param.per)
    return words("param", param.name, per, type_, initial(param.default, param.drawn), range_, doc)


class BodyPrinter:
    """Bodies of cells, synapses, rules, modulators, optimisers."""

    def body(self, body: ast.Body) -> Nested:
        """`{ … }`"""
        return Nested(tuple(self.statement(s) for s in body))

    def settings(self, settings: tuple[ast.Setting, ...]) -> Nested:
        """`{ a = 1 }`"""
        return Nested(tuple(self.statement(s) for s in settings))

    def statement(self, node: ast.Statement) -> Piece:
        """One statement."""
        text = self._simple(node)
        parts = self._block(node) if text is None else (text,)
        return Piece(node.span, parts)

    def _block(self, node: ast.Statement) -> tuple[str | Nested, ...]:
        match node:
            case ast.Spike():
                head = f"spike {node.name} when {show(node.condition)}"
                return (head, self.body(node.body)) if node.body else (head,)
            case ast.Trace():
                head = words(f"trace {node.name} of {show(node.of)}", opt("using", node.using))
                return (head, self.body(node.body)) if node.body else (head,)
            case ast.OnEvent():
                return (f"on {node.event}", self.body(node.body))
            case ast.AtUpdate():
                return ("at update", self.body(node.body))
            case ast.AfterUpdate():
                return ("after update", self.body(node.body))
            case ast.WhenBody():
                return self._when(node)
        raise TypeError(f"not a statement: {node!r}")

    def _when(self, node: ast.WhenBody) -> tuple[str | Nested, ...]:
        inner = node.otherwise[0] if len(node.otherwise) == 1 else None
        chained = self._when(inner) if isinstance(inner, ast.WhenBody) else ()
        then, otherwise = self.body(node.body), self.body(node.otherwise)
        return alternatives(show(node.condition), then, otherwise, chained)

    def _simple(self, node: ast.Statement) -> str | None:
        return self._simple_state(node) or self._simple_rule(node)

    def _simple_state(self, node: ast.Statement) -> str | None:
        match node:
            case ast.Param():
                return show_param(node)
            case ast.Let():
                return f"let {node.name} = {show(node.value)}"
            case ast.Setting():
                return f"{node.name} = {show(node.value)}"
            case ast.Extends():
                return f"extends {node.parent}"
            case ast.Input():
                return f"input {declared(node.name, node.size, node.type)}"
            case ast.State():
                head = declared(node.name, node.size, node.type)
                keep = "keep" if node.keep else ""
                init = initial(node.init, node.drawn)
                return words(node.level or "", "state", head, init, keep, opt("per", node.per))
            case ast.Def():
                bound = "" if node.index is None else f"{node.index} in "
                size = "" if node.size is None else f"[{bound}{show(node.size)}]"
                return f"def {node.name}{size} = {show(node.value)}"
            case ast.Assign():
                return f"{show(node.target)} := {show(node.value)}"
            case ast.Draw():
                return f"{show(node.target)} ~ {show(node.value)}"
            case ast.Ode():
                return f"d {show(node.target)}/dt = {show(node.value)}"
            case ast.Integrate():
                if not node.names:
                    return f"integrate {node.method or 'auto'}"
                return words("integrate", refs(node.names), opt("with", node.method))
            case ast.Refractory():
                return words("refractory", show(node.duration), opt("hold", node.hold))
            case ast.Surrogate():
                return f"surrogate {show(node.function)}"
            case ast.Expose():
                return f"expose {refs(node.names)}"
        return None

    def _simple_rule(self, node: ast.Statement) -> str | None:
        match node:
            case ast.Emit():
                return words("emit", "vector" if node.vector else "", show(node.value))
            case ast.Scope():
                return f"scope {node.level}"
            case ast.Reads():
                return f"reads {', '.join(map(show, node.values))}"
            case ast.Optimise():
                return f"optimise {show(node.optimiser)}"
            case ast.Reduce():
                return f"reduce {node.how} over {node.axis}"
            case ast.Subtract():
                return f"subtract {show(node.value)}"
            case ast.Bound():
                return f"bound {node.target} in {show_range(node.range)}"
            case ast.Waive():
                return f'allow {underscored(node.label)} because "{node.reason}"'
            case ast.Expect():
                equation = ast.Binary("==", node.left, node.right)
                return f"expect {show(equation)} within {show(node.tolerance)}"
            case ast.Weight():
                init = initial(node.init, node.drawn)
                return words("weight", declared(node.name, None, node.type), init)
            case ast.Deliver():
                return f"deliver {show(node.target)} += {show(node.value)}"
            case ast.Learn():
                return f"learn {show(node.rule)}"
            case ast.Eligibility():
                return f"eligibility {node.name} of {node.of} to {show(node.to)}"
            case ast.Prune():
                return f"prune where {show(node.condition)}"
            case ast.Regrow():
                rest = (opt("among", node.among), opt("weighted by", node.weighted_by))
                return words("regrow", show(node.count), *rest, opt("at", node.at))
        return None


__all__ = ["BodyPrinter", "show_args"]
