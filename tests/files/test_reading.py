"""What a path leads to is read only if it is a regular file that fits, and is never quoted."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from netdsl.diagnostics import DiagnosticError
from netdsl.files.reading import NotRegular, TooLong, open_regular, read_bytes
from netdsl.frontend import check
from netdsl.runtime import memory
from netdsl.runtime.archive import ArchiveError, read_npz
from netdsl.runtime.data import load_source
from netdsl.runtime.errors import DataError
from netdsl.syntax.parser import read_source
from tests.cli.command import SPEC, Command

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter:x:0:0:topsecret"
MIB = 2**20
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="devices and pipes are POSIX's")


@pytest.fixture(params=["pipe", "socket", "zero", "random", "link to a device", "link to a pipe"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Something that is no file; reading it would wait or go on for ever."""
    path, listening = tmp_path / "odd", None
    if request.param == "zero":
        path = Path("/dev/zero")
    elif request.param == "random":
        path = Path("/dev/urandom")
    elif request.param == "link to a device":
        path.symlink_to("/dev/zero")
    elif request.param == "socket":
        listening = socket.socket(socket.AF_UNIX)
        before = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is short
        listening.bind("odd")
        os.chdir(before)
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    yield path
    if listening is not None:
        listening.close()


def test_nothing_else_is_opened(odd: Path) -> None:
    with pytest.raises(NotRegular):
        open_regular(odd)


def test_a_specification(odd: Path, netdsl: Command) -> None:
    for command in (["check"], ["fmt"], ["show", "ir"], ["run"], ["compile"], ["bench"]):
        result = netdsl(*command, odd)
        assert result.code == 1 and "error[E0007]" in result.err and "not a file" in result.err
    spec = netdsl.spec('use "base.net"\n' + SPEC)
    (netdsl.folder / "base.net").symlink_to(odd)
    result = netdsl("check", spec)
    assert result.code == 1 and "error[E0112]" in result.err


def test_states_and_traces(odd: Path, netdsl: Command) -> None:
    result = netdsl("replay", netdsl.spec(), "--trace", odd)
    assert result.code == 1 and "error[E0720]" in result.err and "not a file" in result.err
    with pytest.raises(OSError, match="not a file"):
        read_npz(odd)


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "set.npz", "set.csv", "x.gz", "data_batch_1.bin",
             "train.csv"],
)  # fmt: skip
def test_data(odd: Path, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / name).symlink_to(odd)
    inside = name in ("data_batch_1.bin", "train.csv")  # which are found in folders alone
    with pytest.raises(DataError) as caught:
        load_source("x", str(folder if inside else folder / name), tmp_path)
    assert caught.value.code == "E0750" and caught.value.help


def test_the_message_has_a_place_in_the_specification(netdsl: Command) -> None:
    result, _ = netdsl.run("--quiet", text=SPEC.replace('"digits"', '"/dev/zero"'))
    assert result.code == 1 and "error[E0750]" in result.err and "toy.net:15" in result.err
    assert "^" in result.err and "a device, not a file" in result.err


@pytest.mark.parametrize("name", ["set.npz", "set.csv", "images", "x.gz", "weights.npz"])
@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode() + b"\n", b"a,b\n1,2\n" + SECRET.encode() + b",3\n",
        b"a,b\n" + SECRET.encode(), b"PK\x03\x04" + SECRET.encode(), b"\x7fELF" + SECRET.encode(),
        b"a,\xff" + SECRET.encode(), b"\x1f\x8b" + SECRET.encode(),
    ],
)  # fmt: skip
def test_what_is_none_of_ours_is_not_quoted(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_source("x", name, tmp_path)
    require_silent(str(caught.value), content)


def require_silent(said: str, content: bytes) -> None:
    for word in ("hunter", "topsecret", content[:4].hex(" "), "ELF"):
        assert word not in said


def test_an_archive_of_other_things_is_not_quoted(netdsl: Command) -> None:
    with zipfile.ZipFile("other.npz", "w") as archive:
        archive.writestr("hunter/topsecret.txt", SECRET)
    with zipfile.ZipFile("named.npz", "w") as archive:
        archive.writestr("x.npy", SECRET)
    for name in ("other.npz", "named.npz"):
        said = netdsl("replay", netdsl.spec(), "--trace", name).err
        said += netdsl.run("--data", f"digits={name}")[0].err
        assert "E0724" in said and "E0709" in said
        require_silent(said, SECRET.encode())


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 8 MiB of memory left."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 * MIB)


def idx(rows: int, promised: int | None = None) -> bytes:
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, promised or rows, 1024, 1)
    return header + bytes(rows * 1024)


