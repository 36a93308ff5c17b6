"""What a row of the table of primitive functions says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netdsl.ir.algebra.build import ZERO
from netdsl.ir.expr import Apply, Expr

Number = float | int | bool
Args = tuple[Expr, ...]
# The derivative of an application, from its arguments and their derivatives.
Slope = Callable[[Apply, Args, Args], Expr]
# The function on Python numbers; ArithmeticError or ValueError where it has no finite value.
Fold = Callable[..., Number]


def flat(_: Apply, __: Args, ___: Args) -> Expr:
    """The derivative of what is constant but for jumps."""
    return ZERO


@dataclass(frozen=True)
class Function:
    """A primitive function, once for all stages and languages.

    `result`: "real", "bool", "count" or "same" (widest of the arguments). `units`: of the result,
    and what they must be: "number" (none anywhere), "any" (whatever, to none), "alike" (all equal),
    "compare" (all equal, to none), "keep" (the first's), "product", "quotient", "root", "power".

    `numpy`: calls of ufuncs one after the other, `{0}`, `{1}` the arguments, `{s0}`, `{s1}` the
    results of the steps before, `{out}` where to. `c`: C and CUDA, `{f}` is "f" for float (as in
    `exp{f}`) and "" for double, `{s}` is "f" or "d"; with `body`, a helper `NAME_{s}` is defined
    that returns it (`{T}` is the type, `{a}`, `{b}`, `{c}` are the arguments).
    `vector`: whether the GNU C library has it for vectors, "" or the first version, as "2, 22".
    `symbol` is how an operator is written and `level` how tightly it binds.
    """

    name: str
    arity: int
    result: str
    meaning: str
    units: str
    fold: Fold
    numpy: tuple[str, ...]
    c: str
    slope: Slope = flat
    body: str = ""
    vector: str = ""
    symbol: str = ""
    level: int = 0
    user: bool = True  # callable by name in a specification (operators are not)

    @property
    def expression(self) -> str:
        """The function as one expression of Python, of arrays or numbers."""
        results: list[str] = []
        for step in self.numpy:
            text = step.replace(", out={out}", "")
            for number, result in enumerate(results):
                text = text.replace(f"{{s{number}}}", result)
            results.append(text)
        return results[-1]

    @property
    def condition(self) -> bool:
        """Is its value a truth value?"""
        return self.result == "bool"

    @property
    def logic(self) -> bool:
        """Are its arguments truth values too?"""
        return self.name in ("and", "or", "not")

    def helper(self, ctype: str, qualifier: str) -> str:
        """The definition in C of the helper that `c` calls."""
        end = "f" if ctype == "float" else ""
        names = "abc"[: self.arity]
        value = self.body.format(T=ctype, f=end, s=end or "d", **{name: name for name in names})
        formals = ", ".join(f"{ctype} {name}" for name in names)
        return f"{qualifier} {ctype} {self.name}_{end or 'd'}({formals}) {{ return {value}; }}"


def ufunc(name: str, arity: int = 1) -> tuple[str, ...]:
    """One step: a ufunc of NumPy (`np.exp`), or of SciPy (`special.erf`)."""
    args = ", ".join(f"{{{number}}}" for number in range(arity))
    return (f"{name}({args}, out={{out}})",)


def helped(name: str, arity: int) -> str:
    """The call in C of a helper."""
    return f"{name}_{{s}}({', '.join(f'{{{number}}}' for number in range(arity))})"
