"""What a backend cannot do."""

from __future__ import annotations


class BackendError(Exception):
    """A backend cannot serve this program here; `help` says what the user can do instead."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help