def npy(shape: tuple[int, ...], held: int) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + bytes(held)


def archive_of(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_image.npy", content)


def fault_of(name: str, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_source("x", name, folder)
    assert caught.value.help
    return caught.value.code


@pytest.mark.usefixtures("little")
def test_what_does_not_fit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    big = 16 * MIB
    with (tmp_path / "sparse.csv").open("wb") as stream:
        stream.write(b"a,b\n")
        stream.truncate(10**12)
    with (tmp_path / "images").open("wb") as stream:
        stream.write(idx(0, 10**8))
        stream.truncate(16 + 1024 * 10**8)
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx(big // 1024)))
    archive_of(tmp_path / "set.npz", npy((big, 1), big))
    archive_of(tmp_path / "float.npz", npy((MIB, 1), MIB))  # 1 MiB, which becomes 9
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,2\n" * 400_000)
    for name in ("sparse.csv", "images", "images.gz", "set.npz", "float.npz", "rows.csv"):
        assert fault_of(name, tmp_path) == "E0751", name
    with pytest.raises(ArchiveError, match="memory"):
        read_npz(tmp_path / "set.npz")
    assert read_npz(tmp_path / "float.npz")["train_image"].shape == (MIB, 1)
    folder = tmp_path / "cifar"
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(bytes(3073 * 1000))
    assert fault_of("./cifar", tmp_path) == "E0751"
    (folder / "data_batch_1.bin").write_bytes(gzip.compress(bytes(3073 * 1000)))
    assert fault_of("./cifar", tmp_path) == "E0751"


def test_headers_that_lie(tmp_path: Path) -> None:
    huge = 2**40
    (tmp_path / "images").write_bytes(idx(4, 4_000_000_000))
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx(4, 4_000_000_000)))
    (tmp_path / "longer.gz").write_bytes(gzip.compress(idx(4096, 4)))  # unpacks to much more
    for name in ("images", "images.gz", "longer.gz"):
        assert fault_of(name, tmp_path) == "E0704", name
    lies = {
        "header.npz": npy((huge, 1), 10), "less.npz": npy((3, 1), 10), "minus.npz": npy((-1,), 10),
        "many.npz": npy((huge, huge, huge), 0), "cut.npz": npy((9,), 9)[:50], "none.npz": b"",
    }  # fmt: skip
    for name, content in lies.items():
        archive_of(tmp_path / name, content)
        assert fault_of(name, tmp_path) == "E0709", name
    archive_of(tmp_path / "listed.npz", npy((1000, 1), 1000))
    raw = bytearray((tmp_path / "listed.npz").read_bytes())
    at = raw.rindex(b"PK\x01\x02") + 24  # the size in the list of contents
    raw[at : at + 4] = struct.pack("<I", 2**31)
    (tmp_path / "listed.npz").write_bytes(raw)
    assert fault_of("listed.npz", tmp_path) == "E0709"


def test_every_cut_of_an_archive_is_said(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    np.savez_compressed(path, a=np.arange(9.0), b=np.zeros((2, 3)))
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    for k in range(300):
        raw = bytearray(whole[: rng.integers(len(whole))] if k % 3 == 0 else whole)
        for at in rng.integers(len(raw), size=3) if raw else ():
            raw[at] = rng.integers(256)
        path.write_bytes(raw)
        try:
            read_npz(path)
        except (ArchiveError, OSError):
            pass


def test_a_long_specification(tmp_path: Path) -> None:
    path = tmp_path / "long.net"
    with path.open("wb") as stream:
        stream.truncate(10**12)
    with pytest.raises(TooLong):
        read_bytes(path)
    with pytest.raises(DiagnosticError) as caught:
        read_source(path)
    assert caught.value.diagnostics[0].code == "E0007"
    assert not check(path).ok


def test_nothing_hangs_in_a_process_of_its_own(tmp_path: Path) -> None:
    """A pipe that somebody has open for writing, and a device, within seconds."""
    os.mkfifo(tmp_path / "pipe.net")
    holder = os.open(tmp_path / "pipe.net", os.O_RDWR)
    try:
        for path in (tmp_path / "pipe.net", "/dev/zero"):
            done = subprocess.run(
                [sys.executable, "-m", "netdsl.cli.main", "check", str(path)], timeout=30,
                env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 1 and "E0007" in done.stderr
    finally:
        os.close(holder)
