"""The user's C compiler: found, identified, run with a time limit, its messages passed on."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netdsl.backends.native import environment
from netdsl.codegen.errors import BackendError

_WAY_OUT = "use --backend numpy"
_TIMEOUT = 120.0  # seconds; NETDSL_CC_TIMEOUT overrides
_EXCERPT_LINES = 12
_KEPT = 1 << 16  # bytes of what a compiler says
_LAST_WORDS = 1.0  # seconds for what it started and left behind to be heard

# The loops that matter are marked for vectorisation, so that -O3 would only take longer to compile.
# No option here changes the result of an operation, only which operations may be reordered around
# errno and traps, which generated code does not read.
_TUNED = (
    "-O2",
    "-mprefer-vector-width=512",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fopenmp-simd",
)
_PLAIN = ("-O2", "-ffp-contract=off")
_ALWAYS = ("-std=gnu11", "-shared", "-fPIC", "-w")


@dataclass(frozen=True)
class Compiler:
    """A command that compiles C, and what identifies this version of it."""

    command: tuple[str, ...]
    identity: str

    @property
    def name(self) -> str:
        """The command as a user would type it."""
        return shlex.join(self.command)


def candidates() -> Iterator[tuple[str, ...]]:
    """Commands to try, the user's choice first. `CC` set means that nothing else is tried."""
    chosen = environment.command("CC")
    if chosen:
        yield chosen
        return
    yield from (("cc",), ("gcc",), ("clang",))
    if importlib.util.find_spec("ziglang") is not None:
        yield (sys.executable, "-m", "ziglang", "cc")


def find() -> Compiler:
    """The first compiler that is there; BackendError E0810 when there is none, E0860 when CC is no
    command."""
    for command in candidates():
        path = shutil.which(command[0])
        if path is not None:
            return Compiler(command, _identity(path, command))
    chosen = shlex.join(environment.command("CC"))
    if chosen:
        raise BackendError(
            "E0810",
            f"the C compiler `{chosen}` named by CC was not found",
            f"unset CC, or {_WAY_OUT}",
        )
    raise BackendError(
        "E0810",
        "no C compiler was found (tried cc, gcc, clang)",
        f"install one, or `pip install ziglang`; without one {_WAY_OUT}",
    )


def available() -> tuple[bool, str]:
    """Whether the native backend can be used here, and the compiler or the reason why not."""
    try:
        return True, find().name
    except BackendError as error:
        return False, error.message


def _identity(path: str, command: tuple[str, ...]) -> str:
    real = Path(path).resolve()
    try:
        status = real.stat()
    except OSError as fault:
        raise BackendError(
            "E0810",
            f"the C compiler `{path}` cannot be used: {fault.strerror}",
            f"set CC to another compiler, or {_WAY_OUT}",
        ) from None
    return f"{real} {status.st_size} {status.st_mtime_ns} {shlex.join(command[1:])}"


@cache
def cpu_identity() -> str:
    """What `-march=native` depends on: machine, model and instruction sets."""
    lines = []
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in text.split("\n\n", 1)[0].splitlines():
            if line.split("\t")[0].strip() in ("model name", "flags", "Features", "CPU part"):
                lines.append(line)
    except OSError:
        lines.append(platform.processor())
    return "\n".join([platform.machine(), platform.system(), *lines])


# What -ffast-math allows, without its start-up code: that would flush subnormal numbers to zero in
# the whole process that loads the object, NumPy included.
_REORDERING = (
    "-fassociative-math",
    "-freciprocal-math",
    "-ffinite-math-only",
    "-fno-signed-zeros",
    "-fno-trapping-math",
    "-fno-math-errno",
    "-ffp-contract=fast",
)


def flag_sets(*, fast_math: bool = False) -> tuple[tuple[str, ...], ...]:
    """Options to try in turn: tuned to this CPU, then plain, for compilers that refuse some."""
    native = "-march=native" if platform.machine() in ("x86_64", "AMD64") else "-mcpu=native"
    extra = _REORDERING if fast_math else ()
    return ((*_ALWAYS, native, *_TUNED, *extra), (*_ALWAYS, *_PLAIN, *extra))


def compile_object(compiler: Compiler, source: Path, target: Path, *, fast_math: bool) -> str:
    """Compile one C file into a shared object; a notice when it was not tuned to this processor.

    Raises BackendError E0811 with the compiler's own words when it fails, E0812 when it takes
    longer than the limit.
    """
    refused: list[str] = []
    for flags in flag_sets(fast_math=fast_math):
        command = [*compiler.command, *flags, str(source), "-o", str(target), "-lm"]
        message = _run(compiler, command)
        if not message and target.is_file():
            return _untuned(compiler, refused[0]) if refused else ""
        refused.append(message or "it reported success but wrote no file")
    raise BackendError(
        "E0811",
        f"the C compiler `{compiler.name}` failed:\n{_excerpt(refused[-1])}",
        f"set CC to another compiler, or {_WAY_OUT}",
    )


def _untuned(compiler: Compiler, message: str) -> str:
    first = message.splitlines()[0].strip()
    return (
        f"the C compiler `{compiler.name}` did not take the options for this processor, and what it"
        f" made without them is slower: {first}"
    )


def _run(compiler: Compiler, command: list[str]) -> str:
    """The error text of a run, "" when it succeeded."""
    limit = time_limit()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"it could not be started: {error}"
    said = _Listener(process)
    try:
        process.wait(limit)
        said.join(_LAST_WORDS)
    except subprocess.TimeoutExpired:
        _stop(process)
        raise BackendError(
            "E0812",
            f"the C compiler `{compiler.name}` did not finish within {limit:g} s",
            f"raise NETDSL_CC_TIMEOUT, set CC to another compiler, or {_WAY_OUT}",
        ) from None
    except BaseException:
        _stop(process)
        raise
    if process.returncode == 0:
        return ""
    output = said.text().strip()
    return output or f"it ended with status {process.returncode} and no message"


class _Listener(threading.Thread):
    """Takes what a process says as long as it speaks, and keeps the beginning."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        assert process.stdout is not None
        self._stream = process.stdout
        self._kept = bytearray()
        self.start()

    def run(self) -> None:
        """Until the stream ends."""
        with self._stream:
            while piece := os.read(self._stream.fileno(), _KEPT):
                self._kept += piece[: _KEPT - len(self._kept)]

    def text(self) -> str:
        """What was said so far."""
        return self._kept.decode(errors="replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the compiler and whatever it started: it runs in a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def time_limit() -> float:
    """Seconds that a compilation may take."""
    return environment.positive("NETDSL_CC_TIMEOUT", _TIMEOUT, "seconds")


def _excerpt(message: str) -> str:
    lines = message.splitlines()
    shown = lines[:_EXCERPT_LINES]
    if len(lines) > len(shown):
        shown.append(f"... {len(lines) - len(shown)} more lines")
    return "\n".join(f"  {line}" for line in shown)
