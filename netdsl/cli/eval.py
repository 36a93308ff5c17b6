"""`netdsl eval`."""

from __future__ import annotations

from pathlib import Path

import click

from netdsl.cli.opening import open_run
from netdsl.cli.options import backend_option, data_option


@click.command("eval", help="Load the weights of a run and test them.")
@click.argument("run", type=click.Path())
@click.option("--split", default="test", show_default=True, help="Such as test or digits.dev.")
@click.option("--protocol", help="[default: test, or the only one]")
@click.option("--best", is_flag=True, help="Use the best weights in place of the last.")
@click.option("--weights", type=click.Path(), help="Use the weights in this file.")
@backend_option
@data_option
def command(
    run: str, split: str, protocol: str | None, best: bool, weights: str | None, backend: str,
    data: tuple[str, ...],
) -> int:  # fmt: skip
    """Exit code 0 when done, 1 on an error."""
    from netdsl.cli.output import pairs_of
    from netdsl.ir.protocol import simulates
    from netdsl.runtime.choosing import label_of, tested_protocol
    from netdsl.runtime.progress import format_metrics
    from netdsl.runtime.record import require_data
    from netdsl.runtime.rundir import RunDir

    given = pairs_of(data, "--data")
    model = open_run(Path(run), backend, given)
    held = RunDir.open(Path(run))
    model.load_state(weights or held.path / ("best.npz" if best else "weights.npz"))
    if weights is None:
        model.session.set_host("epoch", float(held.epoch(best)))
    tested = tested_protocol(model, protocol)
    label = label_of(model, tested.name, split)
    result = model.evaluate(tested.name, split, label=label)
    require_data(held, model, given)
    metrics = format_metrics(result.metrics)
    if simulates(tested, model.network.protocols):
        click.echo(f"{label}: {metrics}")
    else:
        click.echo(f"{split}: {metrics}  ({result.samples} samples)")
    return 0
