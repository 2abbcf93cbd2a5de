"""The controller as the commands about orders see it: gives an order, follows its proofs. Touches HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.release import orders
from gateway.release.orders import Order

SECONDS = 40.0  # for one answer: the controller holds a question for a while
TRIES = 20  # for a serial that others take at the same time


class Centre:
    """The controller at ``url``; use it inside ``connected``."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def give(self, make: Callable[[int], Order], key: PrivateKey) -> Order:
        """Give the order that ``make`` makes with the next serial, and return it.

        Raises:
            Refused: the controller does not take it.
            Unreachable: it is away.
        """
        for _ in range(TRIES):
            order = make(int((await self.ask("/api/orders/next"))["serial"]))
            try:
                await self.ask("/api/orders", orders.seal(order, key))
            except Refused as error:
                if error.reason not in ("order-old", "order-gap"):
                    raise
            else:
                return order
        raise Refused("busy", f"others gave orders {TRIES} times at the same moment: try again", 503)

    async def ask(self, path: str, body: bytes | None = None) -> Any:
        """Return the JSON value that the controller answers, to a POST where there is a ``body``.

        Raises:
            Refused, Unreachable, Corrupt: as it answered.
        """
        try:
            return json.loads(await self.read(path, body))
        except ValueError as error:
            raise Corrupt(f"{self._url}{path} did not answer with JSON") from error

    async def read(self, path: str, body: bytes | None = None) -> bytes:
        """Return what the controller answers.

        Raises:
            Refused, Unreachable: as it answered.
        """
        method = "GET" if body is None else "POST"
        try:
            async with self._session.request(method, self._url + path, data=body) as response:
                await http.check(response)
                return await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"nobody answers at {self._url}: {error or 'no answer in time'}") from error

    async def follow(self, serial: int, seconds: float) -> AsyncIterator[dict[str, Any]]:
        """Yield how an order stands, at once and whenever another proof came, until none is missing or the time is over."""
        told = await self.ask(f"/api/orders/{serial}")
        yield told
        try:
            async with asyncio.timeout(seconds):
                while told["missing"]:
                    told = await self.ask(f"/api/orders/{serial}?known={len(told['proofs'])}")
                    yield told
        except TimeoutError:
            return


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Centre]:
    """Yield the controller at ``url``."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
        yield Centre(url, session)
