"""Orders on their way through: from the controller's topic to the exchange of this box, and the proofs back.

Telemetry reads none of it: orders are signed for the exchange, proofs by it. What it adds is whether the line stands at all, so that a
box that starts knows whether to wait for the centre's word before it serves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError
from appliance.telemetry.records import plain_json, to_json

LARGEST = 1 << 20  # bytes of a message of orders, or of an answer of the exchange
MOST = 256  # orders in one message
AGAIN = 0.2  # seconds until an exchange that is away is asked again
PATIENCE = 5.0  # seconds without a line after which the exchange is told so
SECONDS = 60.0  # for one answer: removing many objects takes a while

log = logging.getLogger("headgate.telemetry")


@dataclass(frozen=True)
class Orders:
    """What the controller sent: the serial of its last order, and envelopes."""

    head: int
    envelopes: tuple[str, ...] = ()


def parse(data: bytes) -> Orders:
    """Return what a message on ``headgate/v1/SITE/orders`` says.

    Raises:
        Corrupt: it is none.
    """
    told = plain_json(data) if len(data) <= LARGEST else None
    if isinstance(told, dict) and told.keys() == {"head", "orders"}:
        head, envelopes = told["head"], told["orders"]
        good = type(head) is int and 0 <= head < 1 << 53
        if good and isinstance(envelopes, list) and len(envelopes) <= MOST and all(type(e) is str for e in envelopes):
            return Orders(head, tuple(envelopes))
    raise Corrupt("this is no message of orders")


class Courier:
    """Speaks with the exchange at ``socket``; its proofs go to ``publish``: one that is lost is asked for again."""

    def __init__(self, socket: Path, publish: Callable[[bytes], None]) -> None:
        self._socket, self._publish = socket, publish
        self._waiting: list[Orders] = []
        self._head: int | None = None  # by the controller's word on this connection
        self._line: bool | None = None  # None: it was not tried for long enough to say
        self._since = time.monotonic()
        self._more = asyncio.Event()
        self._instance = ""
        self._fault = ""  # what was logged last
        self.serial: int | None = None  # of the last order that the exchange took; None: it never answered

    def line(self, *, stands: bool) -> None:
        """Take note that the connection to the broker stands, or does not."""
        if self._line is not stands:
            self._line = True if stands else None
            self._since = time.monotonic()
        self._head = None
        self._more.set()

    def take(self, orders: Orders) -> None:
        """Take what the controller sent; the last word wins where the exchange is away for long."""
        self._head = orders.head
        self._waiting = [*self._waiting[-7:], orders]
        self._more.set()

    async def run(self) -> None:
        """Bring orders to the exchange and proofs back, and look whether the exchange was started anew, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bring())
            tasks.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                told = await self._ask("serial", {"instance": self._instance, "serial": _or(self.serial, -1)})
                instance, self.serial = str(told["instance"]), int(told["serial"])
            except (HeadgateError, KeyError, TypeError, ValueError) as error:
                log.debug("the exchange does not tell its orders: %s", error)
                await asyncio.sleep(AGAIN)
                continue
            if instance != self._instance:
                self._instance = instance
                self._more.set()

    async def _bring(self) -> None:
        told_line = ("", "")  # which exchange was told what last
        while True:
            try:
                async with asyncio.timeout(AGAIN if self._line is None else None):
                    await self._more.wait()
            except TimeoutError:
                if time.monotonic() - self._since < PATIENCE:
                    continue
                self._line = False
            self._more.clear()
            state = (self._instance, f"{self._line} {self._head}")
            taken = True
            while self._waiting and taken:
                orders = self._waiting[0]
                if taken := await self._hand(orders):
                    self._waiting.remove(orders)
                    told_line = state
            if taken and state != told_line:
                taken = await self._hand(None)
            if taken:
                told_line = state
            else:
                await asyncio.sleep(AGAIN)
                self._more.set()

    async def _hand(self, orders: Orders | None) -> bool:
        """Give the exchange orders, or only the word on the line; return whether it took them."""
        body: dict[str, Any] = {"online": self._line is not False, "head": self._head}
        if orders is not None:
            body |= {"head": max(orders.head, _or(self._head, 0)), "envelopes": list(orders.envelopes)}
        try:
            answer = await self._ask("order", body)
        except HeadgateError as error:
            if (told := str(error)) != self._fault:  # it is asked again several times a second
                log.warning("the exchange does not take orders now: %s", told)
            self._fault = told
            return False
        self._fault = ""
        if isinstance(answer, dict) and (answer.get("proofs") or answer.get("refused")):
            for message in _messages(answer):
                self._publish(message)
        return True

    async def _ask(self, what: str, body: dict[str, Any]) -> Any:
        async with (
            http.unix_client(self._socket, SECONDS) as client,
            client.post(f"http://exchange/{what}", json=body) as response,
        ):
            await http.check(response)
            try:
                return plain_json(await response.content.read(8 * LARGEST))
            except Corrupt as error:
                raise Corrupt("the exchange's answer is none") from error


def _messages(answer: dict[str, Any]) -> list[bytes]:
    """Return the answer in messages that the broker takes, one a proof."""
    proofs = [one for one in answer.get("proofs") or [] if isinstance(one, dict)]
    refused = answer.get("refused")
    parts = [{"serial": answer.get("serial"), "proofs": [one], "refused": None} for one in proofs]
    if refused:
        parts.append({"serial": answer.get("serial"), "proofs": [], "refused": refused})
    return [to_json(part) for part in parts]


def _or(value: int | None, other: int) -> int:
    return other if value is None else value
