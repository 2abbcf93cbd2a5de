"""The exchange as who brings releases in sees it: it is told what lies in the drop folder, and takes it in or says why not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Self

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused, Unreachable

TIMEOUT = aiohttp.ClientTimeout(total=3600, sock_connect=5)  # seconds; a large file is copied and looked at meanwhile
LATER = frozenset({"busy", "too-fast", "store-full", "journal-full", "journal-broken", "spool-full", "filter-failed"})
WAITS = "waiting-for-listing"  # the body lists it, and the centre has not named that listing yet


def passing(error: Exception) -> bool:
    """Return whether the exchange could not now, which is not that it may not."""
    return isinstance(error, Unreachable) or (isinstance(error, Refused) and error.reason in LATER)


class Offered(BaseModel):
    """What the exchange says of a release that was offered: ``missing`` it has not, and when it has all the release is in."""

    model_config = ConfigDict(frozen=True)

    release: str
    version: int
    missing: list[str]


class Exchange:
    """The exchange at ``socket``."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = http.UnixConnector(str(self._socket), limit=16)
        self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def offer(self, code: str) -> Offered:
        """Offer the release whose envelope lies in the drop folder; with nothing missing, it is taken in.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        try:
            return Offered.model_validate(await self._post("take", {"release": code}))
        except ValidationError as error:
            raise Corrupt("the exchange's answer about a release is none") from error

    async def take(self, code: str, path: str) -> None:
        """Have one file of it taken out of the drop folder, verified and stored.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        await self._post("take", {"release": code, "path": path})

    async def base(self, code: str, body: str) -> Any:
        """Return what ``body`` signs the listing of the release over.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        return await self._post("listing", {"release": code, "body": body})

    async def register(self, statement: str, records: list[str]) -> Any:
        """Register what a body signed and return its digest and codes; it is durable, and on its way to the centre.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        return await self._post("register", {"statement": statement, "records": records})

    async def next_codes(self, body: str, count: int) -> Any:
        """Return the next free codes of the blocks of ``body`` at this box.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        return await self._post("next", {"body": body, "count": count})

    async def _post(self, what: str, body: dict[str, Any]) -> Any:
        if self._session is None:
            raise RuntimeError("used outside its 'async with'")
        try:
            async with self._session.post(f"http://exchange/{what}", json=body) as response:
                return await (await http.check(response)).json()
        except (
            aiohttp.ClientConnectionError,
            aiohttp.ClientPayloadError,
            TimeoutError,
            asyncio.IncompleteReadError,
        ) as error:
            raise Unreachable(f"the exchange does not answer: {error or 'no answer in time'}") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Corrupt(f"the exchange's answer is none: {error}") from error
