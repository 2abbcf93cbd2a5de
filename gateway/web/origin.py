"""The request to an origin of plain HTTP itself, as fetch makes it: nothing kept, nothing followed, nothing unpacked, all bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.fetch.secrets import Secrets
from gateway.isolation.policy import Policy
from gateway.web import fields
from gateway.web.heads import HEARS, Response, lenient, text, why
from gateway.web.judge import NEVER
from gateway.web.wire import CHUNK, LONGEST_FIELD, MOST_FIELDS, Fields, Interim, WebAnswer, WebRequest

CONNECTIONS = 512  # to all web origins; the exchange asks each of them for 128 answers at once
CONNECT = 4.0  # seconds
IDLE = 2.0  # seconds that a connection waits for a request; origins close theirs after some, unseen until one is on its way
READ = 60.0  # seconds without a byte, and until the head is here, whole: an API may think for a while
LONGEST = 3600.0  # seconds of one answer
LONGEST_HEAD = 64 << 10  # bytes of an answer's fields together
BODILESS = (204, 304)


def session() -> aiohttp.ClientSession:
    """Return the client for web origins."""
    return aiohttp.ClientSession(
        connector=lenient(aiohttp.TCPConnector(limit=CONNECTIONS, use_dns_cache=False, keepalive_timeout=IDLE)),
        response_class=Response,
        trust_env=False,
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=LONGEST_FIELD,
        max_field_size=LONGEST_FIELD,
    )


@contextlib.asynccontextmanager
async def ask(
    client: aiohttp.ClientSession, policy: Policy, request: WebRequest, held: Secrets, told: Interim
) -> AsyncIterator[WebAnswer]:
    """Ask the origin that the policy names for the request's host; ``told`` hears of interim answers.

    Raises:
        Refused: the policy names none, or not for this method; the answer is too large.
        Corrupt: the answer's head is none, or too long.
        Unreachable: the origin is away, or broke off; also raised by the answer's body.
    """
    found = policy.web_of(request.host)
    if found is None or request.method in NEVER or request.method not in found[1].methods:
        raise Refused("unknown-host", f"fetch may not ask '{request.host}' by {request.method}", 404)
    name, origin = found
    scheme = "https" if origin.tls else "http"
    host = f"[{origin.address}]" if origin.address.version == 6 else str(origin.address)
    url = URL(f"{scheme}://{host}:{origin.port}{request.target}", encoded=True)
    sent = CIMultiDict([("Host", request.host), *_encodable(fields.of_request(origin, request.headers))])
    data: Any = None
    if request.body:
        data = request.body if isinstance(request.body, bytes) else _bounded(request.body, origin.request)
        if request.length is not None:
            sent["Content-Length"] = str(request.length)
    timeout = aiohttp.ClientTimeout(total=LONGEST, sock_connect=CONNECT, sock_read=READ)
    HEARS.set(told)  # the client asks in this very task
    try:
        async with (
            asyncio.timeout(READ) as patience,
            client.request(
                request.method,
                url,
                headers=sent,
                data=data,
                allow_redirects=False,
                timeout=timeout,
                ssl=held.context or True,
                server_hostname=request.host.partition(":")[0] if origin.tls else None,
            ) as response,
        ):
            patience.reschedule(None)
            headers = text(response.raw_headers)
            _check(headers)
            bodied = request.method != "HEAD" and response.status not in BODILESS
            body = _body(response, name, origin.answer) if bodied else _nothing()
            noted = response.interim if isinstance(response, Response) else []
            yield WebAnswer(response.status, response.reason or "", headers, noted, body)
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
        if isinstance(error.__cause__, Refused):
            raise error.__cause__ from error
        if isinstance(error, aiohttp.ClientResponseError):
            raise Corrupt(f"'{name}' answers with {why(error)}") from error
        raise Unreachable(f"'{name}' is away: {why(error)}") from error


def _encodable(headers: Fields) -> Fields:
    """Return the fields as the client writes them, which is in UTF-8.

    Raises:
        Refused: a value is in another encoding (``bad-request``).
    """
    try:
        return [(name, value.encode("latin-1").decode()) for name, value in headers]
    except UnicodeError as error:
        raise Refused("bad-request", "a field of the request is not in UTF-8", 400) from error


def _check(headers: Fields) -> None:
    if len(headers) > MOST_FIELDS or sum(len(name) + len(value) for name, value in headers) > LONGEST_HEAD:
        raise Corrupt(f"the answer has more than {MOST_FIELDS} fields, or than {LONGEST_HEAD} bytes of them")


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _bounded(body: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > most:
            raise Refused("too-large", f"the request's body is longer than {most} bytes", 413)
        yield chunk


async def _body(response: aiohttp.ClientResponse, name: str, most: int) -> AsyncIterator[bytes]:
    size = 0
    try:
        async for chunk in response.content.iter_chunked(CHUNK):
            size += len(chunk)
            if size > most:
                raise Refused("too-large", f"the answer of '{name}' is longer than {most} bytes", 413)
            yield chunk
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"truncated: '{name}' broke off after {size} bytes") from error
