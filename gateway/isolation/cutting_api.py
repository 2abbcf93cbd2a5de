"""What a zone's delivery may ask of the guard at a socket of its own: to destroy screens' connections, and what of ended ones never left.

Which socket it is says which zone; its folder, which only that delivery's unit sees and its group may enter, is the gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.runtime import http
from appliance.runtime.errors import HeadgateError, Refused
from gateway.isolation import cutting
from gateway.isolation.cutting import Cutter, Ends, Listener
from gateway.isolation.kernel import Kernel
from gateway.isolation.policy import Policy

MOST = 32_768  # screens in one request: as many transfers as delivery knows
LONGEST_BODY = 2 << 20  # bytes
SOCKET_MODE = 0o666
EVERY = 1.0  # seconds between two looks whether the policy names other zones
log = logging.getLogger("headgate.guard")


class Cut(BaseModel):
    """Connections by their ends at screens."""

    model_config = ConfigDict(extra="forbid", strict=True)

    screens: Annotated[list[tuple[str, Annotated[int, Field(ge=1, le=65535)]]], Field(max_length=MOST)]
    look: bool = False  # only tell which are there


class Asked(BaseModel):
    """What is known already of connections that ended."""

    model_config = ConfigDict(extra="forbid", strict=True)

    instance: str
    after: int


class Place:
    """One zone: what its delivery asks."""

    def __init__(self, zone: str, kernel: Kernel, policy: Callable[[], Policy | None]) -> None:
        self._zone, self._policy = zone, policy
        inside = functools.partial(kernel.inside, zone)
        self._cutter = Cutter(inside)
        self._listener = Listener(inside, self._cutter, self._ends)
        self._instance = uuid.uuid4().hex
        self._alone = asyncio.Lock()
        self._descriptor = self._listener.netlink.socket.fileno()
        asyncio.get_running_loop().add_reader(self._descriptor, self._listener.hear)

    def close(self) -> None:
        """Let go of the zone."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._listener.close()

    def application(self) -> web.Application:
        """Return the application."""
        app = http.application(LONGEST_BODY)
        app.add_routes([web.post("/cut", self._cut), web.post("/gone", self._gone)])
        return app

    def _ends(self) -> Ends:
        policy = self._policy()
        return cutting.ends_of(policy, self._zone) if policy is not None else ()

    async def _cut(self, request: web.Request) -> web.Response:
        try:
            cut = Cut.model_validate_json(await request.read())
            screens = [(str(ipaddress.ip_address(address)), port) for address, port in cut.screens]
        except ValueError as error:
            raise Refused(
                "bad-request", f'the body is {{"screens": [[ADDRESS, PORT], ...]}}, at most {MOST} of them', 400
            ) from error
        async with self._alone:
            found = await asyncio.to_thread(self._cutter.cut, screens, self._ends(), look=cut.look)
        if found and not cut.look:
            log.info("%s: destroyed %d connections of screens, as delivery asked", self._zone, len(found))
        return web.json_response({"found": found})

    async def _gone(self, request: web.Request) -> web.Response:
        try:
            asked = Asked.model_validate_json(await request.read())
        except ValidationError as error:
            raise Refused("bad-request", 'the body is {"instance": TEXT, "after": SERIAL}', 400) from error
        self._listener.hear()
        gone = self._listener.since(asked.after if asked.instance == self._instance else 0)
        return web.json_response({"instance": self._instance, "missed": self._listener.missed, "gone": gone})


class Places:
    """The zones whose deliveries may ask: follows the policy that is enforced."""

    def __init__(self, folder: Path, kernel: Kernel, policy: Callable[[], Policy | None]) -> None:
        self._folder, self._kernel, self._policy = folder, kernel, policy
        self._open: dict[str, tuple[int, contextlib.AsyncExitStack]] = {}  # zone -> its namespace
        self._failed: dict[str, str] = {}

    async def run(self) -> None:
        """Follow the policy, for ever."""
        try:
            while True:
                await self.follow()
                await asyncio.sleep(EVERY)
        finally:
            for zone in tuple(self._open):
                await self._close(zone)

    async def follow(self) -> None:
        """Open what is missing and close what is no more."""
        policy = self._policy()
        zones = [zone for zone in self._kernel.zones() if policy is not None and cutting.ends_of(policy, zone)]
        wanted = {zone: self._kernel.inode(zone) for zone in zones}
        for zone, (inode, _) in tuple(self._open.items()):
            if wanted.get(zone) != inode:
                await self._close(zone)
        for zone in wanted.keys() - self._open.keys():
            try:
                await self._enter(zone, wanted[zone])
                self._failed.pop(zone, None)
            except (HeadgateError, OSError) as error:
                if self._failed.get(zone) != str(error):
                    log.error("connections of screens in %s cannot be cut: %s", zone, error)
                self._failed[zone] = str(error)

    async def _enter(self, zone: str, inode: int) -> None:
        folder = self._folder / f"delivery-{zone}"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)  # never made anew: units hold a mount of it
        async with contextlib.AsyncExitStack() as stack:
            place = Place(zone, self._kernel, self._policy)
            stack.callback(place.close)
            await stack.enter_async_context(
                http.serving(place.application(), unix=[(folder / "cut.sock", SOCKET_MODE)])
            )
            self._open[zone] = inode, stack.pop_all()

    async def _close(self, zone: str) -> None:
        await self._open.pop(zone)[1].aclose()
        (self._folder / f"delivery-{zone}" / "cut.sock").unlink(missing_ok=True)
