"""`netdsl eval`."""

from __future__ import annotations

from pathlib import Path

import click

from netdsl.cli.options import backend_option, data_option


@click.command("eval", help="Load the weights of a run and test them.")
@click.argument("run", type=click.Path())
@click.option("--split", default="test", show_default=True, help="Such as test or digits.dev.")
@click.option("--protocol", default="test", show_default=True)
@click.option("--best", is_flag=True, help="Use the best weights in place of the last.")
@click.option("--weights", type=click.Path(), help="Use the weights in this file.")
@backend_option
@data_option
def command(
    run: str, split: str, protocol: str, best: bool, weights: str | None, backend: str,
    data: tuple[str, ...],
) -> int:  # fmt: skip
    """Exit code 0 when done, 1 on an error."""
    from netdsl.runtime.progress import format_metrics

    model = open_run(run, backend, data)
    folder = Path(run)
    model.load_state(weights or folder / ("best.npz" if best else "weights.npz"))
    result = model.evaluate(protocol, split, label=split)
    click.echo(f"{split}: {format_metrics(result.metrics)}  ({result.samples} samples)")
    return 0


def open_run(run: str, backend: str = "auto", data: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    """The model of a run directory, with the parameters, data and number type of the run."""
    import netdsl
    from netdsl.cli.output import pairs_of
    from netdsl.runtime.rundir import RunDir

    held = RunDir.open(Path(run))
    params = held.params()
    return netdsl.compile(
        held.path / "spec.net",
        params["backend"] if backend == "auto" else backend,
        set=params["set"],
        data={**params["data"], **pairs_of(data, "--data")},
        dtype=params["dtype"],
        seed=int(params["seed"]),
    )
