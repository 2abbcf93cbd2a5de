"""Two netlink questions that pyroute2 has no call for: a ruleset's generation, and another namespace's number here."""

from __future__ import annotations

import socket
import struct

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
REQUEST = 1  # NLM_F_REQUEST
GETGEN = 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
GETNSID = 90  # RTM_GETNSID
GEN_ID, NSID, FD = 1, 1, 3  # NFTA_GEN_ID, NETNSA_NSID, NETNSA_FD
PATIENCE = 2.0  # seconds for the kernel's answer


def generation() -> int:
    """Return the number that grows with each change of this namespace's nftables ruleset.

    Raises:
        OSError: the kernel does not tell.
    """
    answer = _ask(NETLINK_NETFILTER, struct.pack("=IHHII", 20, GETGEN, REQUEST, 1, 0) + struct.pack("=BBH", 0, 0, 0))
    return int(struct.unpack(">I", _attribute(answer, 20, GEN_ID))[0])


def number_of(descriptor: int) -> int | None:
    """Return the number that this namespace has for the one open at ``descriptor``, or None where it has none.

    Raises:
        OSError: the kernel does not tell.
    """
    body = struct.pack("=BxxxHHI", socket.AF_UNSPEC, 8, FD, descriptor)
    answer = _ask(NETLINK_ROUTE, struct.pack("=IHHII", 16 + len(body), GETNSID, REQUEST, 1, 0) + body)
    number = int(struct.unpack("=i", _attribute(answer, 20, NSID))[0])
    return number if number >= 0 else None


def _ask(family: int, message: bytes) -> bytes:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as netlink:
        netlink.settimeout(PATIENCE)
        netlink.sendto(message, (0, 0))
        answer = netlink.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] == 2:  # NLMSG_ERROR
        number = -struct.unpack_from("=i", answer, 16)[0]
        raise OSError(number, "netlink refused the question")
    return answer


def _attribute(answer: bytes, place: int, wanted: int) -> bytes:
    while place + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, place)
        if kind & 0x3FFF == wanted:
            return answer[place + 4 : place + length]
        place += max(4, (length + 3) & ~3)
    raise OSError(0, f"the kernel's answer has no attribute {wanted}")
