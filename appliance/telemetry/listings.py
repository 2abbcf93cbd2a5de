"""Listings on their way to the centre: what bodies handed in at this box's exchange goes to the controller until it is named there.

Telemetry reads none of it: it is signed by the bodies, and judged by the controller as by the box. What is lost on the way is sent again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError
from appliance.telemetry.records import plain_json, to_json

LARGEST = 1 << 20  # bytes of a message, as the broker takes it
LONGEST = 200  # characters of a file's name, and of a reason
AGAIN = 1.0  # seconds until an exchange that is away is asked again
RESEND = 30.0  # seconds until a file that still waits is sent once more
SECONDS = 60.0  # for one answer of the exchange

log = logging.getLogger("headgate.telemetry")


@dataclass(frozen=True)
class NotTaken:
    """What the controller says of a file that it does not take."""

    file: str
    reason: str
    error: str


def parse(data: bytes) -> NotTaken:
    """Return what a message on ``headgate/v1/SITE/listed`` says.

    Raises:
        Corrupt: it is none.
    """
    told = plain_json(data) if len(data) <= LARGEST else None
    if isinstance(told, dict) and told.keys() == {"file", "reason", "error"}:
        texts = [told["file"], told["reason"], told["error"]]
        if all(isinstance(text, str) and len(text) > 0 for text in texts) and len(told["file"]) <= LONGEST:
            return NotTaken(told["file"], told["reason"][:LONGEST], told["error"][:300])
    raise Corrupt("this says of no listing why it is not taken")


def message(file: str, data: bytes) -> bytes:
    """Return the message that brings a file to the controller."""
    return to_json({"file": file, "data": base64.b64encode(data).decode()})


class Carrier:
    """Brings what waits at the exchange at ``socket`` to ``publish``, and the controller's word back."""

    def __init__(self, socket: Path, publish: Callable[[bytes], None]) -> None:
        self._socket, self._publish = socket, publish
        self._sent: dict[str, float] = {}  # monotonic seconds
        self._refused: list[NotTaken] = []
        self._more, self._anew = asyncio.Event(), asyncio.Event()

    def line(self) -> None:
        """Take note that the connection stands, or the controller came up, anew: what was sent may be lost."""
        self._sent.clear()
        self._anew.set()

    def take(self, told: NotTaken) -> None:
        """Take what the controller said."""
        self._refused = [*self._refused[-63:], told]
        self._more.set()

    async def run(self) -> None:
        """Carry, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bring())
            tasks.create_task(self._bring_again())
            tasks.create_task(self._hand_back())

    async def _bring(self) -> None:
        number = -1
        while True:
            try:
                number = await self._look(number)
            except (HeadgateError, KeyError, TypeError, ValueError) as error:
                log.debug("the exchange does not tell its listings: %s", error)
                await asyncio.sleep(AGAIN)

    async def _bring_again(self) -> None:
        while True:
            await self._anew.wait()
            self._anew.clear()
            with contextlib.suppress(HeadgateError, KeyError, TypeError, ValueError):  # it is looked at anyway
                await self._look(-1)

    async def _look(self, after: int) -> int:
        """Send what waits, once the exchange's number is not ``after``, or after a while; return the number."""
        told = await self._ask("listings", {"after": after})
        number, files = int(told["number"]), [str(file) for file in told["files"]]
        self._sent = {file: when for file, when in self._sent.items() if file in files}
        for file in files:
            await self._send(file)
        return number

    async def _send(self, file: str) -> None:
        now = time.monotonic()
        if now - self._sent.get(file, float("-inf")) < RESEND:
            return
        told = await self._ask("listing", {"file": file})
        payload = message(file, str(told["data"]).encode())
        if len(payload) > LARGEST:
            log.error("%s is too long for a message", file)
        else:
            self._publish(payload)
        self._sent[file] = now

    async def _hand_back(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._refused:
                told = self._refused.pop(0)
                with contextlib.suppress(HeadgateError):  # it waits no longer, or the controller says so once more
                    await self._ask("listing", {"file": told.file, "reason": told.reason, "error": told.error})

    async def _ask(self, what: str, body: dict[str, Any]) -> Any:
        async with (
            http.unix_client(self._socket, SECONDS) as client,
            client.post(f"http://exchange/{what}", json=body) as response,
        ):
            await http.check(response)
            if response.status == 204:
                return None
            try:
                return plain_json(await response.content.read(4 * LARGEST))
            except Corrupt as error:
                raise Corrupt("the exchange's answer is none") from error
