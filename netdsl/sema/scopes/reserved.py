"""Names that the language has taken: whoever declares one is told so, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netdsl.diagnostics import DiagnosticBag, Span
from netdsl.ir.functions import FUNCTIONS
from netdsl.sema.cells import draws
from netdsl.sema.scopes import calls, library
from netdsl.syntax import ast

_TIME = "phases and values of the step before are read with `@`"
_AXIS = "`over population` is a reduction over all units"

# What a name stands for everywhere, so that no declaration may have it.
EVERYWHERE: dict[str, str] = {
    "t": "`t` counts the steps since the presentation began",
    "epoch": "`epoch` counts the epochs",
    "iteration": "`iteration` counts the iterations",
    "batch": "`batch.index` and `batch.rows` are counters",
    "phase": "`phase.step` is a counter",
    "dt": "`dt` is the time step, which `dt = 1 ms` at the top gives",
    "sample": "`sample.NAME` is a field of the data",
    "std": "`std` is the standard library",
    "pi": "`pi` is 3.14159…",
    "pre": "`pre` is the presynaptic end of a synapse",
    "post": "`post` is the postsynaptic end of a synapse",
    "self": "`self` is true for a synapse of a unit onto itself",
    "index": "`index` is the number of a unit in its population",
}

FUNCTION_NAMES: dict[str, str] = {
    name: f"`{name}` is a function of the language"
    for name in (*(f.name for f in FUNCTIONS.values() if f.user), *calls.REDUCTIONS, *calls.SPECIAL)
}
INITIALISER_NAMES: dict[str, str] = {
    name: f"`{name}` is a distribution of the language" for name in draws.BUILT_IN
}

# Fields that every sample has.
SAMPLE: dict[str, str] = {
    "positive": "`sample.positive` is 0 in negative samples of pairs",
    "shown_label": "`sample.shown_label` is the label that pairs show",
    "newest": "`sample.newest` is 1 in the newest slot of a memory",
}

# By the kind of declaration that a name heads…
HEADS: dict[str, dict[str, str]] = {
    "function": FUNCTION_NAMES,
    "initialiser": INITIALISER_NAMES,
    "rule": {"bptt": "`learn bptt(…)` is the reference rule"},
    "metric": dict.fromkeys(
        ("split", "batches", "epoch", "iteration"),
        "the rows of a run's metrics have a column of this name",
    ),
}

# No expression can read these declarations, so that a name of theirs confuses only where a metric
# or readout reads what else it stands for.
APART = ("metric", "protocol")

# … and by the kind of declaration that it stands in.
INSIDE: dict[str, dict[str, str]] = {
    "neuron": {
        "type": "`pre.type` is the type of a cell",
        "sent": "`pre.sent` is what a projection delivers",
        "received": "`post.received` is the input that a projection feeds",
    },
    "optimiser": {
        "g": "`g` is the change that the rule asks for",
        "w": "`w` is the weight",
    },
    "trace": {
        "value": "`value` is the trace itself",
        "source": "`source` is what the trace is of",
    },
    "population": {"population": _AXIS},
    "data": SAMPLE,
    "task": SAMPLE,
}
PHASES: dict[str, str] = {"population": _AXIS, "prev": _TIME, "before": _TIME}


def report(spec: ast.Spec, bag: DiagnosticBag) -> None:
    """One error for each declaration of a file, in any branch, that takes such a name."""
    items = list(_declarations(spec.items))
    measured = _measured(items)
    for item in items:
        kind = library.kind_of(item)
        for name, span, words in _names(item, kind):
            apart = kind in APART and span == item.name_span and name not in measured
            taken = words.get(name) or (None if apart else EVERYWHERE.get(name))
            if taken is not None:
                if name == "dt":
                    bag.poison("dt")
                bag.error(
                    "E0119",
                    f"the name `{name}` is taken: {taken}",
                    span,
                    help=f"choose another, such as `{name}_` or `my_{name}`",
                )


def _declarations(items: tuple[ast.Item, ...]) -> Iterator[ast.Named]:
    for item in items:
        if isinstance(item, ast.When):
            yield from _declarations((*item.items, *item.otherwise))
        elif isinstance(item, ast.Named):
            yield item


def _measured(items: list[ast.Named]) -> set[str]:
    """Names that metrics and readouts read."""
    read = [item for item in items if library.kind_of(item) in ("metric", "readout")]
    return {node.id for item in read for node in ast.walk(item) if isinstance(node, ast.Name)}


def _names(item: ast.Named, kind: str) -> Iterator[tuple[str, Span, Mapping[str, str]]]:
    """Every name that a declaration brings in, with what else is taken at its place."""
    yield item.name, item.name_span, HEADS.get(kind, {})
    inside = INSIDE.get(kind, {})
    settings = item.params if isinstance(item, ast.TaskDecl) else ()  # as in `cues(batch = 64)`
    for node in ast.walk(item):
        if node is item or node in settings or isinstance(node, ast.Setting):
            continue
        if isinstance(node, ast.Phase):
            yield node.name, node.name_span, PHASES
        elif isinstance(node, ast.Named):
            yield node.name, node.name_span, inside
        elif isinstance(node, ast.Draw):
            yield node.target.id, node.target.span, inside
        elif isinstance(node, ast.Dim | ast.TypeCount) and node.name is not None:
            yield node.name, node.span, inside
