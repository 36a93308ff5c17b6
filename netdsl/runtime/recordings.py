"""How much memory recordings will take, before a run starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from netdsl.ir.places import shape_of
from netdsl.ir.program import Key
from netdsl.ir.protocol import Each, Evaluate, Protocol, RunPhase, SplitRef, reached, records
from netdsl.runtime.choosing import epochs_of
from netdsl.runtime.engine import Options
from netdsl.runtime.errors import RunFault
from netdsl.runtime.memory import available_bytes, readable
from netdsl.runtime.recorder import recorders_of
from netdsl.runtime.refusals import not_kept

if TYPE_CHECKING:
    from netdsl.runtime.model import Model

_SHARE = 0.9  # of what is available


def require_recordings(model: Model, options: Options, protocol: Protocol) -> None:
    """Reckon the recordings of a protocol, of its evaluations and of the final test."""
    own = recording_bytes(model, protocol, (), "", options.limit)
    found = [
        total
        for held, splits, label, limit in _evaluations(model, protocol, options)
        for total in recording_bytes(model, held, splits, label, limit).items()
    ]
    require([*own.items(), *found])


def require(found: Sequence[tuple[str, int]], available: int | None = None) -> int:
    """Bytes needed for recordings, given those of every recorded variable.

    Raises RunFault E0865 when they are not there.
    """
    if not found:
        return 0
    name, most = max(found, key=lambda item: item[1])
    needed = sum(size for _, size in found) + most  # the parts of one are joined at its end
    limit = available_bytes() if available is None else available
    if limit is None or needed <= limit * _SHARE:
        return needed
    raise RunFault(
        "E0865",
        f"the recordings need {readable(needed)}, and the machine has {readable(limit)} left;"
        f" the largest: `{name}` {readable(most)}",
        f"record fewer steps or samples: `record {name} every 10 steps limit 100 samples`",
    )


def recording_bytes(
    model: Model, protocol: Protocol, splits: tuple[SplitRef, ...], label: str, limit: int | None
) -> dict[str, int]:
    """Bytes of an evaluation's recordings by variable, or with the label "" of those of a run;
    `limit` is that of its samples."""
    session = model.session
    inside = list(reached(protocol, model.network.protocols))
    loops = [step.of for step in inside if isinstance(step, Each) and step.of]
    refs = splits or [ref for ref in loops if ref.parameter is None]
    rows = max((model.datasets.open(ref).rows for ref in refs), default=1)
    rows = rows if limit is None else min(rows, limit)
    rounds = 1
    if not label:
        given = (step.limit for step in inside if isinstance(step, Each) and step.of is None)
        rounds = max((int(session.evaluate(n)) for n in given if n is not None), default=1)
        rounds = max(rounds, epochs_of(protocol, session.evaluate))
    itemsize = 8 if model.dtype == "float64" else 4
    found = {}
    for recorder in recorders_of(model.network, protocol, label):
        name = model.program.find(recorder.variable)
        if name is None:
            if recorder.variable not in session.host:
                raise not_kept(session, Key(recorder.variable))
            continue
        phases = (step for step in inside if isinstance(step, RunPhase))
        steps = sum(int(session.evaluate(step.steps)) for step in phases if records(recorder, step))
        taken = rows * rounds
        taken = taken if recorder.limit is None else min(taken, recorder.limit)
        width = math.prod(shape_of(name, model.program, 1)) * max(1, session.members)
        if recorder.units:
            width = width // max(1, shape_of(name, model.program, 1)[-1]) * len(recorder.units)
        found[recorder.variable] = -(-steps // max(1, recorder.every)) * taken * width * itemsize
    return found


def _evaluations(
    model: Model, protocol: Protocol, options: Options
) -> Iterator[tuple[Protocol, tuple[SplitRef, ...], str, int | None]]:
    """Protocol, data, label and number of samples of every evaluation of a run, each label once."""
    from netdsl.runtime.choosing import default_splits, final_test

    held = model.network.protocols
    labels = set()
    for step in reached(protocol, held):
        if isinstance(step, Evaluate) and step.label not in labels:
            labels.add(step.label)
            refs = tuple(ref for ref in step.args if ref.parameter is None)
            limits = [options.eval_limit]
            if step.limit is not None:
                limits.append(int(model.session.evaluate(step.limit)))
            yield held[step.protocol], refs, step.label, min((n for n in limits if n), default=None)
    test = final_test(model.network, protocol)
    if test is not None:
        yield test, default_splits(model, test, "test"), "test", options.eval_limit
