"""Several ranges in one answer (RFC 9110 section 14.6): each part with its head, the bytes themselves by the kernel's ``sendfile``."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from aiohttp import web

from gateway.serving.choose import Part
from gateway.serving.coming import Coming
from gateway.serving.send import Counting, send_all

# Of a response in parts: where in its body content is, first byte and count.
SPANS: web.ResponseKey[list[tuple[int, int]]] = web.ResponseKey("spans", list)


def spans(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where content is in a body of ``parts``: how long the head of each is, and its content."""
    found, at = [], 0
    for head, count in parts:
        found.append((at + head, count))
        at += head + count
    return found


async def send_parts(
    request: web.Request,
    headers: Mapping[str, str],
    file: BinaryIO,
    parts: Sequence[Part],
    size: int,
    media: str,
    coming: Coming | None = None,
    counting: Counting | None = None,
) -> tuple[web.StreamResponse, int]:
    """Answer with ``parts`` of a file of ``size`` bytes and type ``media``; return the response and the bytes of content sent.

    Raises:
        HeadgateError: the object was refused before its first byte was sent.
    """
    if coming is not None:
        await coming.reach(parts[0].first + 1)
    boundary = secrets.token_hex(12)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {media}\r\nContent-Range: bytes {part.first}-{part.last}/{size}\r\n\r\n".encode()
        for part in parts
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    wanted = sum(part.last - part.first + 1 for part in parts)
    response = web.StreamResponse(
        status=206, headers={**headers, "Content-Type": f"multipart/byteranges; boundary={boundary}"}
    )
    response.content_length = wanted + sum(map(len, heads)) + len(tail)
    response[SPANS] = spans([(len(head), part.last - part.first + 1) for head, part in zip(heads, parts, strict=True)])
    sent = 0
    with contextlib.suppress(
        ConnectionError
    ):  # the screen left: what it took is counted, and nobody is there to be told
        await response.prepare(request)
        for head, part in zip(heads, parts, strict=True):
            await response.write(head)
            if request.transport is None:
                break
            count = part.last - part.first + 1
            if counting is not None:
                counting.content(206, count)
            took = await send_all(request, file, part.first, count, coming)
            sent += took
            if took < count:
                break
        if sent == wanted:
            await response.write_eof(tail)
    if sent < wanted and request.transport is not None:
        request.transport.abort()  # a short answer must not look whole
    return response, sent
