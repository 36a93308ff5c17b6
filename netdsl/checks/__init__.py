"""Checks of a whole network, one file each, named by the code it reports."""

from netdsl.checks.run import CHECKS, run

__all__ = ["CHECKS", "run"]
