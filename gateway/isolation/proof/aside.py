"""An engine in a process of its own: it is given JSON and nothing else, has no privileges, and so much time and memory and no more."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

NOBODY = 65534
NO_NEW_PRIVS, DUMPABLE = 38, 4  # PR_SET_*
CAPABILITIES_VERSION = 0x20080522
LONGEST_ANSWER = 4 << 20  # bytes
Answer = dict[str, Any]


class Failed(Exception):
    """The engine gave no answer: it is missing, refused, or ran out of time or memory."""


def ask(module: str, request: Answer, *, seconds: float, mib: int) -> Answer:
    """Return what ``python -m module`` answers to ``request``.

    Raises:
        Failed: it gave no answer in time and within its memory.
    """
    # A path of its own, since the engine's user may not look into the folder in which we stand.
    paths = os.pathsep.join(path for path in sys.path if path) or os.getcwd()  # noqa: PTH109 (as text)
    environment = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}
    argv = [sys.executable, "-m", module, str(int(seconds) + 1), str(mib)]
    try:
        done = subprocess.run(
            argv, input=json.dumps(request).encode(), capture_output=True, timeout=seconds, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"no answer within {seconds:g} s") from error
    except OSError as error:
        raise Failed(f"cannot be started: {error.strerror}") from error
    if done.returncode or len(done.stdout) > LONGEST_ANSWER:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        raise Failed(f"ended with status {done.returncode}: {told[-1][:200] if told else '(nothing printed)'}")
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise Failed("answered what is no JSON") from error
    if not isinstance(answer, dict):
        raise Failed("answered what is no JSON object")
    return answer


def serve(load: Callable[[], object], work: Callable[[Answer], Answer]) -> None:
    """In the engine's process: load what is needed, give away every privilege, then answer the one request on the standard input."""
    seconds, mib = (int(word) for word in sys.argv[1:3])
    load()  # before, since nobody may not read every folder in which Python may be
    confine(seconds, mib)
    json.dump(work(json.load(sys.stdin)), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # what the engine's library says when it is put away is of no use to anybody


def confine(seconds: int, mib: int) -> None:
    """Give away user, groups and capabilities, and take the limits; there is no way back."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        # A unit that may not change its user still loses all that its user could do.
        with contextlib.suppress(PermissionError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
        if libc.capset(header, (ctypes.c_uint32 * 6)()):
            raise OSError(ctypes.get_errno(), "capabilities cannot be given away")
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "privileges cannot be given up")
