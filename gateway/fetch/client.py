"""HTTP/1.1 to an upstream: no redirect is followed, no proxy is used, nothing is unpacked, and every answer has a bound."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from appliance.runtime.errors import Refused, Unreachable
from gateway.fetch import loops, s3
from gateway.fetch.decide import Target
from gateway.fetch.secrets import Secrets
from gateway.web.heads import Response, why

CHUNK = 256 << 10  # bytes
AHEAD = 512 << 10  # bytes of an answer that wait to be handed on
CONNECTIONS = (
    128  # to all upstreams: more than the exchange asks for at once, so that nobody is taken for slow who was not asked
)
LONGEST = 6 * 3600  # seconds of one answer, however large; one that stands still ends after READ
READ = 15  # seconds without a byte
HEAD = 20.0  # seconds until an origin's head is here, whole
GRACE, SLOWEST = (
    15.0,
    16 << 10,
)  # seconds waited for an answer in all, and bytes a second beyond: slower ones hold others up
ORIGIN_CONNECT, PARENT_CONNECT = 4.0, 1.0  # seconds
PATIENCE = 2.0  # seconds until a parent's answer begins; it may have to ask others itself, and two may even wait for each other
SETTLED = timedelta(seconds=2)  # after a change, until its second is over by every clock of the server
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)", re.ASCII)


class Behind(Unreachable):
    """A parent that is well, but cannot hear of it from those it asks itself."""


class Late(Unreachable):
    """A parent that does not answer in time; it is slow, which is not that it is away."""


def session() -> aiohttp.ClientSession:
    """Return the client; it reads nothing from its environment and keeps no cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, use_dns_cache=False),
        read_bufsize=AHEAD,
        response_class=Response,
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "headgate-fetch"},
    )


@contextlib.asynccontextmanager
async def get(
    client: aiohttp.ClientSession,
    target: Target,
    secrets: Secrets = Secrets(),  # noqa: B008 (frozen)
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask for ``target``; the answer is a 200, a 206 from ``target.first`` on, or a 304.

    Raises:
        Refused: it has it not (``unknown-path``), it is too large, the question went round (``loop``), or the answer is something else.
        Unreachable: the upstream is away or fails; ``Late`` and ``Behind`` where a parent is not to blame.
    """
    url = URL.build(
        scheme="https" if target.tls else "http", host=target.host, port=target.port, path=target.path, encoded=True
    )
    timeout = aiohttp.ClientTimeout(
        total=LONGEST, sock_connect=PARENT_CONNECT if target.parent else ORIGIN_CONNECT, sock_read=READ
    )
    headers = _headers(target, url, secrets)
    try:
        async with (
            asyncio.timeout(PATIENCE if target.parent else HEAD) as patience,
            client.get(
                url, headers=headers, allow_redirects=False, timeout=timeout, ssl=secrets.context or True
            ) as response,
        ):
            patience.reschedule(None)
            _check(response, target)
            yield response
    except (aiohttp.ClientError, TimeoutError) as error:
        if patience.expired() and target.parent:
            raise Late(f"it did not begin to answer within {PATIENCE:g} seconds") from error
        raise Unreachable(f"it is away: {why(error)}") from error


def _headers(target: Target, url: URL, secrets: Secrets) -> dict[str, str]:
    headers = {}
    if target.etag:
        headers["If-None-Match"] = target.etag
    if target.first:
        headers["Range"] = f"bytes={target.first}-"
    if target.loop:
        headers[loops.HEADER] = target.loop
    if target.oldest is not None:
        headers["Cache-Control"] = f"max-age={target.oldest}"
    if target.s3 is not None:
        host = url.host_port_subcomponent or ""
        credentials = secrets.credentials[target.s3.credentials]
        headers |= s3.signed(host, target.path, target.s3.region, credentials, datetime.now(UTC))
    return headers


def _check(response: aiohttp.ClientResponse, target: Target) -> None:
    if response.status in (404, 410):
        raise Refused("unknown-path", "it has no such file", 404)
    if response.status == 508:
        raise Refused("loop", "this question has been there before", 508)
    if response.status == 504 and target.parent:
        raise Behind("it cannot ask those that it asks itself")
    if response.status >= 500 or response.status == 429:
        raise Unreachable(f"it answered {response.status}")
    if response.status == 206 and target.first:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != target.first:
            raise Refused(
                "unexpected-answer", f"it answered with another part than that from byte {target.first} on", 502
            )
    elif response.status != 200 and not (response.status == 304 and target.etag):
        raise Refused("unexpected-answer", f"it answered {response.status}", 502)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("unexpected-answer", "it answered with packed content", 502)
    if target.oldest is not None and (age := _age(response)) > target.oldest:
        raise Behind(f"what it has is {age} seconds old")
    length = length_of(response, target)
    if length is not None and length > target.largest:
        raise Refused("too-large", f"it offers more than {target.largest} bytes", 413)


def _age(response: aiohttp.ClientResponse) -> int:
    told = response.headers.get("Age", "0")  # RFC 9111 section 5.1
    return int(told) if re.fullmatch(r"\d{1,9}", told, re.ASCII) else 10**9


def tag_of(response: aiohttp.ClientResponse) -> str:
    """Return the ETag by which to ask again; empty where there is none, or what comes next may have the same.

    nginx makes it of the size and the second of the last change: what is written twice within that second has one ETag for both, and
    whoever asks in between would be told for ever that nothing changed (RFC 9110 section 8.8.2.2: a second between ``Last-Modified``
    and ``Date``).
    """
    tag, changed = response.headers.get("ETag", ""), response.headers.get("Last-Modified")
    if not tag or changed is None:
        return tag
    try:
        age = parsedate_to_datetime(response.headers["Date"]) - parsedate_to_datetime(changed)
    except (KeyError, ValueError, TypeError):
        return ""
    return tag if age >= SETTLED else ""


def length_of(response: aiohttp.ClientResponse, target: Target) -> int | None:
    """Return how many bytes ``bounded`` will yield, where the upstream says so."""
    if response.content_length is None:
        return None
    return response.content_length if response.status == 206 else max(0, response.content_length - target.first)


async def bounded(answer: aiohttp.ClientResponse, target: Target) -> AsyncIterator[bytes]:
    """Yield the body as it comes, from ``target.first`` on also where the upstream sends the whole.

    Raises:
        Refused: it is longer than ``target.largest`` bytes (``too-large``).
        TimeoutError: it comes too slowly, whoever reads it.
    """
    size, skip, waited = 0, target.first if answer.status == 200 else 0, 0.0
    chunks = aiter(answer.content.iter_chunked(CHUNK))
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(GRACE + size / SLOWEST - waited):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise TimeoutError(f"it sends too slowly: {size} bytes so far") from error
        if chunk is None:
            return
        waited += time.monotonic() - began
        rest = chunk[skip:] if skip else chunk
        skip = max(0, skip - len(chunk))
        size += len(rest)
        if size > target.largest:
            raise Refused("too-large", f"it sends more than {target.largest} bytes", 413)
        if rest:
            yield rest
