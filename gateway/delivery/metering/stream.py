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
from dataclasses import dataclass

_INFO = struct.Struct("=B23xI92xQ16xI")  # struct tcp_info: state, unacked segments, bytes acknowledged, bytes not sent
_INT = struct.Struct("=i")
CLOSED = 7  # TCP_CLOSE: no byte will leave any more
SO_ATTACH_FILTER, SO_MAX_PACING_RATE = 26, 47  # <asm-generic/socket.h>
_AT_ONCE = 100  # tries to see two figures between two acknowledgements

# A program of one instruction, "return 0": every packet that comes in is dropped (linux/filter.h).
_DROP = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
_PROGRAM = struct.pack("@HP", 1, ctypes.addressof(_DROP))


@dataclass(frozen=True)
class Position:
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
        return Position(upto, upto, upto, False)
    for _ in range(_AT_ONCE):
        waiting = _INT.unpack(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]  # written, not acknowledged
        state, _unacknowledged, now, unsent_now = _look(connection)
        if (now, unsent_now) == (upto, unsent):
            break
        upto, unsent = now, unsent_now
    return Position(upto, upto + waiting - unsent, upto + waiting, state == CLOSED)


def stop(connection: socket.socket) -> Position:
    """Let no more of a connection leave, and return where it is; closing it resets it and throws away what waits.

    TCP sends no more than one segment from then on, since the next one may follow in a day only; whether that one goes between the answer
    and the closing is a matter of microseconds. Where the kernel lets us, no acknowledgement comes in any more that would set it free.
    """
    with contextlib.suppress(PermissionError):  # newer kernels (seen with 6.18) let only root filter TCP
        connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, _PROGRAM)
    connection.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    return position(connection)


def _look(connection: socket.socket) -> tuple[int, int, int, int]:
    state, unacknowledged, upto, unsent = _INFO.unpack(
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    )
    return state, unacknowledged, upto, unsent
