"""What a namespace holds by the kernel's own messages (rtnetlink): links, addresses, routes, rules of routing, neighbours.

Each is read in a fraction of a millisecond: the guard looks every second.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator

from gateway.isolation.nfnl.link import Link as Nftables
from gateway.isolation.nfnl.messages import NETLINK_ROUTE, Message, attribute, attributes, word
from gateway.isolation.nfnl.netlink import Netlink
from gateway.isolation.topology import LOOPBACK, Link, Lookup, Neighbour, Path, follows

GETLINK, NEWADDR, DELADDR, GETADDR, DELROUTE, GETROUTE = 18, 20, 21, 22, 25, 26  # RTM_*
NEWNEIGH, DELNEIGH, GETNEIGH, NEWRULE, DELRULE, GETRULE = 28, 29, 30, 32, 33, 34
CREATE_REPLACE = 0x400 | 0x100  # NLM_F_CREATE | NLM_F_REPLACE
UP = 1  # IFF_UP
KERNEL, UNICAST = 2, 1  # RTPROT_KERNEL, RTN_UNICAST
KINDS = {
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
}
PERMANENT, PROXY = 0x80, 0x08  # NUD_PERMANENT, NTF_PROXY
TO_TABLE, INVERT = 1, 2  # FR_ACT_TO_TBL, FIB_RULE_INVERT
# Of a rule of routing: what it is called by, padding, and who made it.
NOTHING_SAID = {6, 14, 15, 18, 21}  # FRA_PRIORITY, SUPPRESS_PREFIXLEN, TABLE, PAD, PROTOCOL
DRIVER, ETHTOOL = 3, 0x8946  # ETHTOOL_GDRVINFO, SIOCETHTOOL


def generation() -> int:
    """Return the number that grows with each change of this namespace's nftables ruleset.

    Raises:
        OSError: the kernel does not tell.
    """
    with Nftables() as nftables:
        return nftables.generation()


class Rtnetlink(Netlink):
    """A socket to the links, addresses and routes of the namespace in which it is opened."""

    def __init__(self) -> None:
        super().__init__(NETLINK_ROUTE)

    def links(self) -> dict[int, Link]:
        """Return index -> link, with its addresses but for the one of IPv6 that follows from the MAC.

        Raises:
            OSError: the kernel does not tell.
        """
        found = dict(map(_link, self.whole(GETLINK, bytes(16))))
        owned: dict[int, list[str]] = {}
        for (index, address), _ in self.addresses():
            link = found.get(index)
            if link is None or not ((link.name == "lo" and address in LOOPBACK) or address == _link_local(link.mac)):
                owned.setdefault(index, []).append(address)
        return {
            index: Link(
                link.name,
                link.mac,
                link.kind,
                link.up,
                tuple(sorted(owned.get(index, ()))),
                link.master,
                link.pci,
                link.netnsid,
            )
            for index, link in found.items()
        }

    def addresses(self) -> list[tuple[tuple[int, str], bytes]]:
        """Return (link's index, address), each with the message that tells it.

        Raises:
            OSError: the kernel does not tell.
        """
        return [(_address(message), bytes(message.body)) for message in self.whole(GETADDR, bytes(8))]

    def routes(self, addresses: tuple[str, ...]) -> list[tuple[Path, bytes]]:
        """Return the routes that do not follow from ``addresses``, each with the message that tells it.

        Raises:
            OSError: the kernel does not tell.
        """
        return [
            (path, bytes(message.body))
            for message in self.whole(GETROUTE, bytes(12))
            if (path := _path(message, addresses)) is not None
        ]

    def lookups(self) -> list[tuple[Lookup, bytes]]:
        """Return the rules of routing, each with the message that tells it.

        Raises:
            OSError: the kernel does not tell.
        """
        return [(_lookup(message), bytes(message.body)) for message in self.whole(GETRULE, bytes(12))]

    def neighbours(self, links: dict[int, Link]) -> list[tuple[Neighbour, bytes]]:
        """Return the entries that somebody set, each with the message that tells it.

        Raises:
            OSError: the kernel does not tell.
        """
        told = [*self.whole(GETNEIGH, bytes(12)), *self.whole(GETNEIGH, struct.pack("=BxxxiHBB", 0, 0, 0, PROXY, 0))]
        return [(entry, bytes(message.body)) for message in told if (entry := _neighbour(message, links)) is not None]

    def pin(self, index: int, entry: Neighbour) -> None:
        """Set a permanent neighbour, in place of whatever is known of it.

        Raises:
            OSError: the kernel refused.
        """
        address = ipaddress.ip_address(entry.address)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        body = struct.pack("=BxxxiHBB", family, index, PERMANENT, 0, 0)
        mac = bytes.fromhex(entry.mac.replace(":", ""))
        self.one(NEWNEIGH, body + attribute(1, address.packed) + attribute(2, mac), CREATE_REPLACE)


def _link(message: Message) -> tuple[int, Link]:
    index, flags = struct.unpack_from("=iI", message.body, 4)
    told = attributes(message.body[16:])
    name = word(told.get(3))
    info = attributes(told[18]) if 18 in told else {}
    kind = word(info.get(1))
    netnsid = struct.unpack("=i", told[37])[0] if 37 in told else -1
    hardware = not kind and name != "lo"
    return index, Link(
        name,
        bytes(told[1]).hex(":") if 1 in told and len(told[1]) <= 32 else "",
        kind,
        bool(flags & UP),
        master=10 in told,
        pci=_pci(name, told) if hardware else "",
        netnsid=netnsid if netnsid >= 0 else None,
    )


def _pci(name: str, told: dict[int, memoryview]) -> str:
    """Return the PCI address of a link's card, empty if it is on no PCI bus."""
    if word(told.get(57)) == "pci":  # IFLA_PARENT_DEV_BUS_NAME
        return word(told.get(56))  # IFLA_PARENT_DEV_NAME
    # A virtio card's parent is the virtio bus; its driver tells where on the PCI bus that is.
    info = ctypes.create_string_buffer(struct.pack("=I", DRIVER), 196)  # struct ethtool_drvinfo
    request = struct.pack("16sP16x", name.encode(), ctypes.addressof(info))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            fcntl.ioctl(asking, ETHTOOL, request)
        except OSError:
            return ""  # the driver does not tell
    told_bus = info.raw[100:132].split(b"\0")[0].decode(errors="replace")
    return told_bus if told_bus.count(":") == 2 else ""


def _address(message: Message) -> tuple[int, str]:
    family, length, _, _, index = struct.unpack_from("=BBBBI", message.body)
    told = attributes(message.body[8:])
    other, local = told.get(1), told.get(2)
    own = local if local is not None else other
    if own is None or family not in (socket.AF_INET, socket.AF_INET6):
        return index, f"family {family}"
    peer = f" peer {ipaddress.ip_address(bytes(other))}" if other is not None and bytes(other) != bytes(own) else ""
    return index, f"{ipaddress.ip_address(bytes(own))}/{length}{peer}"


def _link_local(mac: str) -> str:
    """Return the address that the kernel gives a link (RFC 4291 appendix A), empty for one without an Ethernet address."""
    parts = bytes.fromhex(mac.replace(":", ""))
    if len(parts) != 6:
        return ""
    host = bytes([parts[0] ^ 2]) + parts[1:3] + b"\xff\xfe" + parts[3:]
    return f"{ipaddress.IPv6Address(bytes.fromhex('fe80') + bytes(6) + host)}/64"


def _path(message: Message, addresses: tuple[str, ...]) -> Path | None:
    family, length, source, tos, table, protocol, _, kind = struct.unpack_from("=8B", message.body)
    told = attributes(message.body[12:])
    if 15 in told:
        table = struct.unpack("=I", told[15])[0]
    if family not in (socket.AF_INET, socket.AF_INET6):
        return Path(f"family {family}", "", table, KINDS.get(kind, ""))
    empty = bytes(4 if family == socket.AF_INET else 16)
    to = f"{ipaddress.ip_address(bytes(told.get(1, empty)))}/{length}"
    via = str(ipaddress.ip_address(bytes(told[5]))) if 5 in told else ""
    via = via or ("several" if 9 in told else f"nexthop {struct.unpack('=I', told[30])[0]}" if 30 in told else "")
    via = via or ("another family" if 18 in told else "")
    name = "" if kind == UNICAST else KINDS.get(kind, str(kind))
    plain = not (source or tos)
    if plain and protocol == KERNEL and follows(to, name, table, via, addresses):
        return None
    return Path(to, via, table, name)


def _lookup(message: Message) -> Lookup:
    family, target, source, tos, table, _, _, action = struct.unpack_from("=8B", message.body)
    (flags,) = struct.unpack_from("=I", message.body, 8)
    told = attributes(message.body[12:])
    if 15 in told:
        table = struct.unpack("=I", told[15])[0]
    priority = struct.unpack("=I", told[6])[0] if 6 in told else 0
    said = [f"attribute {kind}" for kind in sorted(set(told) - NOTHING_SAID)]
    if 14 in told and bytes(told[14]) != b"\xff" * 4:
        said.append("suppresses")
    if action != TO_TABLE:
        said.append(f"action {action}")
    if flags & INVERT:
        said.append("inverted")
    if target or source or tos:
        said.append("selects")
    version = {socket.AF_INET: 4, socket.AF_INET6: 6}.get(family, family)
    return Lookup(version, priority, table, ", ".join(said))


def _neighbour(message: Message, links: dict[int, Link]) -> Neighbour | None:
    family, index, state, flags, _ = struct.unpack_from("=BxxxiHBB", message.body)
    told = attributes(message.body[12:])
    proxy = bool(flags & PROXY)
    if family not in (socket.AF_INET, socket.AF_INET6) or 1 not in told or not (state & PERMANENT or proxy):
        return None
    mac = bytes(told[2]).hex(":") if 2 in told else ""
    link = links[index].name if index in links else str(index)
    return Neighbour(str(ipaddress.ip_address(bytes(told[1]))), "" if proxy else mac, link, proxy)


def each_own(links: dict[int, Link]) -> Iterator[str]:
    """Yield the addresses of the links."""
    for link in links.values():
        yield from (address for address in link.addresses if "/" in address and " " not in address)
        if local := _link_local(link.mac):
            yield local
