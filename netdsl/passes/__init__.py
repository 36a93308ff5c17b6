"""Passes from the network graph to the step program; `pipeline.lower` runs them in order."""

from __future__ import annotations

from netdsl.passes.errors import LoweringError
from netdsl.passes.pipeline import lower

__all__ = ["LoweringError", "lower"]
