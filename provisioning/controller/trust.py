"""The trust repository at the centre: takes in what its holders signed, and signs that this is the newest, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.release.trust import layout, repository, summary
from gateway.release.trust.files import Files
from gateway.release.trust.layout import Name
from gateway.release.trust.repository import Refreshed
from provisioning.controller.settings import Trust

LARGEST = max(layout.LARGEST.values())  # bytes of a file

log = logging.getLogger("headgate.controller")


class Keeper:
    """Keeps the timestamp of the repository in a folder fresh; one at a time writes there."""

    def __init__(self, settings: Trust, key: PrivateKey) -> None:
        self._settings, self._key = settings, key
        self.files = Files(settings.folder)
        self.last: Refreshed | None = None
        self.fault = ""  # why the last refresh failed

    async def refresh(self) -> Refreshed:
        """Take in what was signed since the last time, and sign anew what is due.

        Raises:
            Corrupt: there is no repository yet, or a file in it is damaged.
            Refused: the key is not the root's (``wrong-key``).
        """
        lasts = timedelta(seconds=self._settings.lasts)
        try:
            done = await asyncio.to_thread(repository.refresh, self._settings.folder, self._key, lasts=lasts)
        except (HeadgateError, OSError) as error:
            self.fault = str(error)
            raise
        for file, why in done.refused.items():
            if self.last is None or file not in self.last.refused:
                log.warning("%s is not taken in: %s", file, why)
        self.last, self.fault = done, ""
        return done

    async def run(self) -> None:
        """Refresh for ever, every few seconds."""
        told = ""
        while True:
            try:
                await self.refresh()
            except (HeadgateError, OSError) as error:
                if str(error) != told:  # each fault once, not every few seconds
                    log.error("the trust metadata is not kept fresh: %s", error)
            told = self.fault
            await asyncio.sleep(self._settings.every)

    async def put(self, name: Name, data: bytes) -> Refreshed:
        """Take one signed file, and show it to boxes if it fits to the rest.

        Raises:
            Corrupt: it is no metadata.
            Refused: it may not be taken in; the first root only if it is the one that the settings pin.
        """
        folder = self._settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(data).hexdigest()
        if name.file == layout.FIRST_ROOT and self.files.read(name) is None and digest != self._settings.root:
            raise Refused("wrong-key", "this first root is not the one that the controller's settings pin")
        await asyncio.to_thread(repository.put, folder, name.file, data)
        try:
            return await self.refresh()
        except HeadgateError as error:  # the file is there; what is missing yet (targets, a key for a new root) is told
            return Refreshed(0, 0, datetime.now(UTC), refused={layout.TIMESTAMP_FILE: str(error)}, changed=False)


def keeper(settings: Trust) -> Keeper:
    """Return the keeper for these settings.

    Raises:
        Corrupt: the key's file holds no key.
    """
    return Keeper(settings, PrivateKey.load(settings.key))


def routes(trust: Keeper) -> list[web.RouteDef]:
    """Return ``/api/trust``: GET tells, GET of a file gives it, POST takes one that its holder signed."""

    async def told(request: web.Request) -> web.Response:
        found: dict[str, Any] = {"fault": trust.fault, "refused": trust.last.refused if trust.last else {}}
        with contextlib.suppress(Corrupt):
            found["newest"] = await asyncio.to_thread(trust.files.newest)
            found |= await asyncio.to_thread(summary.told, trust.files, [])
        return web.json_response(found)

    async def give(request: web.Request) -> web.Response:
        name = layout.parse(request.match_info["file"])
        data = await asyncio.to_thread(trust.files.read, name)
        if data is None:
            raise Refused("missing-metadata", f"there is no {name.file}", 404)
        return web.Response(body=data, content_type="application/json")

    async def take(request: web.Request) -> web.Response:
        name = layout.parse(request.match_info["file"])
        data = bytearray()
        async for chunk in request.content.iter_any():
            data += chunk
            if len(data) > name.largest:
                raise Refused("too-large", f"{name.file} has at most {name.largest} bytes", 413)
        done = await trust.put(name, bytes(data))
        answer = {"file": name.file, "snapshot": done.snapshot, "timestamp": done.timestamp, "refused": done.refused}
        return web.json_response(answer | {"visible": name.file not in done.refused})

    return [
        web.get("/api/trust", told),
        web.get("/api/trust/{file}", give),
        web.post("/api/trust/{file}", take),
    ]
