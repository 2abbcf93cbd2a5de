"""One process at a time changes a lab, whatever folder it keeps its state in: names of namespaces are the whole machine's."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from appliance.runtime.errors import HeadgateError, Refused

MARK = "HEADGATE_LAB_CHANGING"  # in the environment of every program that a change runs
PATIENCE = 2.0  # seconds that a killed change's last program may take to end by itself
SETTLED = 0.3  # seconds in which a program that a killed change was starting begins: it drops the lock just before it bears the mark
LONGEST = 4096  # bytes of a lock file


@contextmanager
def holding(name: str, folder: Path, locks: Path, *, record: Path) -> Iterator[None]:
    """Hold the lab ``name``, kept in ``folder``, for as long as the block runs; programs that a killed holder left are ended first.

    Raises:
        Refused: another process holds it, or a lab of this name is kept in another folder.
    """
    locks.mkdir(parents=True, exist_ok=True)
    path = locks / f"{name}.lock"
    with _locked(path, name) as file:
        owner, _, holder = file.read(LONGEST).partition("\n")
        if owner and owner != str(folder) and (Path(owner) / record.name).exists():
            raise Refused("name-taken", f"a lab '{name}' is kept in {owner}; choose another --name")
        if holder.strip():
            _end_strays(name)
        _write(file, f"{folder}\n{os.getpid()}\n")
        before = os.environ.get(MARK)
        os.environ[MARK] = name  # programs started from here on inherit it: kill -9 of us does not end them
        try:
            yield
        finally:
            if before is None:
                del os.environ[MARK]
            else:
                os.environ[MARK] = before
            if record.exists():
                _write(file, f"{folder}\n")
            else:
                path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, name: str) -> Iterator[IO[str]]:
    # A killed holder may have been about to start a program: until that has begun, it holds the lock, and then it bears the mark.
    deadline = time.monotonic() + PATIENCE
    while True:
        with path.open("a+") as file:
            if _lock(file):
                # Whoever took the lab down removed the file: a lock on what has no name any more holds nobody off.
                if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    file.seek(0)
                    yield file
                    return
            elif time.monotonic() > deadline:
                file.seek(0)
                holder = file.read(LONGEST).partition("\n")[2].strip() or "unknown"
                raise Refused("lab-busy", f"another process is changing the lab '{name}' now (process {holder})")
        time.sleep(0.05)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _end_strays(name: str) -> None:
    time.sleep(SETTLED)
    deadline = time.monotonic() + PATIENCE
    while strays := _strays(name):
        if time.monotonic() > deadline + PATIENCE:
            raise HeadgateError(f"a killed change of the lab '{name}' left processes that do not end: {strays}")
        if time.monotonic() > deadline:
            for process in strays:
                _kill(process)
        time.sleep(0.02)


def _strays(name: str) -> list[int]:
    mark = f"{MARK}={name}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # ended meanwhile
                continue
    return found


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
