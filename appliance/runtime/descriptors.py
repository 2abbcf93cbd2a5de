"""Descriptors stay where they are: none comes in over a Unix socket, and none is taken out of the process from outside.

An open socket works in whatever namespace it was opened, so a descriptor that changes hands joins two zones without a packet.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

SO_PASSRIGHTS = 83  # <asm-generic/socket.h>, Linux 6.16
GET_DUMPABLE, SET_DUMPABLE = 3, 4  # <linux/prctl.h>
_libc = ctypes.CDLL(None, use_errno=True)


def refuse(channel: socket.socket) -> bool:
    """Let nobody pass descriptors to this Unix socket, nor to those it accepts; return whether the kernel can."""
    try:
        channel.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    except OSError as error:
        # Older kernels have no such option: nothing here receives descriptors, and the host's measures tell it.
        if error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
            return False
        raise
    return True


def listener(path: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Return a Unix socket bound to ``path``, to which nobody passes descriptors."""
    channel = socket.socket(socket.AF_UNIX, kind)
    try:
        refuse(channel)
        channel.bind(path)
        channel.setblocking(False)
    except OSError:
        channel.close()
        raise
    return channel


def keep() -> None:
    """Close this process to others of its user: no ptrace, no pidfd_getfd(2), no look into its memory, no core.

    Raises:
        OSError: the kernel refused.
    """
    if _libc.prctl(SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def kept() -> bool:
    """Return whether this process is closed to others of its user."""
    return bool(_libc.prctl(GET_DUMPABLE, 0, 0, 0, 0) == 0)
