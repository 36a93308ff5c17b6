"""Modulators on no population: numbers of each sample, computed after all cells.

Such a modulator is the only unit of a population of its own, so that it may have inputs, states and
equations as any cell has. Of other populations it reads reductions, which their bodies compute.
"""

from __future__ import annotations

from dataclasses import replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import NOW, Expr, Reduce, Ref, refs
from netdsl.ir.network import Assign, Kind, Modulator, Place, Population, Type, Variable
from netdsl.sema.cells.cells import CellBuilder
from netdsl.sema.cells.populations import PopulationScope
from netdsl.sema.scopes import expressions, pairs, reach, slots
from netdsl.sema.scopes.calls import reduced
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import dotted
from netdsl.sema.scopes.units import Unknown, unify
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

_OWN = (ast.Scope, ast.Emit, ast.Reads, ast.Waive)
_KINDS = ("sum", "mean", "max", "min", "any")


class AloneScope(PopulationScope):
    """The names of such a modulator, and `P.x` of populations where they are reduced."""

    def __init__(self, node: ast.ModulatorDecl, context: Context) -> None:
        super().__init__(context, node.name, node.name, (("", 1),))
        self.kind = f"modulator `{node.name}`"
        self.is_cell = False
        self.after = frozenset(context.populations)
        self.reductions: dict[str, list[Assign]] = {}  # by population
        self.pair: str | None = None  # the second row, where there is a number for each two
        self.loose: list[Ref] = []  # reads of populations that no reduction holds yet

    def foreign(self, path: str, at: str | None, span: Span) -> Value:
        owner, _, name = path.rpartition(".")
        cell = self.context.cells.get(owner)
        if cell is None or (name not in cell.paths and name not in cell.params):
            return super().foreign(path, at, span)
        between = cell.settled()
        between.time = NOW
        value = between.find((name,), at, span)
        if value is None:
            return bad(span)
        self.loose += self.others(value.expr)
        return value

    def others(self, expr: Expr) -> list[Ref]:
        """Reads of variables that other populations have for each unit or sample."""
        return [
            ref
            for ref in refs(expr)
            for cell in self.context.cells.values()
            if cell.name != self.name
            and ref.path in cell.variables
            and cell.variables[ref.path].kind is not Kind.MODULATOR
        ]

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        found = self.others(body.expr)
        if not found:
            return super().reduce(kind, body, node)
        self._held(found)
        between = self.pair is not None and slots.free(body.expr, self) <= {"", self.pair}
        if any(slots.is_bound(ref.slot) for ref in found) and not between:
            return reduced(kind, "population", body, Place.ROW, node)  # what goes over slots has it
        owners = dict.fromkeys(self._owner(ref) for ref in found)
        axes = [axis.name for axis in node.over.axes] if node.over is not None else []
        mixed = any(ref.path in self.variables for ref in refs(body.expr))
        if len(owners) > 1 or mixed or kind not in _KINDS or axes not in ([], ["population"]):
            self.context.bag.error(
                "E0351",
                "a modulator on no population reads sums, means, largest and smallest values of one"
                " population at a time",
                node.span,
                help="reduce each population by itself: `sum(a.s) + sum(b.s)`",
            )
            return bad(node.span)
        return self._hidden(next(iter(owners)), kind, "population", body, node)

    def _held(self, found: list[Ref]) -> None:
        for ref in (replace(ref, slot="") for ref in found):
            if ref in self.loose:
                self.loose.remove(ref)

    def reduce_slots(self, kind: str, axis: str, body: Value, node: ast.Call) -> Value:
        found = self.others(body.expr)
        if not found:
            return super().reduce_slots(kind, axis, body, node)
        owners = dict.fromkeys(self._owner(ref) for ref in found)
        owner = next(iter(owners))
        own = (ref for ref in refs(body.expr) if ref not in found and ref.path in self.variables)
        if len(owners) > 1 or any(own):
            self.context.bag.error(
                "E0351",
                "a modulator on no population reduces over slots the values of one population at a"
                " time",
                node.span,
                help="reduce each population by itself, or put the modulator `on` one",
            )
            return bad(node.span)
        return self._hidden(owner, kind, axis, body, node)

    def _owner(self, ref: Ref) -> str:
        cells = self.context.cells.values()
        return next(cell.name for cell in cells if ref.path in cell.variables)

    def _hidden(self, owner: str, kind: str, axis: str, body: Value, node: ast.Call) -> Value:
        """The reduction as a statement at the end of the population's body."""
        made = self.reductions.setdefault(owner, [])
        value = reduced(kind, axis, body, Place.ROW, node)
        path = f"{self.name}.{owner}.{kind}{len(made) + 1}"
        two = self.pair is not None and self.pair in slots.free(value.expr, self)
        window = self.window()
        place, slot = (Place.SLOT, f"{window}:{slots.OWN}") if window else (Place.ROW, "")
        place, slot = (Place.PAIR, f",{self.pair}") if two else (place, slot)
        self.context.cells[owner].variables[path] = Variable(
            path, Kind.MODULATOR, place, value.type, owner, memory=window, span=node.span
        )
        self.context.dims[path] = value.dim
        if window and "" in slots.free(value.expr, self):
            slots.present_row(self.name, window, self, node.span)
            return bad(node.span)
        made.append(Assign(path, value.expr, node.span))
        return replace(value, expr=Ref(path, "own", NOW, node.span, slot))

    def window(self) -> str:
        """The window for each of whose slots the modulator has a number, if it is one."""
        names = [s.memory for s in self.slots.values() if s.index and s.index != self.pair]
        return names[0] if names else ""


