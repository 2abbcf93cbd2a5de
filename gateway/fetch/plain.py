"""Plain HTTP asked as it stands: nothing followed, decoded, cached or tried again, interim responses noted (aiohttp passes over them)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from appliance.runtime.errors import Corrupt, Unreachable
from gateway.caching.asking import WebAnswer, WebRequest

PATIENCE = 60.0  # seconds without a byte from an origin
CONNECTING = 10.0  # seconds
CONNECTIONS = 256
MOST_INTERIM = 16  # interim responses of one answer
_HEAD_END = b"\r\n\r\n"


class Plain:
    """Asks origins over TCP."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        connector._factory = functools.partial(_Protocol, loop=connector._loop)  # type: ignore[assignment]
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            response_class=_Noting,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=PATIENCE),
            max_line_size=8190,
            max_field_size=16 << 10,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def ask(self, origin: str, request: WebRequest) -> AsyncIterator[WebAnswer]:
        """Yield the answer of ``origin`` (scheme, host and port), which is asked once, with the request's own fields.

        Raises:
            Unreachable: it does not answer.
            Corrupt: it broke off, while the body is read.
        """
        if self._session is None:
            raise RuntimeError("used outside its 'async with'")
        async with contextlib.AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(
                    self._session.request(
                        request.method,
                        URL(origin + request.target, encoded=True),
                        headers=[*request.headers, ("Host", request.host)]
                        if not any(name.lower() == "host" for name, _ in request.headers)
                        else request.headers,
                        data=request.body or None,
                        allow_redirects=False,
                    )
                )
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unreachable(f"the origin does not answer: {error or 'no answer in time'}") from error
            fields = [
                (name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in answer.raw_headers
            ]
            interim = answer.interim if isinstance(answer, _Noting) else []
            yield WebAnswer(answer.status, answer.reason or "", fields, _chunks(answer), interim)


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Corrupt(f"the origin broke off: {error or 'no byte in time'}") from error


class _Noting(aiohttp.ClientResponse):
    """aiohttp's, which keeps the interim responses."""

    interim: list[tuple[int, list[tuple[str, str]]]]

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        self.interim = []
        protocol = connection.protocol
        read = protocol.read

        async def noting() -> Any:
            message, payload = await read()
            if 101 < message.code < 200 and len(self.interim) < MOST_INTERIM:
                self.interim.append((message.code, list(message.headers.items())))
            return message, payload

        protocol.read = noting
        try:
            return await super().start(connection)
        finally:
            del protocol.read


class _Protocol(ResponseHandler):
    """aiohttp's, for which a response counts that was whole when more than was promised came behind it."""

    def set_response_params(self, **given: Any) -> None:
        super().set_response_params(**given)
        self._parser = _Heads(self._parser, self)  # type: ignore[assignment]


class _Heads:
    """Feeds a parser head by head: it forgets what it has read in a piece whose end is faulty."""

    def __init__(self, parser: Any, protocol: ResponseHandler) -> None:
        self._parser, self._protocol, self._payload = parser, protocol, None

    def feed_data(self, data: bytes) -> Any:
        found: list[Any] = []
        while data and self._payload is None:
            end = data.find(_HEAD_END)
            piece = data if end < 0 else data[: end + len(_HEAD_END)]
            data = data[len(piece) :]
            messages, upgraded, tail = self._parser.feed_data(piece)
            found += messages
            self._payload = next((payload for message, payload in messages if message.code >= 200), None)
            if upgraded:
                return found, upgraded, tail + data
        if not data:
            return found, False, b""
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            if self._payload is None or not self._payload.is_eof():
                raise
            self._protocol.force_close()  # what follows on this connection is nobody's answer
            return found, False, b""
        return [*found, *messages], upgraded, tail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)
