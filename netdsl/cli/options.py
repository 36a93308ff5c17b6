"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


_SECONDS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Seconds of `90`, `30s`, `10 min` or `1h`; a usage error for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|min|h|)", text.strip())
    if found is None:
        raise click.BadParameter(f"`{text}` is no time such as 30s, 10min or 1h")
    return float(found[1]) * _SECONDS[found[2]]


spec_argument = click.argument("spec", type=click.Path())
set_option = click.option(
    "--set", "sets", multiple=True, metavar="PATH=VALUE",
    help="Set a parameter, such as n1=100 or `tau_m=20 ms`; may be repeated.",
)  # fmt: skip
data_option = click.option(
    "--data", multiple=True, metavar="NAME=PATH", help="Where a data declaration finds its files."
)
backend_option = click.option(
    "--backend", default="auto", show_default=True, help="auto, numpy, native or cupy."
)
dtype_option = click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True
)
form_option = click.option(
    "--form", type=click.Choice(["auto", "online", "reverse"]), default="auto", show_default=True,
    help="How rules with states at synapses run: step by step, or in reverse at `update` where "
         "that gives the same change.",
)  # fmt: skip
keep_option = click.option(
    "--keep", type=click.Choice(["auto", "store", "recompute"]), default="auto", show_default=True,
    help="How `bptt` gets at the steps of a phase: stored, or run again in chunks, which takes "
         "less memory and more time.",
)  # fmt: skip
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Of all draws.")


def given_options(*names: str) -> dict[str, Any]:
    """Those of the options that stand on the command line, with their values."""
    context = click.get_current_context()
    source = click.core.ParameterSource.COMMANDLINE
    return {
        name: context.params[name] for name in names if context.get_parameter_source(name) is source
    }


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """SPEC and `set_options`."""
    return spec_argument(set_options(function))


def set_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--set, --data, --backend, --dtype, --seed, --form, --keep and --fast-math."""
    fast = click.option(
        "--fast-math", is_flag=True, help="Let the compiler reorder arithmetic (native backend)."
    )
    options = (
        fast,
        form_option,
        keep_option,
        seed_option,
        dtype_option,
        backend_option,
        data_option,
        set_option,
    )
    for decorate in options:
        function = decorate(function)
    return function


def compile_model(
    spec: str,
    sets: tuple[str, ...] = (),
    data: tuple[str, ...] = (),
    backend: str = "auto",
    dtype: str = "float32",
    seed: int = 0,
    fast_math: bool = False,
    **more: Any,
) -> Any:
    """A Model from a command's options."""
    from netdsl.api import compile as compile_spec
    from netdsl.cli.output import pairs_of

    if fast_math:
        more["fast_math"] = True
    return compile_spec(
        spec, backend, set=pairs_of(sets, "--set"), data=pairs_of(data, "--data"),
        dtype=dtype, seed=seed, **more,
    )  # fmt: skip
