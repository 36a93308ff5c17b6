"""What must hold of any text: an answer in time, with codes and places, and no contradiction."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from netdsl.codegen.errors import BackendError
from netdsl.codegen.source import generated_source
from netdsl.diagnostics import Diagnostic, render_all
from netdsl.diagnostics.catalogue import catalogue
from netdsl.frontend import check, lower_network
from netdsl.syntax.fmt import format_source
from netdsl.syntax.parser import parse

LIMIT = 5.0  # seconds of processor time
BACKENDS = ("numpy", "native", "cupy")


class TooSlow(Exception):
    """No answer in time."""


def examine(text: str, file: Path) -> str:
    """Check, format and translate a text, written to `file`; "refused" or "translated".

    Raises AssertionError, or whatever escapes.
    """
    file.write_text(text, encoding="utf-8", newline="")
    with within(LIMIT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _format(text)
        found = check(file)
        _diagnostics(found.diagnostics, found.sources)
        if not found.ok:
            return "refused"
        assert found.certificate is not None
        found.certificate.render()
        program = lower_network(found.require())
        for backend in BACKENDS:
            try:
                source = generated_source(program, backend, "float32")
            except BackendError as fault:
                raise AssertionError(f"checked, but {backend} cannot say it: {fault}") from None
            if backend == "numpy":
                compile(source, "generated", "exec")
    return "translated"


def _format(text: str) -> None:
    """Formatting changes no meaning, and nothing of what it has formatted."""
    parsed = parse(text)
    if not parsed.ok:
        return
    once = format_source(text)
    again = parse(once)
    assert again.ok, f"formatted, it has faults: {[d.message for d in again.diagnostics]}"
    assert again.spec == parsed.spec, "formatted, it means something else"
    comments = [[c.text for c in result.comments] for result in (parsed, again)]
    assert sorted(comments[0]) == sorted(comments[1]), "formatted, it has other comments"
    assert format_source(once) == once, "formatting twice differs from once"


def _diagnostics(diagnostics: tuple[Diagnostic, ...], sources: dict[str, str]) -> None:
    for diagnostic in diagnostics:
        assert diagnostic.code in catalogue(), diagnostic
        assert diagnostic.code != "E0899", diagnostic.message
        assert diagnostic.message and len(diagnostic.message) < 2000
        assert diagnostic.code in ("E0007", "E0008", "E0014") or diagnostic.primary.line > 0
        diagnostic.to_json()
    render_all(diagnostics[:20], sources)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises TooSlow after so many seconds of this process's time."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"no answer after {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
