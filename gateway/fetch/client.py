"""HTTP/1.1 to an origin: no redirect is followed, no proxy is used, nothing is unpacked, and every answer has a bound."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from appliance.runtime.errors import Refused, Unreachable
from gateway.fetch.decide import Target

CHUNK = 256 << 10  # bytes
CONNECTIONS = 32  # to all origins
TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=4, sock_read=15)  # seconds


def session() -> aiohttp.ClientSession:
    """Return the client; it reads nothing from its environment and keeps no cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, use_dns_cache=False),
        timeout=TIMEOUT,
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "headgate-fetch"},
    )


@contextlib.asynccontextmanager
async def get(client: aiohttp.ClientSession, target: Target) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask for ``target``; the answer is a 200 or a 304.

    Raises:
        Refused: the origin has it not (``unknown-path``), it is too large, or the origin answers something else.
        Unreachable: the origin is away or fails.
    """
    url = URL.build(scheme="http", host=target.host, port=target.port, path=target.path, encoded=True)
    headers = {"If-None-Match": target.etag} if target.etag else {}
    try:
        async with client.get(url, headers=headers, allow_redirects=False) as response:
            if response.status in (404, 410):
                raise Refused("unknown-path", "the origin has no such file", 404)
            if response.status >= 500 or response.status == 429:
                raise Unreachable(f"the origin answered {response.status}")
            if response.status != 200 and not (response.status == 304 and target.etag):
                raise Refused("unexpected-answer", f"the origin answered {response.status}", 502)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Refused("unexpected-answer", "the origin answered with packed content", 502)
            if response.content_length is not None and response.content_length > target.largest:
                raise Refused("too-large", f"the origin offers more than {target.largest} bytes", 413)
            yield response
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"the origin is away: {error or 'no answer in time'}") from error


async def bounded(answer: aiohttp.ClientResponse, largest: int) -> AsyncIterator[bytes]:
    """Yield the body as it comes.

    Raises:
        Refused: it is longer than ``largest`` bytes (``too-large``).
    """
    size = 0
    async for chunk in answer.content.iter_chunked(CHUNK):
        size += len(chunk)
        if size > largest:
            raise Refused("too-large", f"the origin sends more than {largest} bytes", 413)
        yield chunk
