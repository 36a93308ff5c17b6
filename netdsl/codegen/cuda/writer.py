"""Kernels as text: rendered from templates, numbered, named, with the line they come from."""

from __future__ import annotations

import re
from typing import Any

from netdsl.codegen.comments import spec_line
from netdsl.codegen.cuda.layout import CudaLayout
from netdsl.codegen.cuda.plan import Action, Kernel, Launch
from netdsl.codegen.templates import render
from netdsl.diagnostics.span import Span

_DECLARATION = re.compile(r"const (double|real) (\w+) = (.*);")
_CALL = re.compile(r"\b(?!real\b)[a-z]\w*\(")


class KernelWriter:
    """Collects the kernels of one source."""

    def __init__(self, layout: CudaLayout) -> None:
        self.layout, self.program = layout, layout.program
        self.kernels: list[Kernel] = []
        self.texts: list[str] = []

    def kernel(self, kind: str, op: Any, grid: dict[str, Any], **code: Any) -> Launch:
        """A kernel for an operation, from `templates/cuda/KIND.cu.j2`."""
        return self._add(kind, op.title, written(op), grid, code)

    def globals(self, label: str, lines: list[str], span: Span | None = None) -> Action:
        """A kernel of one thread."""
        return Action(self._add("globals", label, span, {}, {"lines": lines}))

    def _add(
        self, kind: str, label: str, span: Span | None, grid: dict[str, Any], code: dict[str, Any]
    ) -> Launch:
        line = spec_line(span, self.program.sources)
        name = self.layout.names.fresh(f"{kind} {label}")
        index = len(self.kernels)
        self.kernels.append(Kernel(name, label, span))
        title = f"{label}: {line}" if line else label
        launch = Launch(name, index, **grid)
        context = {"name": name, "index": index, "label": title, "threads": launch.threads, **code}
        self.texts.append(render("cuda", f"{kind}.cu", **context))
        return launch

    def prepared(self, head: list[str], used: str) -> tuple[list[str], list[str]]:
        """Scalars that take a function call are computed once, not by every thread: the lines of a
        kernel that stores those named in `used`, and the head that loads them."""
        if not any(_CALL.search(line) for line in head):
            return [], head
        lines, loads = list(head), []
        found = filter(None, map(_DECLARATION.fullmatch, head))
        for kind, name in (match.group(1, 2) for match in found):
            if re.search(rf"\b{name}\b", used):
                slot = self.layout.scalar_slot()
                lines.append(f"net->scalars[{slot}] = {name};")
                loads.append(f"const {kind} {name} = ({kind})net->scalars[{slot}];")
        return lines, loads


def written(op: Any) -> Span | None:
    """Where an operation stands in the spec: its own span, or its first statement's."""
    own: Span | None = getattr(op, "span", None)
    spans = (statement.span for statement in getattr(op, "statements", ()))
    return own if own is not None else next((span for span in spans if span is not None), None)
