"""Semantic analysis: names, units, shapes, places and roles; from the tree to the network graph."""

from netdsl.sema.analyse import Analysis, analyse, file_loader

__all__ = ["Analysis", "analyse", "file_loader"]
