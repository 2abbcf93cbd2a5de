"""System calls for which Python 3.11 has no function."""

from __future__ import annotations

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same on every machine
_NUMBERS = {"x86_64": (312, 321), "aarch64": (272, 280)}  # kcmp, bpf
KCMP, BPF = _NUMBERS.get(platform.machine(), (272, 280))  # newer architectures share arm64's table
THREAD = os.O_EXCL  # PIDFD_THREAD, Linux >= 6.9
KCMP_FILES = 2
NEWNET = 0x40000000


def pidfd_of_thread(thread: int) -> int:
    """Return a descriptor of one thread, whose descriptor table may be its own.

    Raises:
        OSError: it ended, or the kernel knows none of threads.
    """
    return _checked(_syscall(PIDFD_OPEN, thread, THREAD))


def take_descriptor(pidfd: int, number: int) -> int:
    """Return a copy of another process's descriptor.

    Raises:
        OSError: it is closed, or may not be taken.
    """
    return _checked(_syscall(PIDFD_GETFD, pidfd, number, 0))


def share_files(process: int, thread: int) -> bool:
    """Return whether two tasks have one table of descriptors.

    Raises:
        OSError: one ended, or may not be looked into.
    """
    return _checked(_syscall(KCMP, process, thread, KCMP_FILES, 0, 0)) == 0


def bpf(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    """Return what the kernel's BPF answers to a command.

    Raises:
        OSError: it refused.
    """
    return _checked(_syscall(BPF, command, ctypes.byref(attributes), len(attributes)))


def enter(descriptor: int) -> None:
    """Bring this thread into a network namespace.

    Raises:
        OSError: it may not enter.
    """
    _checked(_libc.setns(descriptor, NEWNET))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)
