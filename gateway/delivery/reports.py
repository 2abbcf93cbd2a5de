"""``POST /cmcd/CODE``: events that players report by themselves (CMCD version 2, event mode), counted as what requests tell is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from appliance.runtime.errors import Refused
from gateway.delivery import cmcd
from gateway.delivery.quality import Quality
from gateway.release import paths
from gateway.serving.exchange import Exchange

LONGEST = 64 << 10  # bytes of one report
PATIENCE = 10.0  # seconds for all of it
MOST = 500  # reports of a zone that are read in a second, each of ``cmcd.MOST_EVENTS`` events at most


class Reports:
    """The reports of one zone; ``clock`` tells seconds that only grow.

    They are no content and ask for none: no token is needed, nothing is metered, and nothing that is kept depends on them.
    """

    def __init__(self, exchange: Exchange, quality: Quality, clock: Callable[[], float] = time.monotonic) -> None:
        self._exchange, self._quality, self._clock = exchange, quality, clock
        self._second, self._count = 0, 0

    async def take(self, request: web.Request) -> web.Response:
        """Answer a report of events of one title.

        Raises:
            Refused: it is none (``bad-request``), too long (``too-large``), one of too many (``busy``), or of no release that this
                zone is shown.
            Unreachable: whether it is one cannot be known now.
        """
        if request.content_type != cmcd.TYPE:
            raise Refused("bad-request", f"a report of events is of the type {cmcd.TYPE}", 415)
        self._turn()
        code = paths.code_of(request.match_info["code"])
        body = await _body(request)
        await self._exchange.manifest(code)  # figures are kept for titles that there are
        if not self._quality.report(code, body):
            raise Refused("bad-request", "no line of the report is an event of CMCD version 2", 400)
        return web.Response(status=204)

    def _turn(self) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > MOST:
            raise Refused("busy", "too many reports in this second: report again later", 429)


async def _body(request: web.Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > LONGEST:
                    raise Refused("too-large", f"a report has at most {LONGEST} bytes", 413)
    except TimeoutError as error:
        raise Refused("bad-request", f"the report did not come whole in {PATIENCE:.0f} seconds", 408) from error
    return body
