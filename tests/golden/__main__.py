"""`python -m tests.golden SYSTEM FILE.npz [--backend B] [--dtype D]`: replay a golden file.

Prints a table and exits with 1 beyond tolerance, 2 when the file or the call is wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.golden.case import GoldenError
from tests.golden.replaying import Row, run_cases
from tests.golden.systems import SYSTEMS, open_cases


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("system", choices=sorted(SYSTEMS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    options = parser.parse_args(arguments)
    from netdsl.diagnostics import DiagnosticError
    from netdsl.runtime.errors import RunFault

    try:
        cases = open_cases(options.system, options.file, options.dtype)
        rows = run_cases(cases, options.backend, options.dtype)
    except (GoldenError, DiagnosticError, RunFault) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    print(table(rows))
    beyond = [row for row in rows if not row.ok]
    outcome = f"{len(beyond)} beyond tolerance" if beyond else "all within tolerance"
    where = f"{options.system} on {options.backend}, {options.dtype}"
    print(f"{where}: {len(rows)} compared, {outcome}")
    return 1 if beyond else 0


def table(rows: list[Row]) -> str:
    """The rows as text, one line each."""
    width = max((len(row.name) for row in rows), default=8)
    lines = [f"{'variable':<{width}}  largest   relative  allowed   "]
    for row in rows:
        mark = "" if row.ok else f"BEYOND, first {row.first or 'nowhere'}; "
        lines.append(
            f"{row.name:<{width}}  {row.largest:<8.1e}  {row.relative:<8.1e}  {row.tolerance:<8.1e}"
            f"  {mark}{row.note}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
