"""The exchange as its peers that serve content see it: verified manifests (kept for some seconds), objects, records."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.runtime.asking import Asking, BrokeOff
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from appliance.telemetry.records import Record
from gateway.permission.withdrawn import Withdrawal
from gateway.playlists.blocking import Wanted
from gateway.release import important
from gateway.release.manifest import Content, Live
from gateway.serving.coming import Coming, Object

FRESH = 3.0  # seconds in which a manifest is not asked for again
AWAY = 60.0  # seconds in which it still counts while the exchange itself is away
REFUSED = 1.0  # seconds in which a refusal is not asked for again
MOST = 200  # manifests in memory
AGAIN = 0.1  # seconds until an exchange that does not answer is asked again what was withdrawn
RESTART = 8.0  # seconds for which a request waits for an exchange that is being started again, from when it is missed
AT_ONCE = 64  # objects asked for
WAITING = 1000  # objects that wait for their turn
MOST_ALLOWED = 200_000  # files of releases kept in mind as allowed
CONNECTIONS = 256
PATIENCE = (
    600.0  # seconds without a byte: an object may come slowly, and the exchange has narrower ones towards origins
)

log = logging.getLogger("headgate.delivery")


class Manifest(BaseModel):
    """A release as the exchange tells it."""

    model_config = ConfigDict(frozen=True)

    release: str
    version: int
    body: str
    title: str
    entry: str
    files: dict[str, Content]
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
    came: str = Field("store", alias="from")  # origin or store


class Exchange:
    """The exchange at ``socket``."""

    def __init__(self, socket: Path, tasks: asyncio.TaskGroup, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket, self._clock = socket, clock
        self._asking: Asking | None = None
        self._known: OrderedDict[str, tuple[float, Manifest | Refused]] = OrderedDict()
        self._orders = 0  # how often orders came: an answer asked for before says nothing of them
        self.heard = asyncio.Event()  # the exchange has told what is withdrawn: what is asked from now on stays known
        self._once: Once[str, Manifest] = Once(tasks, at_once=16, waiting=1000)
        # One request an object however many screens wait, so that misses leave connections for manifests and records.
        self._tasks, self._turn = tasks, asyncio.Semaphore(AT_ONCE)
        self._coming: dict[tuple[str, str], Coming] = {}
        self._allowed: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def __aenter__(self) -> Self:
        self._asking = Asking(self._socket, most=CONNECTIONS, patience=PATIENCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._asking is not None:
            self._asking.close()

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

    def known(self, code: str) -> Manifest | None:
        """Return the manifest of the release if it need not be asked for again, else None."""
        at, value = self._known.get(code, (0.0, None))
        return value if isinstance(value, Manifest) and self._clock() - at < FRESH else None

    def forget(self) -> None:
        """Ask for every manifest again: another policy may let other releases pass."""
        self._known.clear()
        self._allowed.clear()

    async def follow(self, withdraw: Callable[[Sequence[str], Sequence[Withdrawal] | None], Awaitable[int]]) -> None:
        """Break off by ``withdraw`` what is withdrawn, as soon as the exchange tells, and confirm it; for ever.

        It is called with the releases that were withdrawn since, and with all tokens that are, or None where those are the same;
        again with what is not confirmed where it fails.
        """
        serial, stopped = -1, 0
        while True:
            try:
                told = await self._post("withdrawn", {"after": serial, "stopped": stopped}, wait=0)
                after, codes = int(told["serial"]), [str(code) for code in told["releases"]]
                listed = told["tokens"]
                tokens = None if listed is None else [Withdrawal.model_validate(one) for one in listed]
            except (HeadgateError, KeyError, TypeError, ValueError) as error:
                log.debug("the exchange says nothing of orders: %s", error)
                await asyncio.sleep(AGAIN)
                continue
            stopped = 0
            if after != serial:
                self._orders += 1
                self._allowed.clear()
                self._known.clear()  # first, so that nothing begins anew by what was known
                try:
                    stopped = await withdraw(codes, tokens)
                    serial = after
                except HeadgateError as error:
                    log.error("what is withdrawn is not broken off everywhere, and not confirmed: %s", error)
                    await asyncio.sleep(REFUSED)
            self.heard.set()

    async def listen_first(self) -> None:
        """Wait until the exchange has told once what is withdrawn; not for longer than it takes to be started."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.heard.wait(), RESTART)

    def is_fresh(self, code: str, manifest: Manifest) -> bool:
        """Return whether ``manifest`` is still what is known of the release, so that it need not be asked for again."""
        known = self._known.get(code)
        return known is not None and known[1] is manifest and self._clock() - known[0] < FRESH

    def allows(self, manifest: Manifest, path: str) -> bool:
        """Return whether the exchange has said of this very version that its file ``path`` passed as what it is served as."""
        return (manifest.digest, path) in self._allowed

    async def object(self, manifest: Manifest, path: str, via: Sequence[str] = ()) -> Coming:
        """Return the object as soon as some of it may be read, or all of it, which is in the store.

        ``via`` are the boxes that ask for it.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        coming = self.coming(manifest, path, via)
        await coming.reach(0)
        return coming

    def coming(self, manifest: Manifest, path: str, via: Sequence[str] = ()) -> Coming:
        """Return the object at once, which the exchange is asked for if it was not yet.

        Raises:
            Refused: too much is under way (``busy``).
        """
        key = (manifest.digest, path)
        coming = self._coming.get(key)
        if coming is None:
            if len(self._coming) >= WAITING:
                raise Refused("busy", "too much is being fetched already: ask again", 503)
            coming = self._coming[key] = Coming()
            self._tasks.create_task(self._follow(manifest, path, coming, via))
        return coming

    async def _follow(self, manifest: Manifest, path: str, coming: Coming, via: Sequence[str]) -> None:
        key = (manifest.digest, path)
        failure: HeadgateError | None = Unreachable("the exchange did not say what became of the object")
        try:
            async with self._turn:
                await self._listen({"release": manifest.release, "path": path, **_passed_on(via)}, coming)
            failure = None
            known = manifest.files.get(path)
            if known is not None and coming.object == Object(known.sha256, known.size, known.type):
                self._allowed[key] = None
                while len(self._allowed) > MOST_ALLOWED:
                    self._allowed.popitem(last=False)
        except HeadgateError as error:
            failure = error
        finally:
            del self._coming[key]
            coming.end(failure)

    async def _listen(self, asked: dict[str, Any], coming: Coming) -> None:
        """Follow the exchange's lines about one object to the end."""
        begun = done = False
        deadline: float | None = None
        while True:
            try:
                async with self._open.post("object", asked) as answer:
                    async for line in (await answer.check()).lines():
                        told = json.loads(line)
                        if "reason" in told:
                            raise Refused(str(told["reason"]), str(told["error"]), 502)
                        if "done" in told:
                            done = True  # what follows is the answer's end alone: its connection is used again
                        elif "verified" in told:
                            coming.advance(int(told["verified"]))
                        else:
                            begun = True
                            what = Object(str(told["sha256"]), int(told["size"]), str(told["type"]))
                            coming.began(what, told["incoming"], stored=told["from"] == "store")
                if done:
                    return
                raise BrokeOff("it ended in the middle")  # noqa: TRY301 (as where the connection does)
            except (BrokeOff, TimeoutError) as error:
                if done:
                    return
                deadline = self._clock() + RESTART if deadline is None else deadline
                if begun or self._clock() >= deadline:
                    raise Unreachable(f"the exchange does not answer: {error or 'no answer in time'}") from error
            except (ValueError, KeyError, TypeError) as error:
                raise Corrupt(f"the exchange's answer about an object is none: {error}") from error
            await asyncio.sleep(0.1)

    @property
    def _open(self) -> Asking:
        if self._asking is None:
            raise RuntimeError("used outside its 'async with'")
        return self._asking

    async def live(self, code: str, path: str, wanted: Wanted | None = None) -> LiveFile:
        """Return a channel's file as its packager signed it last; a playlist once it has what is ``wanted``.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        try:
            ask = {"release": code, "path": path} | ({"msn": wanted.msn, "part": wanted.part} if wanted else {})
            return LiveFile.model_validate(await self._post("live", ask))
        except ValidationError as error:
            raise Corrupt("the exchange's answer about a live file is none") from error

    async def damaged(self, manifest: Manifest, path: str) -> None:
        """Tell that the object could not be read whole, so that the exchange reads it again; whether it hears that, or not.

        What is asked for next comes by way of the exchange again.
        """
        self._allowed.pop((manifest.digest, path), None)
        with contextlib.suppress(HeadgateError):
            await self._post("damaged", {"release": manifest.release, "path": path}, wait=0)

    async def record(self, record: Record) -> None:
        """Hand ``record`` over; it is durable when this returns.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        await self._post("record", record.told(), wait=0)

    async def records(self, records: Sequence[Record]) -> None:
        """Hand ``records`` over; all are durable when this returns, or none.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        await self._post("records", {"records": [record.told() for record in records]}, wait=0)

    async def used(self, uses: list[dict[str, Any]]) -> None:
        """Tell what other boxes were given, for the store to keep it.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        await self._post("used", {"uses": uses}, wait=0)

    async def metadata(self, file: str, via: Sequence[str] = ()) -> bytes:
        """Return a file of trust metadata that the box verified.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        told = await self._post("trust", {"file": file, **_passed_on(via)})
        if not isinstance(told, dict) or not isinstance(told.get("data"), str):
            raise Corrupt("the exchange's answer about trust metadata is none")
        return str(told["data"]).encode()

    async def _ask(self, code: str, via: Sequence[str]) -> Manifest:
        wait = 0.0 if code in self._known else RESTART
        value: Manifest | Refused
        orders = self._orders
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
        if orders != self._orders:
            return await self._ask(code, via)
        self._known[code] = (self._clock(), value)
        self._known.move_to_end(code)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return _value(value)

    async def _post(self, ask: str, body: dict[str, Any], wait: float = RESTART) -> Any:
        """Ask, again and again for ``wait`` seconds while nobody listens: an exchange that was killed is started again at once."""
        deadline: float | None = None
        while True:
            try:
                async with self._open.post(ask, body) as answer:
                    return await answer.json()
            except (BrokeOff, TimeoutError) as error:
                deadline = self._clock() + wait if deadline is None else deadline
                if self._clock() >= deadline:
                    raise Unreachable(f"the exchange does not answer: {error or 'no answer in time'}") from error
            except ValueError as error:
                raise Corrupt(f"the exchange's answer is none: {error}") from error
            await asyncio.sleep(0.1)


def _passed_on(via: Sequence[str]) -> dict[str, list[str]]:
    return {"via": list(via)} if via else {}


def _value(known: Manifest | Refused) -> Manifest:
    if isinstance(known, HeadgateError):
        raise Refused(known.reason, str(known), known.status)
    return known
