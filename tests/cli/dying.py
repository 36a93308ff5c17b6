"""A run whose process ends in the middle, as one that is killed."""

from __future__ import annotations

import os

from netdsl.tools.sweep import Outcome, Run, Settings


def do_run(run: Run, settings: Settings, folder: str) -> Outcome:
    """Dies where `n` is 2."""
    if dict(run.values)["n"] == "2":
        os._exit(9)
    return Outcome(run, {"test": {"accuracy": 0.5}})
