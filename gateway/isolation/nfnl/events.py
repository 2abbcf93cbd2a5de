"""Who changed a namespace's ruleset, told as it happens (NFNLGRP_NFTABLES).

It costs the one who changes: a message for each element. A reader that falls behind misses some and is told so; the generation number
(``Link.generation``) is the truth, these say who.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from gateway.isolation.nfnl.messages import NETLINK_NETFILTER, NFTABLES, messages
from gateway.isolation.nfnl.requests import NEWGEN, generation_of

GROUP = 7  # NFNLGRP_NFTABLES
LARGEST = 64 << 10


@dataclass(frozen=True)
class Change:
    """A transaction that was made: the generation since, the process and the command that made it (the command may lie)."""

    generation: int
    pid: int
    command: str


class Events:
    """A listener in the namespace in which it is made; wait for it by its ``fileno()``."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 1 << (GROUP - 1)))
        self.socket.setblocking(False)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self.socket.fileno()

    def close(self) -> None:
        """Hear nothing any more."""
        self.socket.close()

    def read(self) -> tuple[list[Change], bool]:
        """Return the changes since the last call, and whether some were missed: then list anew."""
        found: list[Change] = []
        missed = False
        while True:
            try:
                data, source = self.socket.recvfrom(LARGEST)
            except BlockingIOError:
                return found, missed
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                missed = True
                continue
            if source[0] == 0:  # from the kernel; other processes can send here too
                found += [
                    Change(*generation_of(answer.body))
                    for answer in messages(data)
                    if answer.kind == NFTABLES << 8 | NEWGEN
                ]
