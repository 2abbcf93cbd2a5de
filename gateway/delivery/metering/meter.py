"""Counts deliveries: those that run, and those that somebody else (nginx) made and are over."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Self

from gateway.delivery.metering.delivery import Delivery, What
from gateway.delivery.usage import Usage, record


class Running:
    """A delivery under way: a ``with`` block, in which ``end`` is called once it is over."""

    def __init__(self, meter: Meter, what: What) -> None:
        self._meter, self._what, self._started, self._began = meter, what, time.time(), time.monotonic()
        self._sent, self._status, self._ended = 0, 0, False

    def content(self, status: int, count: int, ahead: int = 0) -> None:
        """Note that ``count`` bytes of content go next, behind ``ahead`` other bytes that are not written yet (the answer's head)."""
        self._status = status

    def progress(self, sent: int) -> None:
        """Note that the kernel took ``sent`` bytes of content so far."""
        self._sent = sent

    def end(self, status: int, sent: int, count: int, method: str = "GET") -> None:
        """Count the delivery as answered with ``status``, ``sent`` of ``count`` bytes; what was no use (HEAD, 416) is not counted."""
        self._ended, self._sent = True, sent
        if method == "GET" and status != 416:
            self._add(status, broken=sent < count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Count what left before a failure, if ``end`` did not."""
        if not self._ended and self._sent:
            self._add(self._status, broken=True)

    def _add(self, status: int, *, broken: bool) -> None:
        seconds = time.monotonic() - self._began
        self._meter.add(Delivery(self._what._replace(status=status), self._sent, self._started, seconds, broken))


class Meter:
    """The deliveries of one zone."""

    def __init__(self, usage: Usage, zone: str, screen: str) -> None:
        self._usage, self.zone, self.screen = usage, zone, screen

    def check(self) -> None:
        """Raise unless a new delivery can be accounted for.

        Raises:
            Refused: too much waits for the exchange (``busy``).
        """
        self._usage.check()

    def begin(
        self,
        transport: asyncio.BaseTransport | None,
        release: str,
        path: str,
        body: str,
        cache: str,
        subject: str = "",
    ) -> Running:
        """Begin a delivery on a connection: ``release`` is its code, ``cache`` is ``hit`` or ``miss``."""
        return Running(self, What(release, path, body, self.zone, self.screen, 0, cache, subject))

    def add(self, delivery: Delivery) -> None:
        """Count a delivery that is over."""
        what = delivery.what
        self._usage.add(
            record(
                zone=what.zone,
                release=what.release,
                path=what.path,
                body=what.body,
                status=what.status,
                cache=what.cache,
                sent=delivery.sent,
                started=datetime.fromtimestamp(delivery.started, UTC),
                seconds=delivery.seconds,
                subject=what.subject,
                now=datetime.now(UTC),
            )
        )
