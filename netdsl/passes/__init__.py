"""Passes from the network graph to the step program; `lower` runs them in order."""

from __future__ import annotations

from netdsl.passes.context import LoweringError
from netdsl.passes.lower import lower

__all__ = ["LoweringError", "lower"]
