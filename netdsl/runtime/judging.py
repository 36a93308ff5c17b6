"""One evaluation, asked for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.ir.protocol import simulates
from netdsl.runtime import simulation
from netdsl.runtime.choosing import default_splits, protocol_of
from netdsl.runtime.engine import Options
from netdsl.runtime.evaluation import Evaluation, Evaluator
from netdsl.runtime.faults import require_finite
from netdsl.runtime.recordings import recording_bytes, require

if TYPE_CHECKING:
    from netdsl.runtime.model import Model


def evaluate_model(
    model: Model, protocol: str, split: str | None, label: str | None, limit: int | None
) -> Evaluation:
    """See `Model.evaluate`."""
    from netdsl.runtime.fields import check_fields

    held = protocol_of(model, protocol)
    if label is None:
        label = held.name if simulates(held, model.network.protocols) else "test"
    simulation.require_no_data(model.network, model.program, held)
    simulation.refuse_learning(model.network, held)
    splits = default_splits(model, held, split or "test")
    check_fields(model, splits)
    opened = [model.datasets.open(split) for split in splits]
    pairs = [2 * found.data.eval_batch for found in opened if found.pairs is not None]
    model.reserve(max([model.full_rows, *pairs]))
    session = model.session
    require(list(recording_bytes(model, held, splits, label, limit).items()))
    require_finite(session)
    evaluator = Evaluator(session, model.datasets, Options(eval_limit=limit), watch=True)
    return evaluator.run(held, splits, label)
