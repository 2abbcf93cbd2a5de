"""What became of registrations that this box handed in: the controller's word, brought to the exchange.

What the registry took comes back by its log. Here comes what it did not take, which would else be answered from at this box for long.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from appliance.telemetry.records import plain_json

LARGEST = 256 << 10  # bytes of a message
MOST = 1000  # words that wait for the exchange; the controller's record of what is beyond is not lost
AGAIN = 2.0  # seconds until an exchange that is away is asked again
SECONDS = 30.0  # for one answer of the exchange
_DIGEST = re.compile(r"[0-9a-f]{64}")

log = logging.getLogger("headgate.telemetry")


@dataclass(frozen=True)
class NotRegistered:
    """A statement of which the registry did not take everything: all of it, or the records with these places (from 0)."""

    statement: str
    reason: str
    places: tuple[int, ...]


def parse(data: bytes) -> NotRegistered | None:
    """Return what a message on ``headgate/v1/SITE/registrations`` says was not taken, None where all was.

    Raises:
        Corrupt: it says nothing of a registration.
    """
    told = plain_json(data) if len(data) <= LARGEST else None
    if not isinstance(told, dict) or not isinstance(told.get("statement"), str):
        raise Corrupt("this says of no registration what became of it")
    faults, reason = told.get("faults"), told.get("reason")
    if not isinstance(faults, list) or not isinstance(reason, str):
        raise Corrupt("this says of no registration what became of it")
    places = tuple(f["index"] for f in faults if isinstance(f, dict) and isinstance(f.get("index"), int))
    if not _DIGEST.fullmatch(told["statement"]) or not (reason or places):
        return None
    whole = reason and (not places or min(places) < 0)
    return NotRegistered(told["statement"], reason or "refused", () if whole else places)


class Messenger:
    """Brings the word to the exchange at ``socket``."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._waiting: deque[NotRegistered] = deque(maxlen=MOST)
        self._more = asyncio.Event()

    def take(self, told: NotRegistered | None) -> None:
        """Take what the controller said."""
        if told is not None:
            log.error("the centre did not register what statement %s says: %s", told.statement, told.reason)
            self._waiting.append(told)
            self._more.set()

    async def run(self) -> None:
        """Bring it, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                told = self._waiting[0]
                try:
                    await self._tell(told)
                except Refused as error:
                    if error.status >= 500:
                        await asyncio.sleep(AGAIN)
                        continue
                    log.warning("the exchange does not hear of a registration: %s", error)
                except HeadgateError:
                    await asyncio.sleep(AGAIN)
                    continue
                self._waiting.popleft()

    async def _tell(self, told: NotRegistered) -> None:
        body = {"statement": told.statement, "places": list(told.places)}
        async with (
            http.unix_client(self._socket, SECONDS) as client,
            client.post("http://exchange/not-registered", json=body) as response,
        ):
            await http.check(response)
