"""Names of other languages and simulators, and what they are called here.

Loaded when an unknown name is reported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from netdsl.diagnostics import Span
from netdsl.sema.scopes.units import parse_unit
from netdsl.syntax.habits import unit_for


class Hint(NamedTuple):
    """What is said of an unknown name in place of the usual, a similar name if not `sure`."""

    code: str
    message: str | None
    help: str
    sure: bool = True


COMMENT = Hint("E0019", "a comment does not begin with `//`, which divides", "write `# …`")
_PACKAGES = (
    "np numpy torch nn F tf jnp jax math scipy brian2 b2 bm nest random cp snn keras plt".split()  # noqa: SIM905
)
_ONE = "leave it out: values are those of one neuron or synapse, as in `pre.s * post.s`"
_DRAWN = "draws stand after `~`, as in `x ~ normal(0, 1)` or `x ~ uniform(0, 1)`"
_FUNCTIONS = {
    "outer": _ONE,
    "einsum": _ONE,
    "matmul": "a projection sums over its synapses: `deliver j += w * pre.s`",
    "mm": "a projection sums over its synapses: `deliver j += w * pre.s`",
    "bmm": "a projection sums over its synapses: `deliver j += w * pre.s`",
    "dot": "a projection sums over its synapses: `deliver j += w * pre.s`",
    "linear": "a projection sums over its synapses: `deliver j += w * pre.s`",
    "conv2d": "a projection is `conv(kernel = 5, channels = 16)`",
    "where": "write `a if condition else b`",
    "ifelse": "write `a if condition else b`",
    "heaviside": "write the comparison, `x > 0`: it counts as 0 or 1",
    "step": "write the comparison, `x > 0`: it counts as 0 or 1",
    "int": "write `floor(x)`; a comparison counts as 0 or 1 as it is",
    "float": "leave it out: a comparison counts as 0 or 1 as it is",
    "bool": "write a comparison, as `x > 0`",
    "pow": "write `x^2`",
    "power": "write `x^2`",
    "square": "write `x^2`",
    "clamp": "write `clip(x, low, high)`",
    "maximum": "write `max(a, b)`",
    "minimum": "write `min(a, b)`",
    "fabs": "write `abs(x)`",
    "absolute": "write `abs(x)`",
    "average": "write `mean(x)`",
    "ln": "write `log(x)`",
    "len": "write `size(population)`",
    "rand": _DRAWN,
    "randn": _DRAWN,
    "random": _DRAWN,
    "rand_like": _DRAWN,
    "randn_like": _DRAWN,
    "zeros": "write `0`: it is the value of each neuron or synapse",
    "zeros_like": "write `0`: it is the value of each neuron or synapse",
    "ones": "write `1`: it is the value of each neuron or synapse",
    "ones_like": "write `1`: it is the value of each neuron or synapse",
    "array": "write one number, or a parameter `per neuron ~ …` that differs",
    "one_hot": "write `onehot(sample.label)`",
    "CrossEntropyLoss": "write `cross_entropy(p, label)`",
    "transpose": "a projection is `transpose of W`; metrics have `transpose(W.w)`",
    "norm": "write `sqrt(sum(x^2))`",
}
_WORDS = {
    "True": "write `true`",
    "False": "write `false`",
    "TRUE": "write `true`",
    "FALSE": "write `false`",
    "None": "leave it out: every value is a number",
    "nan": "leave it out: a comparison with a bound says what is missing",
    "inf": "write a large number, as `1e30`",
}
_NAMES = {
    "PI": "write `pi`",
    "xi": "noise is drawn at each step, `noise ~ normal(0, 1)`, and read as `noise`",
    "i": "leave indices out: names are those of one neuron or synapse",
    "j": "leave indices out: names are those of one neuron or synapse",
    "lastspike": "a cell has traces of its spikes, `trace z of s { tau = 20 ms }`",
    "not_refractory": "leave it out: `refractory 2 ms` blocks spikes",
    "self": "leave it out: names of a cell are those of one neuron",
    "x_pre": "the source is `pre.x`, the target `post.x`",
    "v_pre": "the source is `pre.v`, the target `post.v`",
    "v_post": "the source is `pre.v`, the target `post.v`",
    "lr": "declare it: `param lr = 0.01`",
}
_MEANT = {
    "normal(mean, std)": "gaussian gauss randn Gaussian norm normal_ truncated_normal",
    "uniform(low, high)": "rand random unif uniform_ Uniform",
    "bernoulli(p)": "binomial binary coin flip",
    "integer(low, high)": "randint int discrete choice",
    "poisson(mean)": "Poisson",
    "exponential(mean)": "Exponential exponential_ expon expovariate",
    "lognormal(mean, std)": "LogNormal log_normal log_normal_ lognorm lognormvariate",
    "gamma(shape, scale)": "Gamma gammavariate standard_gamma",
    "xavier_uniform": "xavier xavier_uniform_ glorot glorot_uniform",
    "kaiming_uniform": "kaiming kaiming_uniform_ he he_uniform",
}
_DISTRIBUTIONS = {word: meant for meant, words in _MEANT.items() for word in words.split()}
_DRAWS = frozenset(
    {"uniform", "normal", "bernoulli", "integer", "poisson", "xavier_uniform", "kaiming_uniform"}
)
_PLAIN_TYPES = "float float32 float64 double Float number scalar".split()  # noqa: SIM905
_FEW = 6  # candidates that are all named


def hint(what: str, name: str, known: Collection[str]) -> Hint | None:
    """What to say of a name that nobody declares; None where nothing special comes to mind."""
    if what == "name":
        return _value(name)
    if what == "function":
        return _function(name, known)
    if what == "distribution":
        return _distribution(name, known)
    if what == "type":
        return _type(name)
    if what == "variable":
        parts = [candidate for candidate in known if candidate.startswith(f"{name}.")]
        if parts:
            listed = " or ".join(f"`{part}`" for part in parts[:_FEW])
            return Hint(
                "E0133",
                f"`{name}` is a population, not a variable",
                f"name one of its variables: {listed}",
            )
    if what in ("axis", "phase", "integrator", "scope", "split", "data", "reduction", "evaluation"):
        return None if not known else Hint("E0101", None, _listed(known), sure=False)
    return None


def comment_at(span: Span, texts: Mapping[str, str]) -> Span | None:
    """Where ` // word` ends the line of an unknown word: most likely a comment."""
    lines = texts.get(span.source, "").split("\n")
    line = lines[span.line - 1] if 0 < span.line <= len(lines) else ""
    before = line[: span.column - 1].rstrip()
    if not before.endswith(" //") or line[span.end_column - 1 :].strip():
        return None
    return replace(span, column=len(before) - 1)


def _listed(known: Collection[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in list(dict.fromkeys(known))[:_FEW])
    return f"known here: {listed}"


def _value(name: str) -> Hint | None:
    first, _, rest = name.partition(".")
    if first in _PACKAGES and rest:
        return _foreign(name, rest)
    if name in _WORDS:
        return Hint("E0131", f"`{name}` means nothing here", _WORDS[name])
    if name in _NAMES:
        return Hint("E0101", None, _NAMES[name], sure=False)
    unit = name if parse_unit(name) is not None else unit_for(name)
    if unit is not None and len(unit) > 1:
        return Hint(
            "E0130",
            f"`{name}` is a unit, not a value",
            f"write the unit right after its number, as in `20 {unit}`",
        )
    return None


def _function(name: str, known: Collection[str]) -> Hint | None:
    first, _, rest = name.partition(".")
    if first in _PACKAGES and rest:
        last = rest.split(".")[-1]
        if last in known:
            return Hint("E0131", f"`{name}` is a function of Python", f"write `{last}`")
        return _foreign(name, last)
    if name in _DRAWS:
        return Hint(
            "E0132", f"`{name}` draws, and draws do not stand after `=`", f"write `~ {name}(…)`"
        )
    if name in _FUNCTIONS:
        return Hint("E0131", f"there is no function `{name}`", _FUNCTIONS[name])
    return None


def _distribution(name: str, known: Collection[str]) -> Hint | None:
    last = name.rpartition(".")[2]
    meant = _DISTRIBUTIONS.get(last) or (f"{last}(…)" if "." in name and last in known else None)
    return None if meant is None else Hint("E0101", None, f"write `{meant}`")


def _foreign(name: str, last: str) -> Hint:
    help = (
        _FUNCTIONS.get(last)
        or _WORDS.get(last)
        or "functions such as `exp` and `sqrt` stand without a package"
    )
    if last == "pi":
        help = "write `pi`"
    return Hint("E0131", f"`{name}` belongs to a package of Python", help)


def _type(name: str) -> Hint | None:
    if name in _PLAIN_TYPES:
        return Hint(
            "E0101",
            None,
            "leave it out: values are real numbers unless they say `: count` or `: bool`",
        )
    if name in ("int", "integer", "Int", "long", "int32", "int64"):
        return Hint("E0101", None, "write `count`")
    if name in ("boolean", "Bool", "logical"):
        return Hint("E0101", None, "write `bool`")
    unit = unit_for(name)
    if unit is not None:
        return Hint("E0130", f"there is no unit `{name}`", f"write `{unit}`")
    return None
