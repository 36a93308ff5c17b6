"""Arrays that a specification names, `array cells = "cells.npz"`: read when a model is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError, Span
from netdsl.ir.expr import Ref, refs
from netdsl.ir.network import Draw, Network
from netdsl.runtime.archive import ArchiveError, read_npz
from netdsl.runtime.data.table import read_columns
from netdsl.runtime.errors import DataError

Arrays = Mapping[str, Mapping[str, Any]]


def given_arrays(
    network: Network, given: Arrays, paths: Mapping[str, str], base: Path
) -> dict[str, NDArray[np.float64]]:
    """All arrays by name, "cells.C". `given`: in place of files; `paths`: of files, relative to the
    working folder; those that the specification names are relative to `base`.

    Raises DiagnosticError E0667 for a file that cannot be read, E0668 for what is not numbers.
    """
    for name in given:
        if name not in network.arrays:
            have = ", ".join(network.arrays) or "none"
            raise _fault("E0667", f"the spec declares no array `{name}`", f"it declares: {have}")
    found: dict[str, NDArray[np.float64]] = {}
    for name, path in network.arrays.items():
        held = given[name] if name in given else _read(name, path, paths.get(name), base)
        for key, value in held.items():
            array = np.asarray(value)
            if array.dtype.kind in "biuf":
                found[f"{name}.{key}"] = array.astype(np.float64)
    _check_signs(network, found)
    return found


def _check_signs(network: Network, given: Mapping[str, NDArray[np.float64]]) -> None:
    """Raises DiagnosticError E0670 where signs of senders are not all 1 or -1."""
    for projection in network.projections.values():
        for ref in refs(projection.sign) if isinstance(projection.sign, Ref) else ():
            init = network.table[ref.path].init
            if isinstance(init, Draw) and init.stream in given:
                wrong = int(np.count_nonzero(np.abs(given[init.stream]) != 1))
                if wrong:
                    message = f"{wrong} of the signs in `{init.stream}` are neither 1 nor -1"
                    help = "give 1 for each excitatory sender and -1 for each inhibitory one"
                    raise _fault("E0670", message, help, init.span)


def _read(name: str, path: str, other: str | None, base: Path) -> Mapping[str, Any]:
    place = Path(other).expanduser() if other is not None else base / path
    help = f"check its path, or give another with `--data {name}=PATH`"
    try:
        if place.suffix == ".csv":
            header, values = read_columns(place)
            return dict(zip(header, values.T, strict=True))
        return read_npz(place)
    except DataError as fault:
        raise _fault("E0667", f"`array {name}`: {fault.message}", fault.help or help) from None
    except OSError as fault:
        why = fault.strerror or fault
        raise _fault("E0667", f"cannot read `{place}` of `array {name}`: {why}", help) from None
    except ArchiveError as fault:
        message = f"`{place}` of `array {name}` is not a sound NPZ archive: {fault}"
        raise _fault("E0667", message, "save it anew with np.savez, as plain numbers") from None


def taken(
    draw: Draw, given: Mapping[str, NDArray[np.float64]], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """The array that a start names. Raises DiagnosticError E0667 or E0668."""
    if draw.stream not in given:
        name = draw.stream.split(".")[0]
        have = ", ".join(key for key in given if key.startswith(f"{name}.")) or "no numbers"
        message = f"`array {name}` holds no numbers `{draw.stream}`"
        raise _fault("E0667", message, f"it holds: {have}", draw.span)
    array = given[draw.stream]
    if array.shape not in ((), shape):
        message = f"`{draw.stream}` has shape {array.shape}, and {shape} is needed"
        help = "arrays of neurons are (n,), of synapses (pre, post)"
        raise _fault("E0668", message, help, draw.span)
    if not np.isfinite(array).all():
        message = f"`{draw.stream}` holds infinite values or NaN"
        raise _fault("E0668", message, "give a finite number for each element", draw.span)
    return np.array(np.broadcast_to(array, shape))


def _fault(code: str, message: str, help: str, span: Span | None = None) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, message, span or NO_SPAN, help=help))
