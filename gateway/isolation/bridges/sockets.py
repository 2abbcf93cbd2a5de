"""The sockets of the calling thread's namespace as the kernel lists them (sock_diag), whether or not a process holds them."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Container

from gateway.isolation.bridges.netlink import Netlink, attributes, number
from gateway.isolation.bridges.nouns import Connection, Open

BY_FAMILY, DESTROY = 20, 21
TCP_LISTEN, CLOSED = 10, 7
# Those that may have a descriptor: not TIME_WAIT (6) nor NEW_SYN_RECV (12), which the kernel keeps by itself.
TCP_STATES = 0xFFFFFFFF & ~(1 << 6 | 1 << 12)
SHOW_NAME, SHOW_PEER = 1, 4
UNIX_NAME, UNIX_PEER = 0, 2
FAMILIES = (socket.AF_INET, socket.AF_INET6)
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
PACKET = socket.AF_PACKET
_inode = struct.Struct("=I").unpack_from


def opened(netlink: Netlink, space: int, held: Container[int]) -> list[Open]:
    """Return the TCP, UDP and packet sockets of this namespace that listen, or that are not among those ``held`` by processes.

    Raises:
        OSError: the kernel does not list them.
    """
    found = []
    for family in FAMILIES:
        for protocol, number_ in PROTOCOLS.items():
            body = struct.pack("=BBBxI48x", family, number_, 0, TCP_STATES)
            listening = TCP_LISTEN if protocol == "tcp" else CLOSED
            for payload in netlink.dump(BY_FAMILY, body):
                inode = _inode(payload, 68)[0]
                if payload[1] == listening or inode not in held:
                    found.append(_inet(payload, space, protocol, inode, listening=payload[1] == listening))
    body = struct.pack("=BBHIIII", PACKET, 0, 0, 0, 0, 0, 0)
    packets = netlink.dump(BY_FAMILY, body)
    return found + [Open(space, "packet", _inode(payload, 4)[0], family=PACKET) for payload in packets]


def _inet(payload: bytes, space: int, protocol: str, inode: int, *, listening: bool) -> Open:
    family = payload[0]
    port = struct.unpack_from(">H", payload, 4)[0]
    length = 4 if family == socket.AF_INET else 16
    address = str(ipaddress.ip_address(payload[8 : 8 + length])) if listening else ""
    return Open(space, protocol, inode, listening, address, port, payload[4:52], family)


def connections(netlink: Netlink, space: int) -> list[Connection]:
    """Return the Unix sockets that were made in this namespace and are connected, or bound to a path that others connect to.

    Raises:
        OSError: the kernel does not list them.
    """
    body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, SHOW_NAME | SHOW_PEER, 0xFFFFFFFF, 0xFFFFFFFF)
    found = []
    for payload in netlink.dump(BY_FAMILY, body):
        told = attributes(payload, 16)
        if UNIX_PEER in told or UNIX_NAME in told:
            path = told.get(UNIX_NAME, b"").rstrip(b"\0").decode(errors="replace")
            found.append(Connection(struct.unpack_from("=I", payload, 4)[0], number(told.get(UNIX_PEER)), path, space))
    return found


def close(netlink: Netlink, family: int, protocol: int, identity: bytes) -> None:
    """Close a TCP or UDP socket of this namespace, whoever holds it.

    Raises:
        OSError: the kernel refused.
    """
    netlink.order(DESTROY, struct.pack("=BBBxI", family, protocol, 0, TCP_STATES) + identity)