class AloneBuilder:
    """Builds one; it goes to `populations`, `cells` and `modulators` under its own name."""

    def __init__(self, node: ast.ModulatorDecl, to: tuple[str, ...], context: Context) -> None:
        self.node, self.to, self.context = node, to, context

    def build(self) -> None:
        node, context = self.node, self.context
        if node.name in context.cells:
            return  # declared twice, as was reported
        scope = AloneScope(node, context)
        slot = slots.modulators_slot(node, scope) if node.slot is not None else None
        scope.slots = {node.slot.name: slot} if node.slot is not None and slot else {}
        if node.other is not None and slot is not None:
            second = pairs.other(node, slot, scope)
            if second is not None:
                scope.slots[node.other.name] = second
                scope.pair = second.index
        cell = ast.NeuronDecl(
            node.name,
            tuple(part for part in node.body if not isinstance(part, _OWN)),
            span=node.span,
            name_span=node.name_span,
        )
        where = ast.PopulationDecl(node.name, ast.Ref(node.name), (ast.Dim(ast.Number(1)),))
        body = CellBuilder(where, cell, scope).build()
        value = self._emit(scope)
        context.cells[node.name] = scope
        if value is None:
            context.modulators.setdefault(node.name, {})
            return
        emitted = self._emitted(scope, value)
        statements = (*body.statements, emitted)
        self._reduced(scope)
        context.populations[node.name] = Population(
            node.name, node.name, scope.axes, (), scope.variables, statements, (), node.span
        )
        for owner, made in scope.reductions.items():
            population = context.populations.get(owner)
            if population is not None:
                ended = replace(population, body=(*population.body, *made))
                context.populations[owner] = ended

    def _emit(self, scope: AloneScope) -> Value | None:
        node, bag = self.node, self.context.bag
        emits = [part for part in node.body if isinstance(part, ast.Emit)]
        if len(emits) != 1:
            if emits:
                bag.error("E0102", "a modulator emits once", emits[1].span)
            else:
                message = f"modulator `{node.name}` emits nothing"
                bag.error("E0116", message, node.name_span, help="add `emit …`")
            return None
        level = reach.scope_of(node)
        if level not in ("global", "population") or (level != "global" and not self.to):
            bag.error(
                "E0169",
                f"modulator `{node.name}` is on no population and does not say whom it reaches",
                node.name_span,
                help="write `scope global` in its body, or `to h` after its name",
            )
        if emits[0].vector:
            bag.error(
                "E0172",
                "a vector has the numbers of the neurons of a population, this is on none",
                emits[0].span,
                help="put the modulator `on` a population, or emit one number",
            )
        value = expressions.translate(emits[0].value, scope)
        return None if value.bad else value

    def _emitted(self, scope: AloneScope, value: Value) -> Assign:
        """The number of its only unit, for the synapses of others."""
        node, path = self.node, reach.emitted(self.node.name, self.node.name)
        expr, span = value.expr, value.span
        if value.place in (Place.UNIT, Place.NEURON):
            expr = Reduce("sum", "population", expr, span)
        if scope.pair is not None and scope.pair not in slots.free(expr, scope):
            self.context.bag.error(
                "E0182",
                "this is the same for all second slots",
                span,
                help="leave the second index of the modulator out",
            )
        window = scope.window()
        place = Place.PAIR if scope.pair is not None else Place.SLOT if window else Place.ROW
        scope.variables[path] = Variable(
            path, Kind.MODULATOR, place, Type.REAL, node.name, memory=window, span=node.name_span
        )
        if window:
            slots.stored_only(value, window, scope, node)
        unify(self.context.dims.setdefault(path, Unknown()), value.dim)
        cells = tuple(r.population.name for r in node.to if r.cells)
        level = reach.scope_of(node)
        memory = next((slot.memory for slot in scope.slots.values()), "")
        made = Modulator(node.name, None, level, path, expr, node.span, self.to, cells, memory)
        self.context.modulators.setdefault(node.name, {})[None] = made
        return Assign(path, expr, span)

    def _reduced(self, scope: AloneScope) -> None:
        """Values of populations enter as reductions only, and only those that `reads` lists."""
        for ref in scope.loose:
            self.context.bag.error(
                "E0351",
                f"modulator `{self.node.name}` reads `{ref.path}`, one value for each neuron",
                ref.span or self.node.span,
                help=f"it is on no population and reads reductions only: `sum({ref.path})`",
            )
        self._closed(scope)

    def _closed(self, scope: AloneScope) -> None:
        lists = [part for part in self.node.body if isinstance(part, ast.Reads)]
        if not lists:
            return
        listed = {".".join(f[0]) for part in lists for v in part.values if (f := dotted(v))}
        made = [assign for found in scope.reductions.values() for assign in found]
        for ref in (ref for assign in made for ref in scope.others(assign.value)):
            if ref.path not in listed:
                self.context.bag.error(
                    "E0118",
                    f"modulator `{self.node.name}` reads `{ref.path}`, which its `reads` list does "
                    "not name",
                    ref.span or self.node.span,
                    help=f"add `{ref.path}` to the list, or do not read it",
                )
