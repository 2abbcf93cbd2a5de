"""What nginx asks: once for a session, whether it is permitted, and once for an object, what it is and where.

Every answer is a success, which nginx keeps for as long as ``X-Accel-Expires`` says, and its workers remember until ``Headgate-Until``,
while delivery lends them that: one that is away, or cannot account for more, does not. Where it names no link, nginx passes the request on.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from appliance.runtime.errors import Refused
from gateway.delivery import cmsd, fields
from gateway.delivery.front import opaque, places, seen
from gateway.delivery.front.opaque import Carried
from gateway.delivery.front.trees import Trees
from gateway.delivery.live import PREFIX, Channels, longest
from gateway.permission import door as doors
from gateway.permission.door import Door, Granted
from gateway.permission.judge import Asked
from gateway.permission.permit import PREFIX as LEADING
from gateway.permission.pseudonym import DAY
from gateway.permission.withdrawn import marks
from gateway.release.manifest import Content, Live
from gateway.serving.exchange import Exchange, LiveFile, Manifest
from gateway.store.objects import Objects

SESSION = 60  # seconds for which a permission is kept
OBJECT = 2  # seconds for which nginx keeps what it was told of an object
REMEMBERED = 20  # for which a worker does, as long as delivery lends it that
LEASE, RENEW = 2.0, 0.5  # seconds for which delivery lends it, and after which it does so again
# Seconds after which a worker has answered what it had looked up when it was recalled: that takes it microseconds, and longer where others
# have the processor meanwhile.
SETTLE = 0.05
AGAIN = 1  # seconds in which what nginx may not answer is not asked again


class Zone(Protocol):
    """What delivery knows of its zone."""

    def may_begin(self) -> None:
        """Refuse where a delivery could not be accounted for."""

    def shows(self, kind: str) -> bool:
        """Return whether files of the media type ``kind`` are shown as they are."""

    def grants(self, manifest: Manifest, path: str) -> bool:
        """Return whether it is known that the zone's ladder does not leave a file out."""

    def told(self) -> str:
        """Return what every player is told now (``CMSD-Dynamic``)."""

    def gives(self, manifest: Manifest, path: str) -> None:
        """Take note that a screen is given a file."""

    async def end(self) -> None:
        """Break off what nginx delivers, which is about to end."""


