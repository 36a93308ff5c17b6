"""Collect the declarations of a file: imports, `use`, and the taken branches of `when`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from netdsl.diagnostics import Label, Span, did_you_mean
from netdsl.ir.network import Kind, Place, Variable
from netdsl.sema.scopes import duplicates, expressions, library, reserved
from netdsl.sema.scopes.context import Context
from netdsl.syntax import ast

MAX_FILES = 30  # of a chain in which each uses the next


@dataclass(frozen=True)
class Loaded:
    """Another file of the specification."""

    source: str
    text: str
    spec: ast.Spec


Loader = Callable[[str, str], Loaded | None]
"""From (path as written, file that names it) to the file; None when it cannot be read."""


class Collector:
    """Fills `Context.declarations`."""

    def __init__(self, context: Context, loader: Loader | None) -> None:
        self.context = context
        self.loader = loader
        self.sources: dict[str, str] = {}
        self._whens: list[ast.When] = []
        self._inherited: set[tuple[str, str]] = set()
        self._using: list[str] = []
        self._used: list[tuple[str, tuple[ast.Arg, ...]]] = []
        self._loaded: dict[tuple[str, str], Loaded | None] = {}

    def collect(self, spec: ast.Spec, source: str) -> None:
        """All declarations; `when` is decided once the parameters outside it are known."""
        self._using.append(source)
        self._items(spec.items, source)
        self._names(spec)
        for when in self._whens:
            self._names_of(when)
        while self._whens:
            self._when(self._whens.pop(0), source)

    def _names(self, spec: ast.Spec) -> None:
        """What can be said of the names of one file, before any of its branches is taken; the
        second look, at branches left out, need not say it again."""
        if self.context.flip:
            return
        reserved.report(spec, self.context.bag)
        duplicates.report(spec, self.context.bag)

    def _items(self, items: tuple[ast.Item, ...], source: str) -> None:
        for item in items:
            self._item(item, source)

    def _item(self, item: ast.Item, source: str) -> None:
        declarations = self.context.declarations
        if isinstance(item, ast.When):
            self._whens.append(item)
        elif isinstance(item, ast.Import):
            self._import(item, source)
        elif isinstance(item, ast.Use):
            self._use(item, source)
        elif isinstance(item, ast.Edition):
            declarations.edition = item
        elif isinstance(item, ast.Dt):
            self._dt(item)
        elif isinstance(item, ast.Claim):
            declarations.claims.append(item)
        elif isinstance(item, ast.Allow):
            declarations.allows.append(item)
        elif isinstance(item, ast.Record):
            declarations.records.append(item)
        elif isinstance(item, ast.Ensemble):
            declarations.ensembles.append(item)
        else:
            self._declare(library.kind_of(item), item)

    def _declare(self, kind: str, item: ast.Item) -> None:
        assert isinstance(item, ast.Named)
        if (kind, item.name) in self._inherited:
            self._inherited.discard((kind, item.name))
            self.context.declarations.replace(kind, item)
            return
        before = self.context.declarations.declare(kind, item)
        if before is not None:
            self.context.bag.error(
                "E0102",
                f"`{item.name}` is declared twice",
                item.name_span,
                Label(before, "first declared here"),
            )

    def _dt(self, item: ast.Dt) -> None:
        before = self.context.declarations.dt
        if before is not None:
            self.context.bag.error(
                "E0102", "`dt` is declared twice", item.span, Label(before.span, "first here")
            )
            return
        self.context.declarations.dt = item

    # ------------------------------------------------------------ other files

    def _import(self, item: ast.Import, source: str) -> None:
        parts = item.module.parts
        table: dict[tuple[str, str], ast.Item] | None = None
        if parts[0] == "std" and len(parts) == 2:
            table = library.module(parts[1])
        elif parts[0] != "std":
            loaded = self._load("/".join(parts) + ".net", source)
            if loaded is not None:
                self._names(loaded.spec)
                named = [i for i in loaded.spec.items if isinstance(i, ast.Named)]
                table = {(library.kind_of(i), i.name): i for i in named}
        if table is None:
            known = [f"std.{name}" for name in library.MODULES]
            self.context.bag.error(
                "E0112",
                f"there is no module `{item.module}`",
                item.module.span,
                help=did_you_mean(item.module.name, known) or f"modules are {', '.join(known)}",
            )
            self.context.declarations.everywhere.update(name.name for name in item.names)
            return
        for name in item.names:
            found = [(kind, node) for (kind, key), node in table.items() if key == name.name]
            if not found:
                self.context.bag.error(
                    "E0112",
                    f"module `{item.module}` has no `{name}`",
                    name.span,
                    help=did_you_mean(name.name, [key for _, key in table]),
                )
            for kind, node in found:
                self._declare(kind, _named_at(node, name.span))

    def _load(self, path: str, source: str) -> Loaded | None:
        """Another file, read once however often it is named."""
        place = (path, str(Path(source).parent))
        if place not in self._loaded:
            loaded = self.loader(path, source) if self.loader is not None else None
            self._loaded[place] = loaded
            if loaded is not None:
                self.sources[loaded.source] = loaded.text
        return self._loaded[place]

    def _use(self, item: ast.Use, source: str) -> None:
        loaded = self._load(item.path, source)
        if loaded is not None and Path(loaded.source) in map(Path, self._using):
            self.context.bag.error("E0109", f"`{item.path}` uses itself", item.span)
            return
        if len(self._using) > MAX_FILES:
            self.context.bag.error(
                "E0122",
                f"files use each other more than {MAX_FILES} deep here",
                item.span,
                help="let one file use the others side by side",
            )
            return
        if loaded is None:
            self.context.bag.error(
                "E0112",
                f"cannot read `{item.path}`",
                item.span,
                help="a specification may use `.net` files of its own folder and those below it",
            )
            return
        given = {arg.name: arg for arg in item.args if arg.name is not None}
        if (loaded.source, item.args) in self._used:
            return  # all that it declares is there
        self._used.append((loaded.source, item.args))
        self._names(loaded.spec)
        self._using.append(loaded.source)
        for inner in loaded.spec.items:
            self._item(_with(inner, given), loaded.source)
            if isinstance(inner, ast.Named):
                self._inherited.add((library.kind_of(inner), inner.name))
        self._using.pop()
        params = [i.name for i in loaded.spec.items if isinstance(i, ast.Param)]
        for name, arg in given.items():
            if name not in params:
                self.context.bag.error(
                    "E0110",
                    f"`{item.path}` has no parameter `{name}`",
                    arg.span,
                    help=did_you_mean(name, params),
                )

    # ------------------------------------------------------------ when

    def _names_of(self, when: ast.When) -> None:
        for node in (*when.items, *when.otherwise):
            if isinstance(node, ast.When):
                self._names_of(node)
            elif isinstance(node, ast.Named):
                self.context.declarations.everywhere.add(node.name)

    def _when(self, when: ast.When, source: str) -> None:
        condition = expressions.constant(when.condition, self.context.scope, "the condition")
        if condition.bad:
            self.context.undecided = True
            return
        taken = bool(condition.constant) is not self.context.flip
        skipped = when.otherwise if taken else when.items
        if skipped:
            self.context.whens.append(skipped[0].span.to(skipped[-1].span))
        self._items(when.items if taken else when.otherwise, source)


def _named_at(item: ast.Item, span: Span) -> ast.Item:
    """An imported declaration, named where it is imported."""
    item = copy.copy(item)
    object.__setattr__(item, "name_span", span)
    return item


def _with(item: ast.Item, given: dict[str, ast.Arg]) -> ast.Item:
    if isinstance(item, ast.Param) and item.name in given:
        return replace(item, default=given[item.name].value)
    return item


def declare_globals(context: Context) -> None:
    """Variables for every `control` and `global state`."""
    for kind, what in ((Kind.CONTROL, "control"), (Kind.GLOBAL, "global")):
        for name, node in context.declarations.table(what).items():
            value = expressions.constant(node.value, context.scope, "a start value")
            context.variables[name] = Variable(
                name, kind, Place.GLOBAL, init=value.expr, span=node.name_span
            )
            context.dims[name] = value.dim
