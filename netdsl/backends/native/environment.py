"""Variables of the environment that the native backend obeys."""

from __future__ import annotations

import os
import shlex

from netdsl.codegen.errors import BackendError

_MOST = 1e9


def positive(name: str, default: float, unit: str) -> float:
    """The number that a variable holds. Raises BackendError E0860 when it holds another thing."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if 0 < value <= _MOST:
        return value
    raise BackendError(
        "E0860",
        f"the variable {name} is `{text}`, which is no positive number of {unit}",
        f"unset {name}, or give a number such as {default:g}",
    )


def command(name: str) -> tuple[str, ...]:
    """The command that a variable holds, cut into words as a shell does, but run without one; ()
    when it is not set. Raises BackendError E0860 when it cannot be cut."""
    text = os.environ.get(name, "")
    try:
        return tuple(shlex.split(text))
    except ValueError as fault:
        raise BackendError(
            "E0860",
            f"the variable {name} is `{text}`, which is no command: {str(fault).lower()}",
            f"unset {name}, or quote it as in a shell: {name}='gcc -DX=\"a b\"'",
        ) from None
