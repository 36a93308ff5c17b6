"""The batch sum of a rule's change: products of two factors, and sums over rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.ir.algebra.factor import NotFactorable, Term, times
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Load, Local, Ref, refs
from netdsl.ir.network import Kind, Place, Type
from netdsl.ir.program import Bind, Product, RowSum, Sum
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.deliver import classify
from netdsl.passes.lower.states import RowReads, own_reads, require_synapses
from netdsl.passes.lower.strength import factored
from netdsl.passes.lower.synapse import SynapseReads, complement
from netdsl.passes.network.place import with_lets

NEWEST_FIELD = "sample.newest"  # 1 in the newest row
_Group = tuple[str | None, Expr | None, bool]  # presynaptic and synaptic factor, newest row alone


@dataclass
class BatchSums(SynapseReads):
    """Sums over the rows of the batch, of what one rule computes at its synapses."""

    def _summed(self, name: str, exprs: tuple[Expr, ...]) -> tuple[list[Sum], list[Bind]]:
        """`name` as a sum of products; what reads a state of the synapse is summed row by row."""
        exprs = tuple(with_lets(self.rule, expr) for expr in exprs)
        parts = [part for expr in exprs for part in summands(expr)]
        rows = [part for part in parts if self._remembered(part)]
        if not rows:
            return [Sum(name, self.products(exprs))], []
        require_synapses(self.projection, self.rule)
        reads = RowReads(self.context, self.projection, self.rule, self.read, self.factors)
        value = reads.value(_total(rows))
        self.ops += reads.ops
        sums = [Sum(f"{name}_rows", (), (RowSum(value),))]
        total = times(self._share(self._sign()), Local(f"{name}_rows"))
        assert total is not None
        rest = tuple(part for part in parts if part not in rows)
        if rest:
            sums.append(Sum(f"{name}_products", self.products(rest)))
            total = Apply("add", (Local(f"{name}_products"), total))
        return sums, [Bind(name, total, self.rule.span)]

    def _remembered(self, expr: Expr) -> bool:
        """Does a term read what the rule keeps for each synapse and sample, or is it a function of
        what it keeps at both ends?"""
        held = [self.rule.variables.get(ref.path) for ref in refs(expr)]
        own = [variable for variable in held if variable is not None]
        if any(variable.place is Place.ROW_SYNAPSE for variable in own):
            return True
        try:
            factored(self.context, self.projection, expr, classify(self.context))
        except NotFactorable:
            return bool(own)
        return False

    def _share(self, coefficient: Expr | None) -> Expr | None:
        """What a sum over rows is multiplied by: of a mean also one over their number."""
        if self.rule.reduce != "mean":
            return coefficient
        return simplify(Apply("div", (coefficient or Const(1.0), Load(self._samples()))))

    def products(self, exprs: tuple[Expr, ...]) -> tuple[Product, ...]:
        """Products of all terms; terms of one presynaptic and synaptic factor become one."""
        groups: dict[_Group, list[tuple[Expr | None, Expr | None]]] = {}
        for part, newest in (found for expr in exprs for found in self._by_rows(expr)):
            for term in self._terms(part):
                for pre, sign in self._presynaptic(term):
                    scalar = times(sign, self._post(term.scalar))
                    key = (pre, self._synapse(term.synapse), newest)
                    groups.setdefault(key, []).append((scalar, self._post(term.post)))
        return tuple(self._product(*key, group) for key, group in groups.items())

    def _by_rows(self, expr: Expr) -> Iterator[tuple[Expr, bool]]:
        """An expression, or where some of its terms are of the newest row alone each of them."""
        parts = tuple((part, of_newest(part)) for part in summands(expr))
        windows = self.projection.connectivity.windows
        apart = windows is not None and windows.depthwise
        whole = not apart and self.projection.name not in self.context.layouts
        if not whole or all(rest is None for _, rest in parts):
            yield expr, False
            return
        for part, rest in parts:
            yield (part, False) if rest is None else (rest, True)

    def _terms(self, expr: Expr) -> tuple[Term, ...]:
        try:
            return factored(self.context, self.projection, expr, classify(self.context))
        except NotFactorable as problem:
            raise LoweringError(
                "E0802",
                f"the change of `{self.rule.name}` on `{self.projection.name}` does not factor "
                "into presynaptic, postsynaptic and synaptic parts",
                problem.span or self.rule.span,
                "write it as a sum of products such as `f(pre.x) * g(post.y) * h(w)`",
            ) from None

    def _presynaptic(self, term: Term) -> list[tuple[str | None, Expr | None]]:
        """Presynaptic buffers of a term with their signs; `1 - spike` is ones minus spikes."""
        silent = complement(term.pre)
        if silent is not None and self._binary(silent):
            return [(None, None), (self._pre(silent), Const(-1.0))]
        return [(self._pre(term.pre), None)]

    def _post(self, expr: Expr | None) -> Expr | None:
        if expr is None:
            return None
        ops, value = self.read(self.projection.post, own_reads(self.rule, expr), 0)
        self.ops += ops
        return value

    def _product(
        self,
        pre: str | None,
        synapse: Expr | None,
        newest: bool,
        terms: list[tuple[Expr | None, Expr | None]],
    ) -> Product:
        if len(terms) == 1:
            ((scalar, post),) = terms
        else:
            scalar, post = None, self._sum(terms)
        coefficient = self._share(times(times(self._sign(), scalar), synapse))
        buffer = self._buffer(self.projection.post, post)
        binary = self._is_binary(pre) and not newest
        return Product(pre, buffer, coefficient, binary_pre=binary, newest=newest)

    def _sum(self, terms: list[tuple[Expr | None, Expr | None]]) -> Expr:
        total: Expr = Const(0.0)
        for scalar, post in terms:
            total = simplify(Apply("add", (total, times(scalar, post) or Const(1.0))))
        return total

    def _binary(self, expr: Expr) -> bool:
        if not isinstance(expr, Ref):
            return False
        variable = self.context.variable(expr.path)
        return variable.kind is Kind.SPIKE or variable.type is Type.BOOL

    def _is_binary(self, buffer: str | None) -> bool:
        return buffer is not None and self.context.buffers[buffer].type is Type.BOOL

    def _pre(self, expr: Expr | None) -> str | None:
        if expr is None:
            return None
        ops, value = self.read(
            self.projection.pre, own_reads(self.rule, expr), self.projection.delay
        )
        self.ops += ops
        return self._buffer(self.projection.pre, value)

    def share(self, synapse: Expr | None) -> Expr | None:
        """What a sum over rows of a change of `w`, with a factor of the synapse, is multiplied by
        to be one of what is stored."""
        return self._share(times(self._sign(), self._synapse(synapse)))

    def _sign(self) -> Expr | None:
        """The slope of the weight along what is stored."""
        return self._synapse(self.projection.sign)

    def _synapse(self, expr: Expr | None) -> Expr | None:
        return None if expr is None else self._at_synapse(expr)


def of_newest(expr: Expr) -> Expr | None:
    """What a term is of in the newest row, where it is 0 in all others: what `sample.newest`
    multiplies. None for a term of all rows."""
    if expr == Ref(NEWEST_FIELD):
        return Const(1.0)
    if not isinstance(expr, Apply) or expr.function not in ("mul", "div", "neg"):
        return None
    for place, arg in enumerate(expr.args[: 1 if expr.function == "div" else 2]):
        rest = of_newest(arg)
        if rest is not None:
            args = (*expr.args[:place], rest, *expr.args[place + 1 :])
            return simplify(Apply(expr.function, args, expr.span))
    return None


def summands(expr: Expr) -> Iterator[Expr]:
    """The terms whose sum an expression is."""
    if isinstance(expr, Apply) and expr.function in ("add", "sub"):
        first, second = expr.args
        yield from summands(first)
        for part in summands(second):
            yield part if expr.function == "add" else Apply("neg", (part,), expr.span)
    elif isinstance(expr, Apply) and expr.function == "neg":
        yield from (Apply("neg", (part,), expr.span) for part in summands(expr.args[0]))
    else:
        yield expr


def _total(parts: list[Expr]) -> Expr:
    total = parts[0]
    for part in parts[1:]:
        total = Apply("add", (total, part))
    return simplify(total)
