"""`netdsl sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netdsl.cli.options import set_options

if TYPE_CHECKING:
    from netdsl.tools.sweep import Outcome, Run, Settings


@click.command("sweep", help="Run a spec for values of its parameters: one table, one figure. The "
               "same command goes on where it stopped, and tries again what failed.")  # fmt: skip
@click.argument("spec", type=click.Path())
@click.option("--over", multiple=True, required=True, metavar="PATH=VALUES",
              help="`tau=10,20 ms`, `n=100:400:100`, `rule=a,b`; may be repeated.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True,
              help="Seeds for each combination, from --seed on.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True,
              help="Processes at a time.")  # fmt: skip
@click.option("--metric", default="", help="What is drawn.  [default: accuracy, or the first]")
@click.option("--split", default="", help="On which evaluation.  [default: test, or the last]")
@click.option("--epochs", "--iterations", "epochs", type=int,
              help="In place of the protocol's own.")  # fmt: skip
@click.option("--limit", type=int, help="Use so many training samples in an epoch.")
@click.option("--protocol", help="The protocol to run.  [default: train, or the only one]")
@click.option("--out", type=click.Path(), help="Folder of the sweep.  [default: sweeps/SPEC]")
@click.option("--format", "formats", multiple=True, default=("png",), show_default=True,
              help="png, svg or pdf; may be repeated.")  # fmt: skip
@set_options
def command(
    spec: str, over: tuple[str, ...], seeds: int, seed: int, workers: int, metric: str, split: str,
    out: str | None, formats: tuple[str, ...], sets: tuple[str, ...], data: tuple[str, ...],
    fast_math: bool, form: str, keep: str, **how: Any,
) -> int:  # fmt: skip
    """Exit code 0 when all runs ended well, 1 when some did not."""
    from netdsl.cli.output import pairs_of
    from netdsl.tools.plots.style import check_formats, save_figure
    from netdsl.tools.plots.sweep import sweep_figure
    from netdsl.tools.sweep import Settings, Sweep, SweepError, over_of

    check_formats(formats)
    fixed = pairs_of(sets, "--set")
    options = {"form": form, "keep": keep} | ({"fast_math": True} if fast_math else {})
    settings = Settings(spec, sets=fixed, data=pairs_of(data, "--data"), options=options, **how)
    folder = Path(out) if out is not None else Path("sweeps") / Path(spec).stem
    try:
        swept = [over_of(text) for text in over]
        twice = {each.path for each in swept} & set(fixed)
        if twice:
            raise SweepError(f"`{min(twice)}` is swept and set", "leave one of the two out")
        sweep = Sweep(folder, swept, range(seed, seed + seeds), settings)
    except SweepError as fault:
        raise click.UsageError(str(fault)) from fault
    _require_paths(spec, fixed, sweep)
    known = len(sweep.runs) - len(sweep.left)
    if known:
        click.echo(f"{known} of {len(sweep.runs)} runs are done in {folder}")
    for number, outcome in enumerate(sweep.go(do_run, workers), known + 1):
        shown = outcome.fault or _metrics(outcome.metrics)
        click.echo(
            f"{number}/{len(sweep.runs)}  {outcome.run.name}  {outcome.seconds:.1f} s  {shown}"
        )
    click.echo(str(sweep.write_table()))
    failed = [o for o in (sweep.outcomes[run] for run in sweep.runs) if o.fault]
    if len(failed) < len(sweep.runs):
        split, metric = sweep.choose(split, metric)
        found = sweep.groups(split, metric)
        click.echo(_table([each.path for each in swept], found, f"{metric} on {split}"))
        figure = sweep_figure(swept, found, f"{metric} on {split}")
        for file in save_figure(figure, folder, f"sweep-{metric}-{split}", formats):
            click.echo(str(file))
    for outcome in failed:
        click.echo(f"failed: {outcome.run.name}: {outcome.fault}", err=True)
    return 1 if failed else 0


def do_run(run: Run, settings: Settings, folder: str) -> Outcome:
    """Compile, train and test; every fault that a user can mend is the outcome's."""
    import time

    from netdsl.api import compile as compile_spec
    from netdsl.codegen.errors import BackendError
    from netdsl.diagnostics import DiagnosticError
    from netdsl.runtime.errors import RunFault
    from netdsl.tools.sweep import Outcome

    begun = time.perf_counter()
    try:
        model = compile_spec(
            settings.spec if "\n" in settings.spec else Path(settings.spec),
            settings.backend,
            set={**settings.sets, **dict(run.values)},
            seed=run.seed,
            dtype=settings.dtype,
            data=settings.data,
            **settings.options,
        )
        result = model.run(
            settings.protocol, epochs=settings.epochs, limit=settings.limit, out=folder
        )
    except (DiagnosticError, RunFault, BackendError, MemoryError) as fault:
        return Outcome(run, seconds=time.perf_counter() - begun, fault=_said(fault))
    if result.interrupted:
        raise KeyboardInterrupt
    metrics = {label: _numbers(found) for label, found in result.metrics.items()}
    return Outcome(run, metrics, time.perf_counter() - begun, str(result.directory))


def _numbers(metrics: Any) -> dict[str, float]:
    """Metrics as numbers: of an ensemble the mean by the metric's own name, beside the others."""
    from netdsl.runtime.members import columns

    return {n: float(v) for n, v in columns(metrics).items() if not isinstance(v, list)}


def _said(fault: BaseException) -> str:
    """One line of a fault."""
    from netdsl.diagnostics import DiagnosticError

    if isinstance(fault, DiagnosticError):
        first = fault.diagnostics[0]
        return f"error[{first.code}]: {first.message}"
    return (str(fault) or "memory ran out").splitlines()[0]


def _require_paths(spec: str, fixed: dict[str, str], sweep: Any) -> None:
    """What no run could set is an error once, not in each run."""
    from netdsl.diagnostics import DiagnosticError
    from netdsl.frontend import check

    found = check(spec, {**fixed, **dict(sweep.runs[0].values)}, lower=False)
    unknown = [d for d in found.diagnostics if d.code == "E0111"]
    if unknown:
        raise DiagnosticError(*unknown, sources=found.sources)


def _metrics(metrics: Any) -> str:
    from netdsl.runtime.progress import format_metrics

    return "; ".join(f"{label}: {format_metrics(found)}" for label, found in metrics.items())


def _table(paths: list[str], found: Any, title: str) -> str:
    """Mean and standard deviation over seeds, a line for each combination of values."""
    import statistics

    lines = [[*paths, "seeds", title]]
    for values, metric in found.items():
        spread = f" ± {statistics.stdev(metric):.4f}" if len(metric) > 1 else ""
        lines.append([*values, str(len(metric)), f"{statistics.fmean(metric):.4f}{spread}"])
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
