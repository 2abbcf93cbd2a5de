"""BPF programs, maps and links, asked of the kernel by number; those of other containers on the same kernel are seen too."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from gateway.isolation.bridges import syscalls
from gateway.isolation.bridges.nouns import Attachment, Program, Table

NEXT_PROGRAM, NEXT_MAP, NEXT_LINK = 11, 12, 31
OPEN_PROGRAM, OPEN_MAP, OPEN_LINK = 13, 14, 30
INFO, QUERY, PROG_DETACH, LINK_DETACH = 15, 16, 9, 34
TCX_HOOKS = (46, 47)
FLOW_DISSECTOR, SK_LOOKUP = 17, 36
ON_SPACE = {FLOW_DISSECTOR: "flow dissector", SK_LOOKUP: "socket look-up"}
LINK_NETNS, LINK_XDP, LINK_TCX = 5, 6, 11
MOST_MAPS = 64  # of one program
MOST_QUERIED = 64  # programs on one hook


def _ask(command: int, attributes: bytes) -> tuple[int, bytes]:
    buffer = ctypes.create_string_buffer(attributes, max(128, len(attributes)))
    return syscalls.bpf(command, buffer), buffer.raw


def numbers(command: int) -> Iterator[int]:
    """Yield the numbers of all objects of a kind.

    Raises:
        OSError: the kernel or a filter of system calls does not let this process see them.
    """
    last = 0
    while True:
        try:
            _, answer = _ask(command, struct.pack("=I", last))
        except FileNotFoundError:
            return
        last = struct.unpack_from("=I", answer, 4)[0]
        yield last


def opened(command: int, number: int) -> int:
    """Return a descriptor of the object with this number.

    Raises:
        OSError: it is gone, or may not be opened.
    """
    return _ask(command, struct.pack("=I", number))[0]


def _info(command: int, number: int, wanted: bytes, size: int) -> bytes | None:
    """Return the kernel's description of an object, or None if it is gone meanwhile."""
    try:
        descriptor = opened(command, number)
    except FileNotFoundError:
        return None
    try:
        told = ctypes.create_string_buffer(wanted, size)
        _ask(INFO, struct.pack("=IIQ", descriptor, size, ctypes.addressof(told)))
        return told.raw
    finally:
        os.close(descriptor)


class Programs:
    """Remembers what does not change: a program, and a map's kind, keep their number for ever."""

    def __init__(self) -> None:
        self._programs: dict[int, Program] = {}
        self._tables: dict[int, Table] = {}

    def programs(self) -> dict[int, Program]:
        """Return all programs by number.

        Raises:
            OSError: they may not be seen.
        """
        now = {n: told for n in numbers(NEXT_PROGRAM) if (told := self._programs.get(n) or _program(n))}
        self._programs = now
        return now

    def tables(self) -> dict[int, Table]:
        """Return all maps by number.

        Raises:
            OSError: they may not be seen.
        """
        now = {n: told for n in numbers(NEXT_MAP) if (told := self._tables.get(n) or _table(n))}
        self._tables = now
        return now

    def attachments(self) -> tuple[Attachment, ...]:
        """Return all BPF links.

        Raises:
            OSError: they may not be seen.
        """
        return tuple(told for n in numbers(NEXT_LINK) if (told := _attachment(n)))


def _program(number: int) -> Program | None:
    maps = (ctypes.c_uint32 * MOST_MAPS)()
    wanted = bytes(52) + struct.pack("=IQ", MOST_MAPS, ctypes.addressof(maps))
    told = _info(OPEN_PROGRAM, number, wanted, 128)
    if told is None:
        return None
    kind, number, tag = struct.unpack_from("=II8s", told)
    count = min(struct.unpack_from("=I", told, 52)[0], MOST_MAPS)
    name = told[64:80].split(b"\0")[0].decode(errors="replace")
    return Program(number, kind, tag.hex(), name, tuple(maps[:count]))


def _table(number: int) -> Table | None:
    told = _info(OPEN_MAP, number, b"", 80)
    if told is None:
        return None
    kind, number = struct.unpack_from("=II", told)
    return Table(number, kind, told[24:40].split(b"\0")[0].decode(errors="replace"))


def _attachment(number: int) -> Attachment | None:
    told = _info(OPEN_LINK, number, b"", 64)
    if told is None:
        return None
    kind, number, program = struct.unpack_from("=III", told)
    place = struct.unpack_from("=I", told, 16)[0]
    on_link = kind in (LINK_XDP, LINK_TCX)
    return Attachment(number, kind, program, place if on_link else 0, place if kind == LINK_NETNS else 0)


def on_link(index: int) -> list[tuple[int, int]]:
    """Return (hook, program) of what tcx runs on a link of this thread's namespace; none where that may not be asked."""
    return [(hook, program) for hook in TCX_HOOKS for program in _queried(index, hook)]


def on_space() -> list[tuple[str, int]]:
    """Return (hook, program) of what decides for this thread's whole namespace."""
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return [(name, program) for hook, name in ON_SPACE.items() for program in _queried(descriptor, hook)]
    finally:
        os.close(descriptor)


def _queried(target: int, hook: int) -> list[int]:
    found = (ctypes.c_uint32 * MOST_QUERIED)()
    question = struct.pack("=IIIIQI", target, hook, 0, 0, ctypes.addressof(found), MOST_QUERIED)
    try:
        _, answer = _ask(QUERY, question)
    except OSError:
        return []  # this kernel has no such hook, or nobody may ask, of which ``Programs`` tells
    return list(found[: struct.unpack_from("=I", answer, 24)[0]])


def detach_link(number: int) -> None:
    """Take the program of a BPF link off.

    Raises:
        OSError: the kernel refused.
    """
    descriptor = opened(OPEN_LINK, number)
    try:
        _ask(LINK_DETACH, struct.pack("=I", descriptor))
    finally:
        os.close(descriptor)


def detach_tcx(index: int, hook: int, program: int) -> None:
    """Take a program of tcx off a link of this thread's namespace.

    Raises:
        OSError: the kernel refused.
    """
    descriptor = opened(OPEN_PROGRAM, program)
    try:
        _ask(PROG_DETACH, struct.pack("=III", index, descriptor, hook))
    finally:
        os.close(descriptor)
