"""The standard library: modules written in the language, parsed when they are first needed."""

from __future__ import annotations

from functools import cache
from importlib import resources

from netdsl.syntax import ast
from netdsl.syntax.parser import parse_or_raise

MODULES = ("neuron", "optimiser", "initialiser", "trace", "surrogate", "rule", "task")
IMPLICIT = {"optimiser": "optimiser", "initialiser": "initialiser", "trace": "trace"}


@cache
def module(name: str) -> dict[tuple[str, str], ast.Item] | None:
    """Declarations of `std.NAME` by (kind, name); None when there is no such module."""
    if name not in MODULES:
        return None
    file = resources.files("netdsl.library") / f"{name}.net"
    spec = parse_or_raise(file.read_text(encoding="utf-8"), f"std.{name}")
    return {(kind_of(item), item.name): item for item in spec.items if isinstance(item, ast.Named)}


_KINDS: dict[type, str] = {
    ast.Param: "param",
    ast.Let: "let",
    ast.Function: "function",
    ast.Control: "control",
    ast.GlobalState: "global",
    ast.NeuronDecl: "neuron",
    ast.SynapseDecl: "synapse",
    ast.PopulationDecl: "population",
    ast.CellType: "celltype",
    ast.ProjectionDecl: "projection",
    ast.RuleDecl: "rule",
    ast.ModulatorDecl: "modulator",
    ast.OptimiserDecl: "optimiser",
    ast.InitialiserDecl: "initialiser",
    ast.TraceDecl: "trace",
    ast.DataDecl: "data",
    ast.Pairs: "pairs",
    ast.Readout: "readout",
    ast.Metric: "metric",
    ast.Loss: "loss",
    ast.ProtocolDecl: "protocol",
    ast.TaskDecl: "task",
    ast.MemoryDecl: "memory",
    ast.ArrayDecl: "array",
    ast.TableDecl: "table",
    ast.RewireDecl: "rewire",
    ast.Fit: "fit",
}


def kind_of(item: ast.Node) -> str:
    """The word that declares an item."""
    return _KINDS[type(item)]
