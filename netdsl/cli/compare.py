"""`netdsl compare`."""

from __future__ import annotations

import click

from netdsl.cli.options import data_option, dtype_option, seed_option, set_option, spec_argument


@click.command("compare", help="Run a spec on several backends step by step; report the first "
               "variable and step that differ beyond tolerance.")  # fmt: skip
@spec_argument
@click.option("--backends", default="numpy,native", show_default=True)
@click.option(
    "--batches",
    type=int,
    default=2,
    show_default=True,
    help="Training batches to run, or phases without data.",
)
@click.option("--tolerance", type=float, help="Default: 1e-10 in float64, 1e-4 in float32.")
@dtype_option
@seed_option
@data_option
@set_option
def command(
    spec: str, backends: str, batches: int, tolerance: float | None, dtype: str, seed: int,
    data: tuple[str, ...], sets: tuple[str, ...],
) -> int:  # fmt: skip
    """Exit code 0 when they agree, 1 when not."""
    import netdsl
    from netdsl.cli.output import pairs_of
    from netdsl.tools.compare import compare_models

    names = [name.strip() for name in backends.split(",") if name.strip()]
    if len(names) < 2:
        raise click.UsageError("--backends takes two names or more: numpy,native")
    limit = tolerance or (1e-10 if dtype == "float64" else 1e-4)
    models = [
        netdsl.compile(
            spec, name, set=pairs_of(sets, "--set"), data=pairs_of(data, "--data"),
            dtype=dtype, seed=seed,
        )
        for name in names
    ]  # fmt: skip
    agree = True
    for other in models[1:]:
        result = compare_models(models[0], other, batches, limit)
        click.echo(result.render())
        agree = agree and result.ok
    return 0 if agree else 1
