"""Bytes of a file of the store on their way to a screen, without a task for as long as its connection takes them.

The answer's head and the file follow each other without a copy (``sendfile``): at once as far as the connection takes them, and then
whenever there is room, so that a slow screen holds pages that others read too.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import BinaryIO

from gateway.serving.running import shut
from gateway.serving.send import GRACE, SLOWEST, is_readable

PIECE = 2 << 20  # bytes handed over at a time
# The kernel sends full packets meanwhile, and the last one when it is let: else each acknowledgement that comes has what is there sent, and
# a segment of 2 MiB cost an eighth more.
HOLD, LET = 1, 0


class Transfer:
    """``count`` bytes of ``file`` from ``first`` on, to a connection that nothing else is written to until they are over.

    Whoever has the file open keeps it so until then.
    """

    late = False  # its screen read too slowly, and was broken off
    _closed = False
    _room = -1  # another descriptor of the connection, while there is none
    _over: asyncio.Future[None] | None = None

    def __init__(self, transport: asyncio.Transport, file: BinaryIO, first: int, count: int) -> None:
        self.transport = transport
        self._file, self._first, self._at, self._end = file, first, first, first + count
        self._connection: socket.socket = transport.get_extra_info("socket")
        self._head = b""

    @property
    def sent(self) -> int:
        """How many bytes of the file the kernel took."""
        return self._at - self._first

    @property
    def whole(self) -> bool:
        """Whether the kernel took all."""
        return self._at == self._end

    def begin(self, head: bytes) -> bool:
        """Write the answer's head and the file, as far as the kernel takes it at once; return whether that was all."""
        connection, self._head = self._connection, head
        descriptor, file, at, end = connection.fileno(), self._file.fileno(), self._at, self._end
        self._cork(HOLD)
        try:
            self._head = head[os.write(descriptor, head) :]
            if not self._head:
                while at < end:
                    took = os.sendfile(descriptor, file, at, min(PIECE, end - at))
                    at += took
                    if not took:  # the disk does not give it
                        break
        except OSError:  # no room; or a failure, which the next write meets too
            pass
        self._at = at
        if at == end:
            self._cork(LET)
        return at == end

    async def finish(self) -> bool:
        """Send the rest, unless ``close`` was called; return whether the disk gave what was asked of it.

        It ends early where the screen left or reads too slowly, and where the file cannot be read.
        """
        if self._closed or self.whole:
            return True
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        watch = loop.call_later(GRACE + (self._end - self._at) / SLOWEST, self._break_off)
        # asyncio keeps a transport's descriptor for itself, but not another one of the same connection.
        self._room = os.dup(self._connection.fileno())
        loop.add_writer(self._room, self._go_on, self._file.fileno())
        try:
            await self._over
            return self.whole or self._closed or is_readable(self._file, self._at)
        finally:
            watch.cancel()
            self.close()
            self._cork(LET)

    def _cork(self, how: int) -> None:
        try:
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, how)
        except OSError:  # it is nginx's, which is not TCP; or it is gone
            return

    def close(self) -> None:
        """Send nothing more; the file is not needed any longer."""
        self._closed = True
        if self._room >= 0:
            asyncio.get_running_loop().remove_writer(self._room)
            os.close(self._room)
            self._room = -1
        self._tell()

    def _go_on(self, file: int) -> None:
        """Write what there is room for: this is called again when there is more."""
        try:
            if self._head:
                self._head = self._head[os.write(self._room, self._head) :]
                return
            took = os.sendfile(self._room, file, self._at, self._end - self._at)
        except BlockingIOError:
            return
        except OSError as error:  # the screen left, or the disk does not give it: ``sent`` tells how far it came
            took, self.late = 0, self.late or isinstance(error, TimeoutError)  # the kernel's: it took nothing for long
        self._at += took
        if self.whole or not took:
            self._tell()

    def _break_off(self) -> None:
        self.late = True
        shut(self.transport)

    def _tell(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
