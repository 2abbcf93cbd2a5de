"""What a worker gives up once it has its object open: all system calls but those of looking, all files but the libraries' own.

Two walls of the kernel, each narrower than the unit's: a seccomp filter (by libseccomp, which systemd brings) and Landlock. Where one
cannot be had the other stands, with the limits. ``python -m gateway.filters.inspection.sandbox`` tells which stand here.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 4, 22, 38, 2  # <linux/prctl.h>, <linux/seccomp.h>
ALLOW, KILL, REFUSE, MASKED_EQUAL = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 7  # <seccomp.h>
CALLS = (
    "read pread64 write recvfrom sendto poll ppoll close close_range lseek fstat newfstatat stat lstat statx access faccessat faccessat2"
    " readlink readlinkat getcwd getdents64 fcntl fadvise64 mmap munmap mremap mprotect madvise brk futex getrandom clock_gettime"
    " gettimeofday getrusage getpid gettid getuid geteuid getgid getegid uname sysinfo sched_yield sched_getaffinity rseq"
    " rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack set_robust_list restart_syscall exit exit_group"
)
# Nothing that looks at bytes wants one of these by mistake: whoever does is ended, which raises an alarm; all others are refused.
HOSTILE = "socket socketpair connect bind listen execve execveat ptrace process_vm_readv process_vm_writev bpf mount io_uring_setup"
WRITING = (
    os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
)  # none of it in what is opened
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
HANDLED = (
    (1, (1 << 13) - 1),
    (2, 1 << 13),
    (3, 1 << 14),
    (5, 1 << 15),
)  # since which ABI of Landlock: which acts on files
READ, BENEATH, ASK_ABI = 1 << 2 | 1 << 3, 1, 1  # <linux/landlock.h>
LIBRARIES = ("/usr/lib", "/usr/local/lib", "/usr/share", sys.prefix, *sys.path)
OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
PARTS = ("seccomp", "landlock")
_libc = ctypes.CDLL(None, use_errno=True)


class _Compare(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("folder", ctypes.c_int32))


class Sandbox:
    """The walls, built once; ``enter`` goes behind them for good."""

    def __init__(self, readable: Iterable[str] = LIBRARIES) -> None:
        self._walls: dict[str, Any] = {}
        builders: tuple[Callable[[], Any], ...] = (_filter, lambda: _files(readable))
        for name, build in zip(PARTS, builders, strict=True):
            try:
                self._walls[name] = build()
                self._try()
            except (OSError, AttributeError) as error:
                self._walls.pop(name, None)
                sys.stderr.write(f"the processes that look at bytes go without {name}: {error}\n")

    @property
    def parts(self) -> list[str]:
        """Return the names of the walls that stand."""
        return list(self._walls)

    def enter(self, keep: Iterable[int]) -> None:
        """Give up everything else, with no descriptors but those to ``keep`` and that of errors.

        Raises:
            OSError: the kernel did not do it; nothing may be looked at then.
        """
        for number, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_DUMPABLE, 0)):
            _done(_libc.prctl(number, value, 0, 0, 0))
        if "landlock" in self._walls:
            _done(_libc.syscall(RESTRICT_SELF, self._walls["landlock"], 0))
        edges = [-1, *sorted({2, *keep}), 1 << 20]
        for below, above in itertools.pairwise(edges):
            if below + 1 < above:  # (an empty range would be taken for all that follow)
                os.closerange(below + 1, above)
        if text := self._walls.get("seccomp", b""):
            program = _Program(len(text) // 8, ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p))
            _done(_libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0))

    def _try(self) -> None:
        if (child := os.fork()) == 0:
            try:
                self.enter(())
            except OSError as error:
                os._exit(error.errno or 1)
            os._exit(0)
        if (status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) != 0:
            raise OSError(abs(status), f"it cannot be entered ({status})")


def _filter() -> bytes:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context, (into, out) = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE))), os.pipe()
    library.seccomp_attr_set(
        context, OPTIMIZE, 2
    )  # a tree: the kernel goes through it for every call when it is entered
    rules: list[tuple[int, str, tuple[_Compare, ...]]] = []
    rules += [(action, call, ()) for action, calls in ((ALLOW, CALLS), (KILL, HOSTILE)) for call in calls.split()]
    rules += [(ALLOW, "openat", (_Compare(2, MASKED_EQUAL, WRITING, os.O_RDONLY),))]
    rules += [(ALLOW, "prlimit64", (_Compare(0, MASKED_EQUAL, 0xFFFFFFFF, 0),))]  # of itself
    for action, call, compare in rules:
        number, array = library.seccomp_syscall_resolve_name(call.encode()), (_Compare * len(compare))(*compare)
        if number >= 0:  # this architecture has it
            _done(library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(compare), array), call)
    _done(library.seccomp_export_bpf(context, out), "export")
    library.seccomp_release(context)
    os.close(out)
    with os.fdopen(into, "rb") as file:
        return file.read()


def _files(readable: Iterable[str]) -> int:
    abi = _done(_libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_ABI), "landlock")
    handled = ctypes.c_uint64(sum(acts for since, acts in HANDLED if abi >= since))
    files = _done(_libc.syscall(CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0), "landlock")
    for path in filter(os.path.isdir, readable):
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _done(_libc.syscall(ADD_RULE, files, BENEATH, ctypes.byref(_Beneath(READ, folder)), 0), path)
        os.close(folder)
    return files


def _done(result: int, what: str = "prctl") -> int:
    if result < 0:
        raise OSError(ctypes.get_errno() or -result, f"{what}: {os.strerror(ctypes.get_errno() or -result)}")
    return result


if __name__ == "__main__":
    sys.stdout.write(" ".join(Sandbox().parts) + "\n")
