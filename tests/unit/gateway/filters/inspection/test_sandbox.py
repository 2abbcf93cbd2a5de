"""Behind the walls a process can look at what it has open, and at nothing else: each attempt in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from gateway.filters.inspection.sandbox import PARTS

ATTEMPTS = """
import ctypes, json, os, resource, socket, sys
from gateway.filters.inspection.sandbox import Sandbox

os.close(0)  # as the process that forks workers does: the lowest numbers are used again
kept, other = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[1], os.O_RDONLY)
channel, far = socket.socketpair()
TRIES = {
    "look": lambda: os.pread(kept, 10, 0),
    "answer": lambda: channel.send(b"{}"),
    "memory": lambda: bytearray(8 << 20),
    "a library": lambda: open(os.__file__, "rb").read(10),
    "its own limits": lambda: resource.setrlimit(resource.RLIMIT_CPU, (30, resource.RLIM_INFINITY)),
    "write": lambda: os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT),
    "append": lambda: os.open(sys.argv[1], os.O_RDONLY | os.O_APPEND),
    "another file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "the file again": lambda: os.open(sys.argv[1], os.O_RDONLY),
    "another descriptor": lambda: os.pread(other, 10, 0),
    "remove": lambda: os.unlink(sys.argv[1]),
    "child": lambda: os.fork() or os._exit(0),
    "signal": lambda: os.kill(os.getppid(), 0),
    "limits of another": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0)),
    "memory of another": lambda: os.open("/proc/%d/mem" % os.getppid(), os.O_RDONLY),
    "socket": lambda: socket.socket(socket.AF_INET),
    "connect": lambda: channel.connect("/run/systemd/notify"),
    "program": lambda: os.execv("/bin/true", ["true"]),
    "trace": lambda: ctypes.CDLL(None).ptrace(0, 0, 0, 0),
}
sandbox, found = Sandbox(), {}
for name, attempt in TRIES.items():
    if (child := os.fork()) == 0:
        status = 3
        try:
            sandbox.enter((kept, channel.fileno()))
            status = 2
            attempt()
            status = 0
        except OSError:
            status = status if status == 3 else 1
        finally:
            os._exit(status)
    found[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"parts": sandbox.parts, "found": found}))
"""
NONE = "def none(name): raise OSError(2, 'none here')\nctypes.CDLL = none"
MAY = ("look", "answer", "memory", "a library", "its own limits")
KILLED = ("socket", "connect", "program", "trace")
BY_LANDLOCK = ("another file", "the file again", "memory of another")


def told(tmp_path, program=ATTEMPTS):
    film = tmp_path / "film"
    film.write_bytes(b"0123456789")
    path = os.pathsep.join(part for part in sys.path if part)
    argv = [sys.executable, "-sS", "-c", program, str(film), str(tmp_path / "new")]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert film.exists()
    assert not (tmp_path / "new").exists()
    return json.loads(done.stdout), done.stderr


def test_nothing_is_left_but_looking(tmp_path):
    """Looking, answering and libraries go on; a file opened for writing is refused; a socket or a program ends the process."""
    result, _ = told(tmp_path)
    if "seccomp" not in result["parts"]:
        pytest.skip("SKIPPED LOUDLY: no libseccomp, or a kernel without seccomp")
    found = result["found"]
    landlock = "landlock" in result["parts"]
    wanted = {name: 0 if name in MAY else -signal.SIGSYS if name in KILLED else 1 for name in found}
    assert found == {**wanted, **({} if landlock else dict.fromkeys(BY_LANDLOCK, 0))}


def test_without_a_wall_the_others_stand_and_it_is_said(tmp_path):
    """A box without libseccomp: what can be had is entered, and the log names what cannot."""
    program = ATTEMPTS.replace("sandbox, found", f"{NONE}\nsandbox, found").replace("ctypes.CDLL(None).ptrace", "min")
    result, log = told(tmp_path, program)
    assert "seccomp" not in result["parts"]
    assert "go without seccomp" in log
    assert {result["found"][name] for name in MAY} == {0}
    if "landlock" in result["parts"]:
        assert [result["found"][name] for name in ("write", *BY_LANDLOCK)] == [1, 1, 1, 1]
    assert set(result["parts"]) <= set(PARTS)
