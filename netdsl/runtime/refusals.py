"""Values that a session does not give or take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.program import Key
from netdsl.runtime.errors import RunFault

if TYPE_CHECKING:
    from netdsl.ir.network import Network
    from netdsl.runtime.holding import Holding


def not_kept(session: Holding, key: Key) -> RunFault:
    """Why a value cannot be read: the program does not keep it, or there is none of that name."""
    from netdsl.diagnostics import suggest

    if key.of in session.network.table:
        return RunFault(
            "E0742",
            f"`{key}` is not stored by this program: nothing reads it after it is computed",
            f'ask for it with `observe=["{key}"]`',
        )
    near = suggest(str(key), [*session.program.buffers, *session.host])
    hint = f"did you mean `{near}`?" if near else "`netdsl show memory SPEC` lists the names"
    return RunFault("E0742", f"there is no variable `{key}`", hint)


def require_binary(key: str, value: Any) -> None:
    """Raises RunFault E0441 where something else than 0 and 1 is given for a bool or spike."""
    given = np.asarray(value)
    odd = given[(given != 0) & (given != 1)]
    if odd.size:
        raise RunFault(
            "E0441",
            f"`{key}` is true or false, and was given {float(odd[0]):g}",
            "compare it first, as in `x > 0.5`: it holds 0 or 1",
        )


def require_partition(network: Network, path: str, value: NDArray[Any]) -> None:
    """Raises RunFault E0653 where the types given to neurons are not as many as declared."""
    population = network.populations.get(path.removesuffix(".type"))
    if population is None or not population.types or not path.endswith(".type"):
        return
    given = np.broadcast_to(value, (population.size,))
    for code, (name, first, last) in enumerate(population.types):
        found = int(np.count_nonzero(given == code))
        if found != last - first:
            raise RunFault(
                "E0653",
                f"`{path}` was given {found} neurons of type `{name}` ({code}), which has "
                f"{last - first}",
                "change the numbers in `types`, which tables and means by type divide by",
            )
