"""What one namespace holds that can lead packets elsewhere: links, traffic control, policy routing, multicast routing, expectations.

Every function asks the namespace of the calling thread.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.isolation.bridges import programs
from gateway.isolation.bridges.netlink import Netlink, attribute, attributes, number, text
from gateway.isolation.bridges.nouns import Filter, LinkSeen, Wired

NEWLINK, GETLINK, GETRULE, GETQDISC, GETTFILTER, GETNSID = 16, 18, 34, 38, 46, 90
IFNAME, ADDRESS, LOWER, MASTER, LINKINFO, EXT_MASK, PROMISCUITY = 3, 1, 5, 10, 18, 29, 30
NETNSID, XDP, PARENT_NAME, PARENT_BUS = 37, 43, 56, 57
SKIP_STATS = 8
NSID, NSID_BY_FD = 1, 3
UP, LOOPBACK, PROMISC = 1, 8, 0x100
TCA_KIND = 1
FRA_PRIORITY, FRA_TABLE = 6, 15
# Priority and table: local, main, default; multicast routing of IPv6 calls main its default.
ORDINARY_RULES = {(0, 255), (32766, 254), (32767, 253), (32767, 254)}
TO_TABLE = 1
MODES = {1: 4, 2: 2, 3: 8}  # attached by driver, by the stack, in hardware -> the flag that detaches there
DEVICES = Path("/sys/bus/pci/devices")


def links(netlink: Netlink, space: int, names: Mapping[int, int]) -> list[LinkSeen]:
    """Return the links of this namespace; ``names`` are the namespaces to recognise behind them, with open descriptors."""
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(EXT_MASK, struct.pack("=I", SKIP_STATS))
    parsed = [(payload, attributes(payload, 16)) for payload in netlink.dump(GETLINK, body)]
    far: dict[int, int] = {}
    if any(NETNSID in told for _, told in parsed):
        far = numbers(netlink, names)
    return [parse_link(payload, told, space, far) for payload, told in parsed]


def numbers(netlink: Netlink, names: Mapping[int, int]) -> dict[int, int]:
    """Return this namespace's number for each of ``names`` that it has one for -> that namespace."""
    return {n: inode for inode, descriptor in names.items() if (n := _number(netlink, descriptor)) >= 0}


def _number(netlink: Netlink, descriptor: int) -> int:
    body = struct.pack("=Bxxx", socket.AF_UNSPEC) + attribute(NSID_BY_FD, struct.pack("=I", descriptor))
    return int(struct.unpack("=i", attributes(netlink.ask(GETNSID, body), 4)[NSID])[0])


def parse_link(payload: bytes, told: Mapping[int, bytes], space: int, far: Mapping[int, int]) -> LinkSeen:
    """Return the link that a message tells of; ``far`` says which namespaces its numbers mean."""
    index, flags = struct.unpack_from("=iI", payload, 4)
    info = attributes(told.get(LINKINFO, b""))
    nsid = struct.unpack("=i", told[NETNSID])[0] if NETNSID in told else None
    pci = text(told[PARENT_NAME]) if told.get(PARENT_BUS) == b"pci\0" else ""
    return LinkSeen(
        space,
        index,
        text(told.get(IFNAME, b"")),
        told.get(ADDRESS, b"").hex(":"),
        text(info.get(1, b"")),
        bool(flags & UP),
        bool(flags & LOOPBACK),
        number(told.get(MASTER)),
        number(told.get(LOWER)),
        None if nsid is None else far.get(nsid, 0),
        number(told.get(PROMISCUITY)) or int(bool(flags & PROMISC)),
        _xdp(told.get(XDP, b"")),
        pci,
        _physical(pci),
    )


def set_down(netlink: Netlink, index: int) -> None:
    """Set a link down.

    Raises:
        OSError: the kernel refused.
    """
    netlink.order(NEWLINK, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, UP))


def _xdp(data: bytes) -> tuple[tuple[int, int], ...]:
    """Return (flag that detaches, program) of what IFLA_XDP tells: attached 2, program 4, by driver 5, stack 6, hardware 7."""
    told = attributes(data)
    mode = told.get(2, b"\0")[0]
    if mode == 4:
        return tuple((MODES[kind - 4], number(told[kind])) for kind in (5, 6, 7) if kind in told)
    return ((MODES[mode], number(told.get(4))),) if mode else ()


def _physical(pci: str) -> str:
    try:
        return (DEVICES / pci / "physfn").readlink().name if pci else ""
    except OSError:
        return ""  # it is no virtual function


def filters(netlink: Netlink, space: int, seen: Iterable[LinkSeen]) -> list[Filter]:
    """Return what traffic control has on the links: every queueing discipline, with filters, and programs of tcx."""
    names = {link.index: link.name for link in seen}
    found = []
    for payload in netlink.dump(GETQDISC, struct.pack("=BxHiIII", 0, 0, 0, 0, 0, 0)):
        index, handle, parent = struct.unpack_from("=iII", payload, 4)
        kind = text(attributes(payload, 20).get(TCA_KIND, b""))
        told = () if kind == "noqueue" else _filters(netlink, index, handle)
        found.append(Filter(space, names.get(index, f"link {index}"), index, kind, handle, parent, told))
    for index, name in names.items():
        for hook, program in programs.on_link(index):
            found.append(Filter(space, name, index, "tcx", hook, program=program))
    return found


def _filters(netlink: Netlink, index: int, handle: int) -> tuple[str, ...]:
    """Return the kinds of the filters of a discipline; those of clsact hang below its two hooks."""
    parents = [handle & 0xFFFF0000 | low for low in (0, 0xFFF2, 0xFFF3)] if handle >> 16 == 0xFFFF else [handle]
    found: dict[str, None] = {}
    for parent in parents:
        for payload in netlink.dump(GETTFILTER, struct.pack("=BxHiIII", 0, 0, index, 0, parent, 0)):
            found[text(attributes(payload, 20).get(TCA_KIND, b""))] = None
    return tuple(found)


def wired(netlink: Netlink, space: int, names: Mapping[int, int]) -> Wired:
    """Return what else this namespace holds that can lead packets elsewhere."""
    body = struct.pack("=Bxxx", socket.AF_UNSPEC)
    known = numbers(netlink, names)
    told = {
        struct.unpack("=i", found[NSID])[0]
        for found in (attributes(payload, 4) for payload in netlink.dump(GETNSID, body))
        if NSID in found
    }
    return Wired(
        space,
        tuple(_rules(netlink)),
        _lines("ip_mr_vif", 1) + _lines("ip6_mr_vif", 1),
        _lines("nf_conntrack_expect", 0),
        tuple(sorted(told - known.keys())),
        tuple(programs.on_space()),
    )


def _rules(netlink: Netlink) -> list[str]:
    found = []
    for payload in netlink.dump(GETRULE, bytes(12)):
        family, target, source, _, table, _, _, action = struct.unpack_from("=8B", payload)
        told = attributes(payload, 12)
        priority, table = number(told.get(FRA_PRIORITY)), number(told.get(FRA_TABLE)) or table
        extra = set(told) - {FRA_PRIORITY, FRA_TABLE, 13, 14, 21}  # suppressors say less, a protocol nothing
        if (priority, table) not in ORDINARY_RULES or action != TO_TABLE or target or source or extra:
            found.append(f"family {family} priority {priority} table {table}")
    return found


def _lines(name: str, header: int) -> int:
    try:
        return max(0, Path("/proc/thread-self/net", name).read_text().count("\n") - header)
    except OSError:
        return 0  # this kernel has none of that