class Front:
    """The questions of one zone's nginx."""

    def __init__(self, store: Objects, channels: Channels, exchange: Exchange, trees: Trees, zone: Zone) -> None:
        self._store, self._channels, self._exchange, self._trees, self._zone = store, channels, exchange, trees, zone
        self.generation = ""  # of the policy; nothing is answered without one
        self.door: Door | None = None

    def take(self, generation: str, door: Door | None) -> None:
        """Answer by another policy from now on; what nginx keeps of the last one gives nothing any more."""
        self.generation, self.door = generation, door
        self._trees.forget()

    def withdraw(self, codes: Iterable[str]) -> None:
        """Let nginx serve nothing of the releases ``codes`` from now on."""
        self._trees.drop(codes)

    def lock(self) -> None:
        """Let nginx ask for each permission again, from now on."""
        self._trees.lock()

    async def settle(self) -> None:
        """Let pass what nginx was about to answer when something was withdrawn."""
        await asyncio.sleep(SETTLE)

    async def lend(self) -> None:
        """Let nginx's workers answer by what they remember as long as anything may begin, for ever."""
        while True:
            try:
                self._zone.may_begin()
            except Refused:
                pass  # what was lent runs out; who asks is told why
            else:
                self._trees.lend(time.time() + LEASE, self._zone.told())
            await asyncio.sleep(RENEW)

    async def permit(self, request: web.Request) -> web.Response:
        """Answer whether what this screen shows permits it all of a release, and for how long."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        folder = headers.get(places.TARGET.lower(), "")
        if self.door is None or not self._is_known(request, "permit"):
            return _answer(0)
        now = time.time()
        asked = Asked(
            headers.get(places.METHOD.lower(), ""),
            str(seen.url_of(request).with_path(folder)),
            seen.screen_of(request),
            headers,
        )
        try:
            granted = self.door.admit(doors.shown(headers, request.cookies, {}), asked, now)
        except Refused:
            return _answer(AGAIN)  # delivery says why
        seconds = lasting(granted, folder, self.door.skew, now)
        said = {
            places.DOOR: self._trees.door,
            places.SUBJECT: granted.subject,
            places.MARKS: marks(granted.permit),
        }
        # As long as nginx keeps it: what is remembered no more is looked for there.
        return _answer(seconds, said if seconds else {}, int(now) + seconds + 1)

    async def object(self, request: web.Request) -> web.Response:
        """Answer what is said of a file and where it is, if it is here and may be served; nobody else is asked."""
        target = request.headers.get(places.TARGET, "")
        _, _, code, path = target.split("/", 3) if target.count("/") > 2 else ("", "", "", "")
        manifest = self._exchange.known(code)
        if not self._is_known(request, "object") or manifest is None:
            return _answer(0)
        if manifest.live is not None and path.startswith(PREFIX):
            return self._segment(manifest, manifest.live, code, path)
        file = manifest.files.get(path)
        if file is None or not self._zone.shows(file.type):
            return _answer(AGAIN)
        if not self._exchange.allows(manifest, path) or not self._store.has(file.sha256, file.size):
            return _answer(0)
        static = cmsd.static(path, file.type, manifest.entry, live=False)
        return self._found(manifest, path, file, self._store.path(file.sha256), fields.keep(file.type), static)

    def _segment(self, manifest: Manifest, live: Live, code: str, path: str) -> web.Response:
        """Answer what is said of a segment of a live channel that came a moment ago; playlists and what is yet to come are delivery's."""
        known = self._channels.known(code, path.removeprefix(PREFIX))
        if known is None or not self._zone.shows(known[0].type):
            return _answer(0)
        file, where, left = known
        static = cmsd.static(path, file.type, manifest.entry, live=True, seconds=live.segment)
        return self._found(manifest, path, file, where, longest(live, path), static, left)

    def _found(
        self,
        manifest: Manifest,
        path: str,
        file: Content | LiveFile,
        where: Path,
        keep: int,
        static: str,
        left: float = math.inf,
    ) -> web.Response:
        if not self._zone.grants(manifest, path):
            return _answer(0)
        try:
            self._zone.may_begin()
        except Refused:
            return _answer(0)
        self._zone.gives(manifest, path)
        said = {
            **fields.of_file(file.sha256, keep, hit=True, private=self.door is not None),
            cmsd.STATIC: static,
            cmsd.DYNAMIC: self._zone.told(),
            places.OBJECT: self._trees.path(manifest.release, manifest, where),
            places.SIZE: str(file.size),
            places.METER: opaque.told(Carried(manifest.release, path, manifest.body, "hit")),
            "Content-Type": file.type,
        }
        # nginx counts whole seconds, and keeps up to one more.
        return _answer(int(max(0, min(OBJECT, left - 1))), said, time.time() + min(REMEMBERED, left))

    async def end(self, request: web.Request) -> web.Response:
        """Break off what nginx delivers, as who runs it asks before it ends: it says how far each came, and that is counted.

        Raises:
            Unreachable, Refused: it could not be broken off.
        """
        if request.headers.get(places.ASK) != "end":
            raise Refused("bad-request", "nobody but who runs nginx asks this", 404)
        await self._zone.end()
        return web.Response(status=204)

    def _is_known(self, request: web.Request, ask: str) -> bool:
        """Return whether nginx asks, and under this policy."""
        headers = request.headers
        return headers.get(places.ASK) == ask and headers.get(places.GENERATION) == self.generation


def lasting(granted: Granted, folder: str, skew: float, now: float) -> int:
    """Return for how many seconds all files below ``folder`` are permitted, 0 where each is to be judged."""
    permit = granted.permit
    alike = all(
        test.part == "path" and test.how == LEADING and isinstance(test.value, str) and folder.startswith(test.value)
        for test in permit.tests
    )
    if permit.headers or not alike:
        return 0
    until = min(permit.until + skew, (now // DAY + 1) * DAY)  # the pseudonym changes with the day
    return max(0, min(SESSION, int(until - now) - 1))  # nginx counts whole seconds, and keeps up to one more


def _answer(seconds: int, said: dict[str, str] | None = None, until: float = 0.0) -> web.Response:
    held = {places.UNTIL: f"{until:.3f}"} if said else {}
    return web.Response(headers=CIMultiDict({"X-Accel-Expires": str(seconds), **held, **(said or {})}))
