"""How much of what was written to a TCP connection left this host, asked of the kernel (tcp(7), linux/tcp.h).

Positions count the bytes of a connection from an origin of the kernel's choice. *Left* is what TCP gave to the network for the first
time: what was written, less what waits unsent in the socket. A byte sent again is not counted again.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import socket
import struct
import termios
import time
from typing import NamedTuple

_INFO = struct.Struct("=B23xI92xQ16xI")  # struct tcp_info: state, unacked segments, bytes acknowledged, bytes not sent
_INT = struct.Struct("=i")
CLOSED = 7  # TCP_CLOSE: no byte will leave any more
ENDING = (
    4,
    9,
    11,
)  # TCP_FIN_WAIT1, TCP_LAST_ACK, TCP_CLOSING: behind the last byte goes a FIN, which TCP counts as one more
ENDED = (5, 6)  # TCP_FIN_WAIT2, TCP_TIME_WAIT: it has arrived
SO_ATTACH_FILTER, SO_MAX_PACING_RATE = 26, 47  # <asm-generic/socket.h>
SETTLE = 0.0005  # seconds for the one segment that may still go
_AT_ONCE = 100  # tries to see two figures between two acknowledgements

_libc = ctypes.CDLL(None)
_NOWHERE = bytes(16)  # struct sockaddr of the family AF_UNSPEC

# A program of one instruction, "return 0": every packet that comes in is dropped (linux/filter.h).
_DROP = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
_PROGRAM = struct.pack("@HP", 1, ctypes.addressof(_DROP))


class Position(NamedTuple):
    """Where a connection is: acknowledged, left and taken by the kernel up to these positions; ``over``: nothing moves any more."""

    acknowledged: int
    left: int
    taken: int
    over: bool


def acknowledged(connection: socket.socket) -> int:
    """Return up to where the peer acknowledged.

    Raises:
        OSError: this is no TCP connection.
    """
    return int(_INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))[2])


def position(connection: socket.socket) -> Position:
    """Return where a connection is.

    Raises:
        OSError: this is no TCP connection.
    """
    state, unacknowledged, upto, unsent = _look(connection)
    if not unacknowledged and not unsent and state != CLOSED:  # of a closed one the kernel has thrown its list away
        upto -= state in ENDED
        return Position(upto, upto, upto, False)
    for _ in range(_AT_ONCE):
        waiting = _INT.unpack(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]  # written, not acknowledged
        state, _unacknowledged, now, unsent_now = _look(connection)
        if (now, unsent_now) == (upto, unsent):
            break
        upto, unsent = now, unsent_now
    fin = state in ENDED or (state in ENDING and not unsent)
    return Position(upto - (state in ENDED), upto + waiting - unsent - fin, upto + waiting, state == CLOSED)


def stop(connection: socket.socket) -> Position:
    """Let no more of a connection leave, reset it, and return how far it was; what waits is thrown away.

    TCP is told to send so slowly that one segment at most goes from then on, the next one in a day. That one is waited for shortly, so that
    nothing moves between the answer and the reset, which are microseconds apart. Where the kernel lets us, no acknowledgement comes in
    any more that would set it free.
    """
    with contextlib.suppress(PermissionError):  # newer kernels (seen with 6.18) let only root filter TCP
        connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, _PROGRAM)
    connection.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 1)
    first = position(connection)
    until = time.monotonic() + SETTLE
    while not first.over and first.left < first.taken and time.monotonic() < until:
        if position(connection).left != first.left:
            break
    descriptor = connection.fileno()
    here = position(connection)
    _libc.connect(descriptor, _NOWHERE, len(_NOWHERE))  # connect(2): AF_UNSPEC dissolves the association
    return here


def _look(connection: socket.socket) -> tuple[int, int, int, int]:
    state, unacknowledged, upto, unsent = _INFO.unpack(
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    )
    return state, unacknowledged, upto, unsent
