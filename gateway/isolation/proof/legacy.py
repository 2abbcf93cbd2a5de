"""The packet filters before nftables (iptables and its kin), which no listing by nft shows: whether one holds a rule in our namespace.

Their rules can copy packets (TEE), take them out (NFQUEUE, TPROXY) or keep connections from being tracked; so any rule is one too many. An
empty table, such as a mere look at it makes, changes nothing; its policy can only drop more.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from pathlib import Path

HERE = Path("/proc/thread-self/net")
# The list of tables, and how each is asked (IPT_SO_GET_INFO, IP6T_SO_GET_INFO, ARPT_SO_GET_INFO).
ASKED = {
    "ip_tables_names": (socket.AF_INET, socket.SOL_IP, 64),
    "ip6_tables_names": (socket.AF_INET6, 41, 64),
    "arp_tables_names": (socket.AF_INET, socket.SOL_IP, 96),
}
_libc = ctypes.CDLL(None, use_errno=True)
INFO = struct.Struct(
    "=32sI5I5III"
)  # struct ipt_getinfo: name, valid hooks, entries, underflows, number of entries, size


def rules() -> tuple[str, ...]:
    """Return in words the tables that hold rules, in the namespace of this thread.

    Raises:
        OSError: the kernel does not tell.
    """
    return tuple(
        f"{listed.removesuffix('_names')} {name}, which holds rules besides nftables'"
        for listed, (family, level, option) in ASKED.items()
        for name in _names(HERE / listed)
        if _count(family, level, option, name)
    )


def _names(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _count(family: int, level: int, option: int, name: str) -> int:
    """Return how many rules a table has."""
    told = ctypes.create_string_buffer(INFO.pack(name.encode(), *(0,) * 13), INFO.size)
    length = ctypes.c_uint32(INFO.size)
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as asking:
        # The question goes in where the answer comes out, which Python's own getsockopt cannot do.
        if _libc.getsockopt(asking.fileno(), level, option, told, ctypes.byref(length)):
            number = ctypes.get_errno()
            raise OSError(number, f"table {name}: {os.strerror(number)}")
    _, hooks, *_, count, _ = INFO.unpack(told.raw)
    return int(count) - int(hooks).bit_count() - 1  # beside the policy of each hook, and the end
