"""Building top-level declarations."""

from __future__ import annotations

from typing import Any, cast

from lark import Token, Tree

from netdsl.diagnostics import Span
from netdsl.syntax import ast
from netdsl.syntax.build.base import Part
from netdsl.syntax.build.experiment import ExperimentBuilder
from netdsl.syntax.build.places import check_places

EDITION = 1


class DeclarationBuilder(ExperimentBuilder):
    """Cells, wiring, rules, modulators and their templates."""

    def items(self, tree: Tree[Any] | None) -> tuple[ast.Item, ...]:
        """The declarations of a file or of a `when` block."""
        if tree is None:
            return ()
        parts = [p for p in tree.children if p is not None and p.data != "error"]
        return tuple(self.dispatch(p, "item") for p in parts)

    def item_edition(self, parts: list[Part], span: Span) -> ast.Item:
        text = str(parts[0])
        if text != str(EDITION):
            message = f"this program reads edition {EDITION} of the language, not {text}"
            self.error("E0013", message, self.span(parts[0]))
        return ast.Edition(EDITION, span=span)

    def item_import_(self, parts: list[Part], span: Span) -> ast.Item:
        return ast.Import(self.ref(parts[0]), self.refs(parts[1]), span=span)

    def item_param(self, parts: list[Part], span: Span) -> ast.Item:
        return self.make_param(parts, span)

    def item_let(self, parts: list[Part], span: Span) -> ast.Item:
        return self.make_let(parts, span)

    def item_function(self, parts: list[Part], span: Span) -> ast.Item:
        name, formals, value = parts
        params, at = self.formals(formals), self.span(name)
        return ast.Function(str(name), params, self.expr(value), span=span, name_span=at)

    def item_dt(self, parts: list[Part], span: Span) -> ast.Item:
        return ast.Dt(self.expr(parts[0]), span=span)

    def item_control(self, parts: list[Part], span: Span) -> ast.Item:
        name, value = parts
        return ast.Control(str(name), self.expr(value), span=span, name_span=self.span(name))

    def item_global_state(self, parts: list[Part], span: Span) -> ast.Item:
        name, value = parts
        return ast.GlobalState(str(name), self.expr(value), span=span, name_span=self.span(name))

    def _template(self, node: Any, kind: str, parts: list[Part], span: Span) -> Any:
        """A declaration of the form `KEYWORD NAME(params) { … }`."""
        name, formals, body = parts
        params, at = self.formals(formals), self.span(name)
        statements = self.body_of(kind, name, body)
        return node(str(name), statements, params, span=span, name_span=at)

    def body_of(self, kind: str, name: Token, body: Tree[Any] | None) -> ast.Body:
        """The body of a declaration, with every statement in its place."""
        statements = self.body(body)
        check_places(statements, kind, self.span(name), self.bag)
        return statements

    def item_neuron(self, parts: list[Part], span: Span) -> ast.Item:
        return cast(ast.Item, self._template(ast.NeuronDecl, "neuron", parts, span))

    def item_synapse(self, parts: list[Part], span: Span) -> ast.Item:
        return cast(ast.Item, self._template(ast.SynapseDecl, "synapse", parts, span))

    def item_rule(self, parts: list[Part], span: Span) -> ast.Item:
        return cast(ast.Item, self._template(ast.RuleDecl, "rule", parts, span))

    def item_optimiser(self, parts: list[Part], span: Span) -> ast.Item:
        return cast(ast.Item, self._template(ast.OptimiserDecl, "optimiser", parts, span))

    def item_trace_decl(self, parts: list[Part], span: Span) -> ast.Item:
        return cast(ast.Item, self._template(ast.TraceDecl, "trace", parts, span))

    def item_initialiser(self, parts: list[Part], span: Span) -> ast.Item:
        name, formals, initial = parts
        value, drawn = self.initial(initial)
        params, at = self.formals(formals), self.span(name)
        return ast.InitialiserDecl(str(name), params, value, drawn, span=span, name_span=at)

    def item_initialiser_body(self, parts: list[Part], span: Span) -> ast.Item:
        name, formals, body = parts
        params, at = self.formals(formals), self.span(name)
        return ast.InitialiserDecl(
            str(name), params, body=self.body_of("initialiser", name, body), span=span, name_span=at
        )

    def item_modulator(self, parts: list[Part], span: Span) -> ast.Item:
        name, slot, formals, on, to, body = parts
        return ast.ModulatorDecl(
            str(name),
            self.body_of("modulator", name, body),
            self.formals(formals),
            self.refs(on),
            self._receivers(to),
            *self._slots(slot),
            span=span,
            name_span=self.span(name),
        )

    def _slots(self, tree: Tree[Any] | None) -> list[ast.SlotIndex]:
        """`[p in past]`, `[p in past, q in past]`"""
        if tree is None:
            return []
        parts = [part for part in tree.children if part is not None]
        return [
            ast.SlotIndex(
                str(name), self.ref(memory), span=self.span(tree), name_span=self.span(name)
            )
            for name, memory in zip(parts[::2], parts[1::2], strict=True)
        ]

    def _receivers(self, tree: Tree[Any] | None) -> tuple[ast.Receiver, ...]:
        """`h, out cells`"""
        return tuple(
            ast.Receiver(self.ref(ref), cells is not None, span=self.span(part))
            for part in (tree.children if tree is not None else ())
            for ref, cells in (part.children,)
        )

    def item_celltype(self, parts: list[Part], span: Span) -> ast.Item:
        name, sign = parts
        at = self.span(name)
        return ast.CellType(str(name), cast(Any, str(sign)), span=span, name_span=at)

    # ------------------------------------------------------------ populations

    def item_population(self, parts: list[Part], span: Span) -> ast.Item:
        name, cell, *rest = parts
        clauses = [p for p in rest if p.data != "dim"]
        self.once_each(clauses, "population")
        found = {c.data: c for c in clauses}
        types = found["types"].children if "types" in found else []
        overrides = found["overrides"].children[0] if "overrides" in found else None
        return ast.PopulationDecl(
            str(name),
            self.ref(cell),
            tuple(self._dim(p) for p in rest if p.data == "dim"),
            tuple(self._type_count(p) for p in types),
            "shuffled" in found,
            self.settings(overrides),
            span=span,
            name_span=self.span(name),
        )

    def _dim(self, tree: Tree[Any]) -> ast.Dim:
        name, size = cast(Any, tree.children)
        return ast.Dim(self.expr(size), self.text(name), span=self.span(tree))

    def _type_count(self, tree: Tree[Any]) -> ast.TypeCount:
        name, count = tree.children
        return ast.TypeCount(str(name), self.expr(count), span=self.span(tree))

    # ------------------------------------------------------------ projections

    def item_projection(self, parts: list[Part], span: Span) -> ast.Item:
        name, pre, post, *clauses, body = parts
        kinds = {"delay_draw": "delay", "sign_by": "sign"}
        wiring = ("connectivity", "from_array")
        found = {kinds.get(c.data, c.data): c for c in clauses if c.data not in wiring}
        if len(found) < sum(c.data not in wiring for c in clauses):
            message = "this projection has two `delay`, `sign` or `using` clauses"
            self.error("E0009", message, self.span(name), "keep one of them")
        delay, sign = found.get("delay"), found.get("sign")
        using, args = self.using(found.get("using"))
        return ast.ProjectionDecl(
            str(name),
            self.ref(pre),
            self.ref(post),
            tuple(self._connectivity(c) for c in clauses if c.data in wiring),
            self._sign(sign),
            self._delay(delay),
            delay is not None and delay.data == "delay_draw",
            using,
            args,
            self.body_of("projection", name, body),
            span=span,
            name_span=self.span(name),
        )

    def _connectivity(self, tree: Tree[Any]) -> ast.Connectivity:
        if tree.data == "from_array":
            return ast.Connectivity("from", (), self.ref(tree.children[0]), span=self.span(tree))
        name, args, of = tree.children
        other = None if of is None else self.ref(of)
        return ast.Connectivity(str(name), self.args(args), other, span=self.span(tree))

    def _delay(self, tree: Tree[Any] | None) -> ast.Expr | None:
        if tree is None:
            return None
        part = tree.children[0]
        return self.expr(part) if tree.data == "delay_draw" else self.quantity(part)

    def _sign(self, tree: Tree[Any] | None) -> Any:
        if tree is None:
            return None
        if tree.data == "sign":
            return str(tree.children[0])
        text = self.ref(tree.children[0]).name
        if text != "pre" and text.count(".") != 1:
            message = f"signs go by `pre`, the presynaptic unit, not by `{text}`"
            help = "write `sign by pre`, or name an array of signs: `sign by cells.sign`"
            self.error("E0009", message, self.span(tree), help)
            return "pre"
        return text

    # ------------------------------------------------------------ promises and conditions

    def item_table(self, parts: list[Part], span: Span) -> ast.Item:
        name, *axes, value = parts
        built = tuple(
            ast.TableAxis(str(a.children[0]), str(a.children[1]), span=self.span(a)) for a in axes
        )
        return ast.TableDecl(
            str(name), built, self.expr(value), span=span, name_span=self.span(name)
        )

    def item_rewire(self, parts: list[Part], span: Span) -> ast.Item:
        name, over, body = parts
        at = self.span(name)
        return ast.RewireDecl(
            str(name), self.refs(over), self.body_of("rewire", name, body), span=span, name_span=at
        )

    def item_claim(self, parts: list[Part], span: Span) -> ast.Item:
        rule, *labels = parts
        return ast.Claim(self.ref(rule), tuple(self._claim_label(p) for p in labels), span=span)

    def _claim_label(self, tree: Tree[Any]) -> ast.Label:
        label, *args = tree.children
        return ast.Label(self.label(label), self.exprs(args), span=self.span(tree))

    def item_allow(self, parts: list[Part], span: Span) -> ast.Item:
        label, on, reason = parts
        return ast.Allow(self.label(label), self.refs(on), self.string(reason), span=span)

    def item_ensemble(self, parts: list[Part], span: Span) -> ast.Item:
        return ast.Ensemble(self.expr(parts[0]), self.refs(parts[1]), span=span)

    def item_use(self, parts: list[Part], span: Span) -> ast.Item:
        return ast.Use(self.string(parts[0]), self.args(parts[1]), span=span)

    def item_when(self, parts: list[Part], span: Span) -> ast.Item:
        condition, body, otherwise = parts
        return ast.When(
            self.expr(condition), self.items(body), self._else_items(otherwise), span=span
        )

    def _else_items(self, tree: Tree[Any] | None) -> tuple[ast.Item, ...]:
        if tree is None:
            return ()
        if tree.data == "else_items":
            return self.items(tree.children[0])
        span = self.span(tree)
        with self.deeper("`else when`", span, "split the conditions") as fits:
            return (self.item_when(tree.children, span),) if fits else ()
