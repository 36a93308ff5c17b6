"""What a count is a count of: `limit 64 samples`, `limit 2 batches`, `every 100 batches`."""

from __future__ import annotations

from netdsl.sema.scopes.context import Context
from netdsl.syntax import ast

_MANY = {"batch": "batches"}
_WORDS = ("step", "batch", "sample", "epoch", "update", "trial", "iteration")


def counted(node: ast.Expr, allowed: tuple[str, ...], context: Context) -> str | None:
    """The word of `allowed` that a count is written with, or the first; None after a report. Where
    none is allowed, the count has no word."""
    written = {
        part.unit
        for part in ast.walk(node)
        if isinstance(part, ast.Number | ast.Measured) and part.unit in _WORDS
    }
    wrong = sorted(written - set(allowed))
    if not wrong and len(written) <= 1:
        return next(iter(written), allowed[0] if allowed else "")
    meant = " or ".join(_many(word) for word in allowed) or "its own rounds, without a word"
    found = " and ".join(_many(word) for word in sorted(written) if word is not None)
    context.bag.error(
        "E0201",
        f"this counts {meant}, here are {found}",
        node.span,
        help="write " + (f"`10 {_many(allowed[0])}`" if allowed else "the number alone"),
    )
    return None


def _many(word: str) -> str:
    return _MANY.get(word, f"{word}s")
