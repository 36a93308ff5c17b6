"""What a pass raises where the network cannot become a program."""

from __future__ import annotations

from netdsl.diagnostics.span import Span


class LoweringError(Exception):
    """The network asks for something that the step program cannot say."""

    def __init__(self, code: str, message: str, span: Span | None, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.help = code, message, span, help
