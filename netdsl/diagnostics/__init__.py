"""Spans, diagnostics, the catalogue of codes and how they are shown."""

from netdsl.diagnostics.span import NO_SPAN, Span

__all__ = ["NO_SPAN", "Span"]
