"""Bytes of a file of the store on their way to a screen, without a task for as long as its connection takes them.

The answer's head and the first bytes go by one write, the rest by ``sendfile``, piece by piece: at once as far as the connection takes
them, and then whenever there is room, so that a slow screen holds pages that others read too, and no copies.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import BinaryIO

from gateway.serving.running import shut
from gateway.serving.send import GRACE, SLOWEST, is_readable

# Bytes handed over at a time: a screen takes one piece while the next is handed over, which costs a tenth less than all of 2 MiB at once.
PIECE = 512 << 10
WRITTEN = (
    16 << 10
)  # bytes of content that are copied to go with the head; with 64 KiB a segment of 2 MiB cost a tenth more


class Transfer:
    """``count`` bytes of ``file`` from ``first`` on, to a connection that nothing else is written to until they are over."""

    def __init__(self, transport: asyncio.Transport, file: BinaryIO, first: int, count: int) -> None:
        self.transport = transport
        self._file, self._first, self._at, self._end = file, first, first, first + count
        self._connection: socket.socket = transport.get_extra_info("socket")
        self._head = b""
        self._own: BinaryIO | None = None  # the file, while it goes on
        self._room = -1  # another descriptor of the connection, while there is none
        self._over: asyncio.Future[None] | None = None
        self.late = False  # its screen read too slowly, and was broken off

    @property
    def sent(self) -> int:
        """How many bytes of the file the kernel took."""
        return self._at - self._first

    @property
    def whole(self) -> bool:
        """Whether the kernel took all."""
        return self._at == self._end

    def begin(self, head: bytes, content: memoryview) -> bool:
        """Write the answer's head and what is to be sent, as far as the kernel takes it at once; return whether that was all."""
        connection, file, self._head = self._connection.fileno(), self._file.fileno(), head
        try:
            took = os.writev(connection, (head, content[:WRITTEN]))
            self._head = head[took:]
            self._at += max(0, took - len(head))
            while not self._head and not self.whole and took:
                took = os.sendfile(connection, file, self._at, min(PIECE, self._end - self._at))
                self._at += took
        except OSError:  # no room; or a failure, which the next write meets too
            pass
        if not self.whole:
            self._own = os.fdopen(os.dup(self._file.fileno()), "rb", buffering=0)
        return self.whole

    async def finish(self) -> bool:
        """Send the rest, unless ``close`` was called; return whether the disk gave what was asked of it.

        It ends early where the screen left or reads too slowly, and where the file cannot be read.
        """
        if self._own is None:
            return True
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        watch = loop.call_later(GRACE + (self._end - self._at) / SLOWEST, self._break_off)
        # asyncio keeps a transport's descriptor for itself, but not another one of the same connection.
        self._room = os.dup(self._connection.fileno())
        loop.add_writer(self._room, self._go_on, self._own.fileno())
        try:
            await self._over
            return self.whole or self._own is None or is_readable(self._own, self._at)
        finally:
            watch.cancel()
            self.close()

    def close(self) -> None:
        """Send nothing more."""
        if self._room >= 0:
            asyncio.get_running_loop().remove_writer(self._room)
            os.close(self._room)
            self._room = -1
        if self._own is not None:
            self._own.close()
            self._own = None
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
