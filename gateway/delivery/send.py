"""An object on its way to a screen: large ones by one ``sendfile`` of the kernel, small ones in one write with the headers."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import BinaryIO

from aiohttp import web

SMALL = 64 << 10  # bytes; below this one copy costs less than a second system call
SLOWEST = 16 << 10  # bytes a second; slower screens would hold descriptors for ever
GRACE = 30.0  # seconds before that is looked at


async def send(request: web.Request, response: web.StreamResponse, file: BinaryIO, first: int, count: int) -> int:
    """Send ``count`` bytes of ``file`` from ``first`` on as the body of ``response``; return the bytes that the kernel took.

    Fewer than ``count`` came to be sent where the screen left, or read too slowly; its connection is closed then.
    """
    response.content_length = count
    try:
        await response.prepare(request)
    except ConnectionError:
        return 0
    if request.method == "HEAD" or not count:
        await response.write_eof()
        return 0
    transport = request.transport
    if transport is None:
        return 0
    try:
        if count <= SMALL:
            await response.write(os.pread(file.fileno(), count, first))
            sent = count
        else:
            sent = await _sendfile(transport, file, first, count)
        if sent == count:
            await response.write_eof()
    except ConnectionError:
        sent = 0
    if sent < count:
        transport.abort()
    return sent


async def _sendfile(transport: asyncio.Transport, file: BinaryIO, first: int, count: int) -> int:
    loop = asyncio.get_running_loop()
    descriptor = file.fileno()
    os.lseek(descriptor, first, os.SEEK_SET)

    def cut() -> None:
        # shutdown(2) lets a sendfile under way fail, which cancelling its task would not do: asyncio then tells how far it came
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            connection.shutdown(socket.SHUT_RDWR)

    watch = loop.call_later(GRACE + count / SLOWEST, cut)
    try:
        return await loop.sendfile(transport, file, first, count, fallback=False)
    except (OSError, asyncio.SendfileNotAvailableError):
        # asyncio leaves the file's position behind the last byte that the kernel took
        return os.lseek(descriptor, 0, os.SEEK_CUR) - first
    finally:
        watch.cancel()
