"""From the tree of a file to the network graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from netdsl.diagnostics import Diagnostic, DiagnosticBag, Span
from netdsl.ir.network import Network, Population, Variable
from netdsl.sema import lints
from netdsl.sema.cells.cells import elaborate_population
from netdsl.sema.experiment import experiment
from netdsl.sema.experiment.data import elaborate_data
from netdsl.sema.experiment.ensemble import elaborate_ensemble
from netdsl.sema.experiment.memories import elaborate_memory
from netdsl.sema.experiment.protocols import elaborate_protocol
from netdsl.sema.experiment.rewiring import elaborate_rewiring
from netdsl.sema.experiment.tasks import elaborate_task
from netdsl.sema.rules.modulators import declare_vectors, elaborate_modulator
from netdsl.sema.rules.rules import elaborate_rule
from netdsl.sema.scopes.collect import Collector, Loaded, Loader, declare_globals
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.declarations import Declarations
from netdsl.sema.scopes.overrides import Overrides, Raw
from netdsl.sema.scopes.specification import SpecificationScope
from netdsl.sema.scopes.units import display
from netdsl.sema.synapses.projections import ProjectionBuilder
from netdsl.sema.synapses.tables import finish_tables
from netdsl.sema.unsupported import report_unsupported
from netdsl.syntax import ast


@dataclass(frozen=True)
class Analysis:
    """The network, unless errors stand in the way, and all findings.

    `sources`: texts of the other files that the specification uses, by name.
    """

    network: Network | None
    diagnostics: tuple[Diagnostic, ...]
    sources: Mapping[str, str] = field(default_factory=dict)


def analyse(
    spec: ast.Spec,
    text: str = "",
    source: str = "<text>",
    overrides: Mapping[str, Raw] | None = None,
    loader: Loader | None = None,
) -> Analysis:
    """Resolve names, units, shapes and roles of a parsed file; never raises for a mistake in it.

    `overrides`: values by path, as in `{"n1": 100, "tau_m": "20 ms", "h1.alpha": "0.1"}`.
    `loader` reads other files of the specification; the default reads `.net` files in the folder
    of `source` and below.
    """
    given = dict(overrides or {})
    reader = loader or file_loader
    first = _Run(spec, text, source, given, reader, flip=False)
    network = first.network()
    other: list[Diagnostic] = []
    if first.context.whens:
        second = _Run(spec, text, source, given, reader, flip=True)
        other = _other_branches(first, second)
        first.context.used |= second.context.used
    if network is not None:
        lints.report(first.context, network, spec)
    found = [*first.context.bag, *other]
    if any(d.severity == "error" for d in found):
        network = None
        found = [d for d in found if d.severity == "error"]
    found.sort(key=lambda d: (d.primary, d.code))
    return Analysis(network, tuple(found), first.sources)


def _other_branches(first: _Run, second: _Run) -> list[Diagnostic]:
    """Unknown names and wrong arguments in the branches that the first look left out."""
    second.network()
    seen = {(d.code, d.primary) for d in first.context.bag}
    return [
        d
        for d in second.context.bag
        if d.code in ("E0101", "E0110")
        and (d.code, d.primary) not in seen
        and any(_within(d.primary, branch) for branch in first.context.whens)
    ]


def _within(span: Span, outer: Span) -> bool:
    start, end = (span.line, span.column), (span.end_line, span.end_column)
    return (
        span.source == outer.source
        and (outer.line, outer.column) <= start
        and end <= (outer.end_line, outer.end_column)
    )


class _Run:
    """One look at a specification."""

    def __init__(
        self,
        spec: ast.Spec,
        text: str,
        source: str,
        overrides: Mapping[str, Raw],
        loader: Loader,
        *,
        flip: bool,
    ) -> None:
        self.text, self.source = text, source
        self.context = Context(DiagnosticBag(), Declarations(), Overrides(overrides), flip)
        self.context.texts[source] = text
        self.context.scope = SpecificationScope(self.context)
        self.span = Span(source, 1, 1, 1, 1)
        collector = Collector(self.context, loader)
        collector.collect(spec, source)
        self.sources = collector.sources

    def network(self) -> Network | None:
        """Elaborate everything in the order in which things depend on each other."""
        context, declarations = self.context, self.context.declarations
        for protocol in declarations.table("protocol").values():
            for node in ast.walk(protocol):
                if isinstance(node, ast.Phase):
                    context.phases.setdefault(node.name, node.name_span)
        declare_globals(context)
        context.scope.evaluate_all()
        if declarations.dt is not None:
            context.scope.dt(declarations.dt.span)
        report_unsupported(context)
        for task in declarations.table("task").values():
            elaborate_task(task, context)
        for data in declarations.table("data").values():
            elaborate_data(data, context)
        self._graph()
        self._experiment()
        self._foreign()
        context.overrides.report_unknown(context.bag, self.span)
        if context.bag.has_errors:
            return None
        return self._build()

    def _graph(self) -> None:
        context, declarations = self.context, self.context.declarations
        _implicit_one(context)
        for node in declarations.table("population").values():
            elaborate_population(node, context)
        for memory in declarations.table("memory").values():
            elaborate_memory(memory, context)
        declare_vectors(context)
        builders = [
            ProjectionBuilder(n, context) for n in declarations.table("projection").values()
        ]
        good = []
        for builder in builders:
            if builder.elaborate():
                good.append(builder)
            else:
                context.bag.poison("projection", builder.node.name)
        ends = {b.node.name: b.ends for b in good if b.ends is not None}
        self.tables = finish_tables(context, ends)
        for node in declarations.table("modulator").values():
            elaborate_modulator(node, context)
        for builder in good:
            elaborate_rule(builder)

    def _experiment(self) -> None:
        context, declarations = self.context, self.context.declarations
        for node in declarations.table("pairs").values():
            experiment.elaborate_pairs(node, context)
        for node in declarations.table("loss").values():
            experiment.elaborate_loss(node, context)
        for node in declarations.table("rewire").values():
            elaborate_rewiring(node, context)
        for node in declarations.table("readout").values():
            experiment.elaborate_readout(node, context)
        for node in declarations.table("metric").values():
            experiment.elaborate_metric(node, context)
        self.protocols = {
            name: elaborate_protocol(node, context)
            for name, node in declarations.table("protocol").items()
        }
        self.ensemble = elaborate_ensemble(context)
        records = [experiment.recorder(node, context) for node in declarations.records]
        self.recorders = tuple(record for record in records if record is not None)
        claims = [experiment.claim(node, context) for node in declarations.claims]
        self.claims = tuple(claim for claim in claims if claim is not None)
        waivers = [w for node in declarations.allows for w in experiment.waivers(node, context)]
        for kind in ("rule", "modulator", "projection"):
            for name, node in declarations.table(kind).items():
                waivers += experiment.own_waivers(kind, name, node.body)
        self.waivers = tuple(waivers)

    def _foreign(self) -> None:
        """Reads of other populations must at least name something."""
        context = self.context
        for path, span in context.foreign:
            name, _, rest = path.partition(".")
            scope = context.cells.get(name)
            if scope is not None and rest not in scope.paths and rest not in scope.params:
                known = [f"{name}.{found}" for found in scope.paths]
                context.unknown("variable", path, span, known)

    def _build(self) -> Network:
        context = self.context
        populations = {name: self._with_units(p) for name, p in context.populations.items()}
        modulators = [m for instances in context.modulators.values() for m in instances.values()]
        return Network(
            Path(self.source).stem or self.source,
            self.source,
            self.text,
            context.dt,
            context.params,
            {path: self._unit(v) for path, v in context.variables.items()},
            populations,
            context.projections,
            tuple(modulators),
            context.losses,
            context.data,
            context.pairs,
            self.protocols,
            context.readouts,
            context.metrics,
            self.recorders,
            self.claims,
            self.waivers,
            self.tables,
            {name: node.path for name, node in context.declarations.table("array").items()},
            self.ensemble,
            context.memories,
        )

    def _with_units(self, population: Population) -> Population:
        variables = {path: self._unit(v) for path, v in population.variables.items()}
        return replace(population, variables=variables)

    def _unit(self, variable: Variable) -> Variable:
        unit = display(self.context.dims.get(variable.path))
        return replace(variable, unit=unit) if unit else variable


def _implicit_one(context: Context) -> None:
    """`std.one` as an end of a projection is a population of one unit that always sends 1."""
    ends = [
        end.name
        for node in context.declarations.table("projection").values()
        for end in (node.pre, node.post)
    ]
    if "std.one" in ends:
        one = ast.PopulationDecl("std.one", ast.Ref("std.one"), (ast.Dim(ast.Number(1)),))
        elaborate_population(one, context)


def file_loader(path: str, beside: str) -> Loaded | None:
    """A `.net` file in the folder of the file that names it, or below; None without one."""
    from netdsl.diagnostics import DiagnosticError
    from netdsl.syntax.parser import parse_or_raise, read_source

    place = Path(path)
    if place.is_absolute() or ".." in place.parts or place.suffix != ".net":
        return None
    file = Path(beside).parent / place
    # A link may lead to what is none of the author's, and a pipe or a device is no file.
    if file.resolve().suffix != ".net" or not file.is_file():
        return None
    try:
        text = read_source(file)
    except DiagnosticError:
        return None
    return Loaded(str(file), text, parse_or_raise(text, str(file)))
