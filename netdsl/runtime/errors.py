"""Faults of the runtime that a user can mend: bad data files, run directories, full disks.

Each carries a stable code, what is wrong and where, and a way out. The caller, which knows the line
of the spec that asked for the data, wraps them in a diagnostic with a caret.
"""

from __future__ import annotations


class RunFault(Exception):
    """Base of all faults raised by the runtime.

    Attributes: ``code`` (such as ``"E0703"``), ``message`` (what and where, one sentence) and
    ``help`` (a way out, or ``""``).
    """

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help

    def __str__(self) -> str:
        head = f"error[{self.code}]: {self.message}"
        return f"{head}\n  help: {self.help}" if self.help else head

    def __reduce__(self) -> tuple[type[RunFault], tuple[str, str, str]]:
        # Exceptions are pickled by their args, which hold the message alone.
        return type(self), (self.code, self.message, self.help)


class DataError(RunFault):
    """A data source cannot be read, or does not hold what was asked of it (E07xx)."""


class RunDirError(RunFault):
    """A run directory or a state file is missing, damaged or cannot be written (E0720 to E0729)."""


class PlotError(RunFault):
    """There is nothing to draw from, or the format is unknown (E0730 to E0739)."""


CODES: dict[str, str] = {
    "E0701": "data source needs a path, or its name is unknown",
    "E0702": "data file is missing or cannot be opened",
    "E0703": "data file does not start as its format demands",
    "E0704": "data file is shorter or longer than its header says",
    "E0705": "compressed data file is damaged",
    "E0706": "fields of one split have different numbers of samples",
    "E0707": "data holds NaN or infinity",
    "E0708": "CSV table is malformed",
    "E0709": "NPZ archive cannot be used",
    "E0710": "split or slice does not exist",
    "E0711": "a field that is needed is missing",
    "E0712": "data directory holds no known data set",
    "E0713": "pairs cannot be made from this data",
    "E0714": "data set could not be fetched",
    "E0715": "labels are not class numbers",
    "E0716": "batches cannot be made",
    "E0717": "setting of a data source is unknown or of the wrong kind",
    "E0750": "data file is a device, a pipe or a socket",
    "E0751": "file does not fit into memory",
    "E0720": "run directory is missing or is not one",
    "E0721": "state file lacks a key or has one too many",
    "E0722": "array of a state file has another shape",
    "E0723": "file could not be written",
    "E0724": "file of a run directory is damaged",
    "E0730": "nothing to plot",
    "E0731": "plot format is unknown",
}
