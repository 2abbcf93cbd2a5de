"""A resolver as commands ask it. Touches HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.resolver.answer.as_handle import Answer

SECONDS = 30.0  # for one answer
LONGEST = 4 << 20  # bytes of an answer
LONGEST_LINE = 256 << 10  # bytes of a batch's line
T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """An answer: its type and text."""

    kind: str
    text: str

    def json(self) -> Any:
        """Return what it says.

        Raises:
            Corrupt: it is no JSON.
        """
        try:
            return json.loads(self.text)
        except ValueError as error:
            raise Corrupt("the resolver did not answer with JSON") from error


def run(asking: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, T]], base: str) -> T:
    """Return what ``asking`` makes of a session.

    Raises:
        Unreachable: nobody answers at ``base``.
    """

    async def asked() -> T:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=SECONDS), read_bufsize=LONGEST_LINE
        ) as session:
            return await asking(session)

    try:
        return asyncio.run(asked())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"nobody answers at {base}: {error or 'no answer in time'}") from error


async def get(session: aiohttp.ClientSession, url: str, query: Sequence[tuple[str, str]] = ()) -> Told:
    """Return what ``url`` answers.

    Raises:
        Refused: as the resolver told it.
    """
    whole = URL(url, encoded=True).update_query(list(query))
    async with session.get(whole, allow_redirects=False) as response:
        await http.check(response)
        return Told(response.content_type, await _read(response))


async def handle(session: aiohttp.ClientSession, url: str) -> Answer:
    """Return the answer of a Handle proxy, also where it found nothing."""
    async with session.get(URL(url, encoded=True), allow_redirects=False) as response:
        body = Told(response.content_type, await _read(response)).json()
        if not isinstance(body, dict) or "responseCode" not in body:
            raise Refused("unexpected-answer", f"answered {response.status}", response.status)
        return Answer(response.status, body)


async def batch(session: aiohttp.ClientSession, url: str, codes: Sequence[str]) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the answer about each of the ``codes``, as it comes.

    Raises:
        Refused: as the resolver told it.
    """
    async with session.post(URL(url, encoded=True), json=list(codes)) as response:
        await http.check(response)
        async for line in response.content:
            yield Told("", line.decode()).json()


async def _read(response: aiohttp.ClientResponse) -> str:
    return (await response.content.read(LONGEST)).decode(errors="replace")
