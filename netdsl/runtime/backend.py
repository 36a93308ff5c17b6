"""Choosing a backend by name and making its executor."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.base import Executor
from netdsl.backends.ensemble import EnsembleExecutor
from netdsl.codegen.errors import BackendError
from netdsl.ir.ensemble import Ensemble, Member
from netdsl.ir.program import Program
from netdsl.runtime.errors import RunFault
from netdsl.runtime.initial import initial_values

# name -> (module, class); modules are imported only when chosen.
BACKENDS = {
    "numpy": ("netdsl.backends.numpy.executor", "NumpyExecutor"),
    "native": ("netdsl.backends.native", "NativeExecutor"),
    "cupy": ("netdsl.backends.cupy", "CupyExecutor"),
}


def executor_class(name: str) -> type[Executor]:
    """The class of a backend. Raises RunFault E0821 when it is unknown or not installed."""
    from netdsl.diagnostics import did_you_mean

    if name not in BACKENDS:
        have = ", ".join(["auto", *BACKENDS])
        hint = did_you_mean(name, BACKENDS) or f"backends are {have}"
        raise RunFault("E0821", f"there is no backend `{name}`", hint)
    module, class_name = BACKENDS[name]
    try:
        found = getattr(importlib.import_module(module), class_name)
    except (ImportError, AttributeError) as fault:
        raise RunFault(
            "E0821", f"backend `{name}` cannot be loaded here: {fault}", "use `--backend numpy`"
        ) from None
    assert isinstance(found, type) and issubclass(found, Executor)
    return found


def choose(name: str) -> tuple[str, str]:
    """What `auto` stands for here, and one line to tell the user ("" when there is nothing)."""
    if name != "auto":
        return name, ""
    reason = _native_missing()
    if reason is None:
        return "native", ""
    return "numpy", f"native backend not used ({reason}); running on NumPy"


def _native_missing() -> str | None:
    """Why the native backend cannot serve, or None when it can."""
    try:
        available, reason = importlib.import_module(BACKENDS["native"][0]).available()
    except ImportError:
        return "not installed"
    return None if available else str(reason)


def make_executor(
    name: str,
    program: Program,
    initial: Mapping[str, NDArray[np.float64]],
    *,
    rows: int,
    dtype: str,
    seed: int,
    **options: Any,
) -> Executor:
    """An executor of the backend; BackendErrors become RunFaults with the same code and help."""
    cls = executor_class(name)
    _check_options(name, cls, options)
    try:
        made = cls(program, initial, rows=rows, dtype=dtype, seed=seed, **options)
    except BackendError as fault:
        raise RunFault(fault.code, fault.message, fault.help or "use `--backend numpy`") from None
    for line in getattr(made, "notices", ()):
        print(line, file=sys.stderr)
    return made


def _check_options(name: str, cls: type[Executor], options: Mapping[str, Any]) -> None:
    """Every option is one of the backend's own. Raises RunFault E0821."""
    known = inspect.signature(cls.__init__).parameters
    for option in options:
        if option not in known:
            raise RunFault(
                "E0821", f"backend `{name}` has no option `{option}`", "use `--backend native`"
            )


def make_ensemble(first: Executor, ensemble: Ensemble) -> Executor:
    """All members of an ensemble, of which `first` is member 0; BackendErrors as for one."""
    members = [first]
    for number in range(1, ensemble.count):
        initial = initial_values(first.program, first.seed, Member(number, ensemble.vary))
        try:
            members.append(first.sibling(initial))
        except BackendError as fault:
            raise RunFault(
                fault.code, f"member {number} of the ensemble: {fault.message}", fault.help or ""
            ) from None
    return EnsembleExecutor(members)


def make_auto(
    program: Program,
    initial: Mapping[str, NDArray[np.float64]],
    *,
    rows: int,
    dtype: str,
    seed: int,
) -> tuple[str, Executor]:
    """The native executor, or NumPy's with one line on standard error that says why."""
    name, line = choose("auto")
    if name == "native":
        try:
            made = make_executor(name, program, initial, rows=rows, dtype=dtype, seed=seed)
            return name, made
        except RunFault as fault:
            line = f"native backend not used ({fault.message}); running on NumPy"
    print(line, file=sys.stderr)
    return "numpy", make_executor("numpy", program, initial, rows=rows, dtype=dtype, seed=seed)
