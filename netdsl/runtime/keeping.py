"""`checkpoint NAME by METRIC on LABEL`: the parameters of the best evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netdsl.ir.protocol import Checkpoint
from netdsl.runtime.members import better, merged

if TYPE_CHECKING:
    from netdsl.runtime.engine import Interpreter


def keep(interpreter: Interpreter, step: Checkpoint) -> None:
    """Keep the parameters if the metric named is the best so far (larger is better): those of the
    members of an ensemble for which it is."""
    place, session = interpreter.place, interpreter.session
    results = place.results.get(step.on)
    if results is None or step.metric not in results:
        return
    value, best = results[step.metric], place.best.get(step.name)
    larger = better(value, best)
    if not np.any(larger):
        return
    place.best[step.name] = value if best is None else np.where(larger, value, best)[()]
    place.kept_at = interpreter.round
    kept = interpreter.kept
    kept[step.name] = merged(kept.get(step.name), session.parameters(), larger)
    interpreter.hooks.kept(step.name, interpreter)
