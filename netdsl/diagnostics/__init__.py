"""Spans, diagnostics, the catalogue of codes and how they are shown."""

from netdsl.diagnostics.catalogue import Entry, catalogue, explain
from netdsl.diagnostics.diagnostic import (
    Diagnostic,
    DiagnosticBag,
    DiagnosticError,
    Label,
    Severity,
    did_you_mean,
    suggest,
)
from netdsl.diagnostics.render import render, render_all
from netdsl.diagnostics.span import NO_SPAN, Span

__all__ = [
    "NO_SPAN",
    "Diagnostic",
    "DiagnosticBag",
    "DiagnosticError",
    "Entry",
    "Label",
    "Severity",
    "Span",
    "catalogue",
    "did_you_mean",
    "explain",
    "render",
    "render_all",
    "suggest",
]
