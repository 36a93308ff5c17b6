"""Expressions and statements as in-place NumPy calls, three-address form.

`Printer` turns the statements of one operation into instructions on arrays: each result is
written with `out=` into a buffer or a scratch register. Equal subexpressions are computed once,
as long as no buffer that they read is stored to; GLOBAL subexpressions become Python floats
before the loop (float64, see `python_scalars`).

Shapes within a tile: ROW (r, 1), NEURON (n,), UNIT (r, n), SYNAPSE (m, n); a synapse's
`Index(side="pre")` is (m, 1), its "post" index (n,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netdsl.codegen.names import Names
from netdsl.codegen.numpy.registers import COPY, Block, Value
from netdsl.codegen.numpy.scalars import bare, condition, literal, scalar
from netdsl.ir.algebra.fold import number, simplify
from netdsl.ir.expr import Apply, Expr, Index, Load, Local, loads, walk
from netdsl.ir.functions import FUNCTIONS, printed
from netdsl.ir.network import Place, Type
from netdsl.ir.places import place_of
from netdsl.ir.program import Bind, Program


def is_truth(expr: Expr) -> bool:
    """Is the value a truth value?"""
    return isinstance(expr, Apply) and FUNCTIONS[expr.function].condition


@dataclass
class Printer:
    """State of printing one operation.

    `spell` gives the identifier of a buffer inside the loop (and notes that a view is needed);
    `index` that of an index array. `deferred` computes a bound value when it is first read.
    """

    program: Program
    names: Names
    spell: Callable[..., str]
    scalar_buffer: Callable[[str], str]
    index: Callable[[Index], str]
    full: Place = Place.UNIT
    block: Block = field(default_factory=Block)
    prelude: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)  # bound arrays
    scalars: dict[str, str] = field(default_factory=dict)  # bound Python floats
    places: dict[str, Place] = field(default_factory=dict)  # of bound names
    deferred: dict[str, Callable[[], Value]] = field(default_factory=dict)
    _homes: dict[str, Value] = field(default_factory=dict)
    _known: dict[tuple[Expr, bool], Value] = field(default_factory=dict)

    # -- scalars -----------------------------------------------------------------------------

    def bind_scalar(self, bind: Bind) -> None:
        """A Python float computed before the loop."""
        text = bare(self.scalar_text(simplify(bind.value)))
        name = self.names.fresh(bind.name)
        self.prelude.append(f"{name} = {text}" if _is_float(text) else f"{name} = float({text})")
        self.scalars[bind.name] = name
        self.places[bind.name] = Place.GLOBAL

    def scalar_text(self, expr: Expr) -> str:
        """Text of a GLOBAL expression, in place."""
        return scalar(expr, self.scalar_buffer, self.scalars)

    def _scalar(self, expr: Expr, mask: bool) -> Value:
        known = self._known.get((expr, mask))
        if known is not None:
            return known
        constant = number(expr)
        if constant is not None and not mask:
            return Value(Place.GLOBAL, text=literal(constant), home=True)
        if isinstance(expr, Local) and not mask:
            return Value(Place.GLOBAL, text=self.scalars[expr.name], home=True)
        name = self.names.fresh("k")
        if mask:
            text = condition(expr, self.scalar_buffer, self.scalars)
        else:
            text = bare(self.scalar_text(expr))
            text = text if _is_float(text) else f"float({text})"
        self.prelude.append(f"{name} = {text}")
        value = Value(Place.GLOBAL, mask, name, home=True)
        self._known[expr, mask] = value
        return value

    # -- expressions -------------------------------------------------------------------------

    def place(self, expr: Expr) -> Place:
        """How many numbers `expr` is."""
        return place_of(expr, self.program, self.places)

    def value(self, expr: Expr, *, mask: bool = False, into: Value | None = None) -> Value:
        """An array (or scalar) that holds `expr`; new results are written `into` if given."""
        if self.place(expr) is Place.GLOBAL:
            return self._scalar(expr, mask)
        known = self._known.get((expr, mask))
        if known is not None:
            return known
        if isinstance(expr, Load | Local | Index):
            value = self._leaf(expr)
            return value if value.mask is mask else self._convert(expr, value, mask)
        assert isinstance(expr, Apply)
        value = self._apply(expr, mask, into)
        if into is None:
            self._known[expr, mask] = value
        return value

    def _leaf(self, expr: Expr) -> Value:
        if isinstance(expr, Load):
            return self.home(expr.buffer)
        if isinstance(expr, Local):
            if expr.name not in self.values:
                self.values[expr.name] = self.deferred[expr.name]()
            return self.values[expr.name]
        assert isinstance(expr, Index)
        return Value(self.place(expr), text=self.index(expr), home=True)

    def home(self, buffer: str) -> Value:
        """The buffer itself as an operand."""
        if buffer not in self._homes:
            place = self.program.buffers[buffer].place
            self._homes[buffer] = Value(place, text=self.spell(buffer), home=True)
        return self._homes[buffer]

    def _convert(self, expr: Expr, value: Value, mask: bool) -> Value:
        out = Value(value.place, mask)
        form = "np.not_equal({0}, 0.0, out={out})" if mask else COPY
        self._known[expr, mask] = self.block.emit(form, out, value)
        return out

    def _apply(self, expr: Apply, mask: bool, into: Value | None) -> Value:
        function = expr.function
        if is_truth(expr):
            return self._truth(expr, mask, into)
        if mask:
            return self._convert(expr, self.value(expr), True)
        if function == "select":
            return self._select(expr, into)
        exponent = number(expr.args[1]) if function == "pow" else None
        steps = printed(function, exponent).numpy
        args = [self.value(arg) for arg in expr.args]
        place = self.place(expr)
        results: list[Value] = []
        for position, form in enumerate(steps):
            final = position == len(steps) - 1
            out = into if final and into is not None else Value(place)
            for earlier in range(position):
                form = form.replace(f"{{s{earlier}}}", f"{{{len(args) + earlier}}}")
            results.append(self._emit(form, out, [*args, *results]))
        return results[-1]

    def _emit(self, form: str, out: Value, operands: list[Value]) -> Value:
        """Emit with only the operands that `form` names, so that the others' lives end earlier."""
        kept = [i for i in range(len(operands)) if f"{{{i}}}" in form]
        for new, old in enumerate(kept):
            form = form.replace(f"{{{old}}}", f"{{{new}}}")
        return self.block.emit(form, out, *(operands[i] for i in kept))

    def _truth(self, expr: Apply, mask: bool, into: Value | None) -> Value:
        if self._is_spike_test(expr):
            spikes = self.value(expr.args[0], mask=mask)
            return spikes if into is None else self.block.emit(COPY, into, spikes)
        row = FUNCTIONS[expr.function]
        args = [self.value(arg, mask=row.logic) for arg in expr.args]
        out = into if into is not None else Value(self.place(expr), mask)
        return self.block.emit(row.numpy[0], out, *args)

    def _is_spike_test(self, expr: Apply) -> bool:
        """Whether `expr` is `s > 0` or `s != 0` of a buffer that holds only 0 and 1."""
        if expr.function not in ("gt", "ne") or number(expr.args[1]) != 0:
            return False
        tested = expr.args[0]
        return isinstance(tested, Load) and self.program.buffers[tested.buffer].type is Type.BOOL

    def _select(self, expr: Apply, into: Value | None) -> Value:
        test, chosen, other = expr.args
        where, first = self.value(test, mask=True), self.value(chosen)
        out = into if into is not None and first is not into else Value(self.place(expr))
        second = other if isinstance(other, Apply) else None
        same_place = second is not None and self.place(second) is out.place
        if same_place and second is not None and (second, False) not in self._known:
            base = self.value(second, into=out)
        else:
            base = self.value(other)
        if base is not out:
            self.block.emit(COPY, out, base)
        self.block.emit("np.copyto({out}, {0}, where={1})", out, first, where, updates=True)
        return out

    # -- statements --------------------------------------------------------------------------

    def bind(self, bind: Bind) -> None:
        """Name a value for the statements that follow."""
        value = simplify(bind.value)
        place = self.place(value)
        truth = is_truth(value)
        if place is Place.GLOBAL:
            result = self._scalar(value, False)
        else:
            result = self.value(value, mask=truth)
        # What was known of the name's former value, its own reading just now included, is stale.
        self.forget(lambda expr: any(x == Local(bind.name) for x in walk(expr)))
        self.scalars.pop(bind.name, None)
        self.values.pop(bind.name, None)
        self.places[bind.name] = place
        if place is Place.GLOBAL:
            self.scalars[bind.name] = result.text
        else:
            self.values[bind.name] = result
            self._label(result, bind.name)

    def _label(self, result: Value, name: str) -> None:
        """Spell a new register by the bound name, where its instruction returns the array."""
        last = next((x for x in reversed(self.block.lines) if not isinstance(x, str)), None)
        if last is None or last.out is not result or result.home or result.label:
            return
        if not last.updates and last.form.endswith("out={out})"):
            result.label = self.names.fresh(name)

    def store(self, buffer: str, value: Expr, live: frozenset[str]) -> None:
        """`buffer := value`; `live` are the bound names that later statements read."""
        value, target = simplify(value), self.home(buffer)
        self.keep_aliases(target, live)
        truth = is_truth(value)
        place = self.place(value)
        if truth and place is target.place:
            result = self.value(value, mask=True)
        elif place is target.place and place is not Place.GLOBAL:
            result = self.value(value, into=target)
        else:
            result = self.value(value)
        if result is not target:
            self.block.emit(COPY, target, result)
        self.stored(buffer)
        if buffer not in loads(value) and place is target.place:
            self._known.setdefault((value, False), target)
        if truth and place is target.place:
            self._known[Load(buffer), True] = result

    def keep_aliases(self, target: Value, live: frozenset[str]) -> None:
        """Copy bound names that are the buffer about to be stored to, if still to be read."""
        names = [name for name, value in self.values.items() if value is target and name in live]
        if not names:
            return
        saved = self.block.emit(COPY, Value(target.place), target)
        for name in names:
            self.values[name] = saved

    def stored(self, buffer: str) -> None:
        """Forget what a store to `buffer` makes stale."""
        target = self.home(buffer)
        self.forget(lambda expr: buffer in loads(expr))
        for key in [key for key, value in self._known.items() if value is target]:
            del self._known[key]

    def forget(self, stale: Callable[[Expr], bool]) -> None:
        """Drop known values of expressions that hold no longer."""
        for key in [key for key in self._known if stale(key[0])]:
            del self._known[key]

    def spread(self, value: Value, mask: bool = False) -> Value:
        """`value` as an array of the full place."""
        if value.place is self.full:
            return value
        return self.block.emit(COPY, Value(self.full, mask), value)


def _is_float(text: str) -> bool:
    """Whether printed scalar text surely is a Python float already."""
    if text.startswith("float(") and text.endswith(")") and text.count("(") == 1:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
