"""The registry's API as commands ask it. Touches HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.resolver.codes import Code
from gateway.resolver.statement import Registration

SECONDS = 120.0  # for one answer: ten thousand records wait for those of others
LONGEST = 16 << 20  # bytes of an answer: ten thousand faults
T = TypeVar("T")


class Faulty(Refused):
    """A registration was refused; ``faults`` are as the registry told them: index (from 0), path, reason, message."""

    def __init__(self, reason: str, sentence: str, status: int, faults: list[dict[str, Any]]) -> None:
        super().__init__(reason, sentence, status)
        self.faults = faults

    @property
    def whole(self) -> bool:
        """Whether it is the whole that is wrong, and no record of it."""
        return any(fault.get("index", 0) < 0 for fault in self.faults)


class Client:
    """The registry at ``base``, within ``async with``."""

    def __init__(self, base: str) -> None:
        self._base = f"{base}/api/registry"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def register(self, registration: Registration, *, mode: str = "all", dry: bool = False) -> dict[str, Any]:
        """Hand a registration in and return what became of it.

        Raises:
            Faulty: it was refused, with every fault.
            Refused, Unreachable: as the registry told it.
        """
        data = b"\n".join([registration.envelope, *registration.dumps, b""])
        query = {"mode": mode, "dry": "1" if dry else "0"}
        return dict(await self._ask("POST", "/registrations", query, data))

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return what the registry answers.

        Raises:
            Refused, Unreachable, Corrupt: as the registry told it.
        """
        return await self._ask("GET", path, query or {}, None)

    async def post(self, path: str, data: bytes) -> dict[str, Any]:
        """Hand an envelope in and return what the registry answers.

        Raises:
            Refused, Unreachable, Corrupt: as the registry told it.
        """
        return dict(await self._ask("POST", path, {}, data))

    async def _ask(self, method: str, path: str, query: Mapping[str, str], data: bytes | None) -> Any:
        url = URL(self._base + path, encoded=True).update_query(query)
        async with self._session.request(method, url, data=data, allow_redirects=False) as response:
            if response.status in (403, 422):
                await _faults(response)
            await http.check(response)
            answer = bytearray()
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > LONGEST:
                    raise Corrupt(f"{self._base} answers with more than {LONGEST} bytes")
            try:
                return json.loads(answer)
            except ValueError as error:
                raise Corrupt(f"{self._base} did not answer with JSON") from error


async def _faults(response: aiohttp.ClientResponse) -> None:
    try:
        told = await response.json()
        faults = told["faults"]
        raise Faulty(str(told["reason"]), str(told["error"]), response.status, list(faults))
    except (ValueError, KeyError, TypeError, aiohttp.ContentTypeError):
        return  # another refusal


def with_registry(base: str, work: Callable[[Client], Awaitable[T]]) -> T:
    """Return what ``work`` does with the registry at ``base``.

    Raises:
        Unreachable: nobody answers there.
    """

    async def run() -> T:
        async with Client(base) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"nobody answers at {base.split('/', 2)[2]}: {error or 'no answer in time'}") from error


def segment(code: Code) -> str:
    """Return a code as one segment of a path."""
    return quote(code.canonical, safe=":")
