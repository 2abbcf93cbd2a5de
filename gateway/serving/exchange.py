"""The exchange as its peers that serve content see it: verified manifests (kept for some seconds), objects, records."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from appliance.telemetry.records import Record
from gateway.release import important
from gateway.release.manifest import File, Live

FRESH = 3.0  # seconds in which a manifest is not asked for again
AWAY = 60.0  # seconds in which it still counts while the exchange itself is away
REFUSED = 1.0  # seconds in which a refusal is not asked for again
MOST = 200  # manifests in memory
RESTART = 5.0  # seconds for which a request waits for an exchange that is being started again
TIMEOUT = aiohttp.ClientTimeout(total=600)  # seconds; the exchange has narrower ones towards origins


class Manifest(BaseModel):
    """A release as the exchange tells it."""

    model_config = ConfigDict(frozen=True)

    release: str
    version: int
    body: str
    title: str
    entry: str
    files: dict[str, File]
    digest: str
    age: float = 0.0  # seconds since an origin spoke about it, where other boxes ask
    live: Live | None = None


class LiveFile(BaseModel):
    """A live file as the exchange tells it: verified, and kept for a while."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size: int
    type: str
    fresh: float  # seconds in which it need not be asked for again


class Exchange:
    """The exchange at ``socket``."""

    def __init__(self, socket: Path, tasks: asyncio.TaskGroup, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket, self._clock = socket, clock
        self._session: aiohttp.ClientSession | None = None
        self._known: OrderedDict[str, tuple[float, Manifest | Refused]] = OrderedDict()
        self._once: Once[str, Manifest] = Once(tasks, at_once=16, waiting=1000)
        # One request an object however many screens wait, so that misses leave connections for manifests and records.
        self._filling: Once[tuple[str, str], File] = Once(tasks, at_once=64, waiting=1000)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=http.UnixConnector(str(self._socket), limit=256), timeout=TIMEOUT
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def manifest(self, code: str, via: Sequence[str] = (), fresh: float = FRESH) -> Manifest:
        """Return the verified manifest of the release, asked for at most ``fresh`` seconds ago.

        ``via`` are the boxes that ask for it.

        Raises:
            Refused: it may not come into this zone, with the exchange's reason.
            Unreachable: the exchange or the origins are away, and it was not asked for lately.
        """
        known = self._known.get(code)
        age = self._clock() - known[0] if known else float("inf")
        if known is not None and age < (REFUSED if isinstance(known[1], Refused) else fresh):
            return _value(known[1])
        try:
            return await self._once.do(code, lambda: self._ask(code, via))
        except (Unreachable, Refused) as error:
            passing = (
                isinstance(error, Unreachable) or error.status >= 500
            )  # it could not, which is not that it may not
            if passing and known is not None and age < AWAY and isinstance(known[1], Manifest):
                return known[1]
            raise

    def forget(self) -> None:
        """Ask for every manifest again: another policy may let other releases pass."""
        self._known.clear()

    async def object(self, code: str, path: str, via: Sequence[str] = ()) -> File:
        """Return the file once it is verified and in the store; ``via`` are the boxes that ask for it.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        return await self._filling.do((code, path), lambda: self._fill(code, path, via))

    async def _fill(self, code: str, path: str, via: Sequence[str]) -> File:
        told = await self._post("object", {"release": code, "path": path, **_passed_on(via)})
        try:
            return File(sha256=told["sha256"], size=told["size"], type=told["type"])
        except (KeyError, TypeError, ValidationError) as error:
            raise Corrupt("the exchange's answer about an object is none") from error

    async def live(self, code: str, path: str) -> LiveFile:
        """Return a channel's file as its packager signed it last.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        try:
            return LiveFile.model_validate(await self._post("live", {"release": code, "path": path}))
        except ValidationError as error:
            raise Corrupt("the exchange's answer about a live file is none") from error

    async def record(self, record: Record) -> None:
        """Hand ``record`` over; it is durable when this returns.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        await self._post("record", record.told(), wait=0)

    async def used(self, uses: list[dict[str, Any]]) -> None:
        """Tell what other boxes were given, for the store to keep it.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        await self._post("used", {"uses": uses}, wait=0)

    async def _ask(self, code: str, via: Sequence[str]) -> Manifest:
        wait = 0.0 if code in self._known else RESTART
        value: Manifest | Refused
        try:
            value = Manifest.model_validate(
                await self._post("release", {"release": code, **_passed_on(via)}, wait=wait)
            )
        except ValidationError as error:
            raise Corrupt("the exchange's answer about a release is none") from error
        except Refused as error:
            if error.status >= 500 or error.reason == important.REASON:  # of which the exchange hears each attempt
                raise
            value = error
        self._known[code] = (self._clock(), value)
        self._known.move_to_end(code)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return _value(value)

    async def _post(self, ask: str, body: dict[str, Any], wait: float = RESTART) -> Any:
        """Ask, again and again for ``wait`` seconds while nobody listens: an exchange that was killed is started again at once."""
        if self._session is None:
            raise RuntimeError("used outside its 'async with'")
        deadline = self._clock() + wait
        while True:
            try:
                async with self._session.post(f"http://exchange/{ask}", json=body) as response:
                    return await (await http.check(response)).json() if response.status != 204 else None
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
                if self._clock() >= deadline:
                    raise Unreachable(f"the exchange does not answer: {error or 'no answer in time'}") from error
            except (aiohttp.ClientError, ValueError) as error:
                raise Corrupt(f"the exchange's answer is none: {error}") from error
            await asyncio.sleep(0.1)


def _passed_on(via: Sequence[str]) -> dict[str, list[str]]:
    return {"via": list(via)} if via else {}


def _value(known: Manifest | Refused) -> Manifest:
    if isinstance(known, HeadgateError):
        raise Refused(known.reason, str(known), known.status)
    return known
