"""netdsl: a language and compiler for biologically plausible learning rules.

`netdsl.compile("specs/csdp.net")` gives a `Model` to run, step, inspect and save.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netdsl.api import Model as Model
    from netdsl.api import compile as compile

__version__ = "0.1.0"

_LAZY = {
    "compile": "netdsl.api",
    "Model": "netdsl.api",
    "RunResult": "netdsl.api",
    "DiagnosticError": "netdsl.diagnostics",
    "RunFault": "netdsl.runtime.errors",
}
__all__ = ["DiagnosticError", "Model", "RunFault", "RunResult", "compile"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that `import netdsl` costs nothing."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module `netdsl` has no attribute `{name}`")
