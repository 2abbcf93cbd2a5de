"""aiohttp servers on TCP and Unix sockets, and one client for a Unix socket: error type -> HTTP status in one place.

No end of a Unix socket here takes descriptors (``descriptors.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.client_exceptions import UnixClientConnectorError

from appliance.runtime import descriptors
from appliance.runtime.bounded import CROWD
from appliance.runtime.errors import ConfigError, Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.quick import Runner

log = logging.getLogger("headgate.http")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOST: web.AppKey[Callable[[asyncio.Transport], None]] = web.AppKey("lost")  # hears of a connection's end just before it

LONGEST_BODY = 1 << 20  # bytes of a request body; a daemon that takes more says so with its own application
BACKLOG = 1024  # connections that wait to be taken: a crowd comes at once
SHUTDOWN = 3.0  # seconds given to requests under way when a daemon stops


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a failure as ``{"reason": word, "error": sentence}`` with the status of its type."""
    try:
        return await handler(request)
    except Refused as error:
        return answer(error.status, error.reason, str(error))
    except ConfigError as error:
        return answer(422, "bad-configuration", str(error))
    except Unreachable as error:
        return answer(504, "unreachable", str(error))
    except Corrupt as error:
        return answer(502, "corrupt", str(error))


def answer(status: int, reason: str, sentence: str) -> web.Response:
    """Return the JSON answer that tells a failure."""
    return web.json_response({"reason": reason, "error": sentence}, status=status)


def application(longest_body: int = LONGEST_BODY) -> web.Application:
    """Return an application that turns our errors into answers and bounds request bodies (bytes)."""
    return web.Application(middlewares=[errors], client_max_size=longest_body)


@contextlib.asynccontextmanager
async def serving(
    app: web.Application,
    *,
    tcp: list[tuple[str, int]] | None = None,
    unix: list[tuple[Path, int]] = [],  # noqa: B006 (never changed)
) -> AsyncIterator[list[tuple[str, int]]]:
    """Serve ``app`` on TCP (address, port) and Unix sockets (path, file mode); yield the bound TCP addresses."""
    if tcp is None:
        tcp = []
    crowd = app.get(CROWD)
    more: dict[str, Any] = {} if crowd is None else {"keepalive_timeout": crowd.idle, "lingering_time": crowd.linger}
    runner = Runner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN, **more)
    await runner.setup()
    if (lost := app.get(LOST)) is not None and runner.made is not None:
        _tell(runner.made, lost)
    try:
        for address, port in tcp:
            await web.TCPSite(runner, address, port, reuse_address=True, backlog=BACKLOG).start()
        for path, mode in unix:
            path.unlink(missing_ok=True)
            await web.SockSite(runner, descriptors.listener(str(path))).start()
            path.chmod(mode)
        yield [address[:2] for address in runner.addresses if isinstance(address, tuple)]
    finally:
        await runner.cleanup()


def _tell(server: web.Server, lost: Callable[[asyncio.Transport], None]) -> None:
    """Have ``lost`` called for each connection of ``server`` that is about to be closed: its socket still answers then."""
    forget = server.connection_lost

    def both(handler: Any, exc: BaseException | None = None) -> None:
        if handler.transport is not None:
            lost(handler.transport)
        forget(handler, exc)

    setattr(server, "connection_lost", both)  # noqa: B010 (a method, which mypy lets nobody assign)


class UnixConnector(aiohttp.UnixConnector):
    """aiohttp's, whose connections take no descriptors."""

    async def _create_connection(self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:
        channel = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            channel.setblocking(False)
            descriptors.refuse(channel)
            async with asyncio.timeout(timeout.sock_connect):
                await self._loop.sock_connect(channel, self.path)
                _, protocol = await self._loop.create_unix_connection(self._factory, sock=channel)
        except OSError as error:
            channel.close()
            if error.errno is None and isinstance(error, TimeoutError):
                raise
            raise UnixClientConnectorError(self.path, req.connection_key, error) from error
        except BaseException:
            channel.close()
            raise
        return protocol


@contextlib.asynccontextmanager
async def unix_client(socket: Path, seconds: float = 30) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client whose every request goes to the Unix ``socket`` (use ``http://box/...``), each bounded in time.

    Connection failures inside the block are raised as Unreachable.
    """
    try:
        async with aiohttp.ClientSession(
            connector=UnixConnector(str(socket)), timeout=aiohttp.ClientTimeout(total=seconds)
        ) as session:
            yield session
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise Unreachable(f"nobody answers at {socket}: {error or 'no answer in time'}") from error


async def check(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """Return ``response`` if it is a success, else raise what the other side's middleware told.

    Raises:
        Refused, Unreachable, Corrupt: as raised at the other side.
    """
    if response.status < 400:
        return response
    raise told(response.status, await response.read())


def told(status: int, body: bytes) -> HeadgateError:
    """Return the error that the other side's middleware answered with."""
    try:
        answered = json.loads(body)
        reason, sentence = str(answered["reason"]), str(answered["error"])
    except (ValueError, KeyError, TypeError):
        reason, sentence = "unexpected-answer", f"answered {status}"
    if reason == "unreachable":
        return Unreachable(sentence)
    if reason == "corrupt":
        return Corrupt(sentence)
    return Refused(reason, sentence, status)
