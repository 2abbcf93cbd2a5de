"""Purges of what deliveries keep of web origins: who follows them, and who confirmed them when. Pure but for waiting."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from gateway.exchange.asks import Ask

POLL = 20.0  # seconds after which a question that waits is answered all the same
CONFIRM = 5.0  # seconds that deliveries have to confirm a purge
MOST_KEPT = 256  # purges that a follower may have missed; one that missed more forgets everything
MOST_TAGS = 64  # of one purge

Tag = Annotated[str, StringConstraints(pattern=r"^[\x21-\x2b\x2d-\x7e]{1,1024}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[\x21-\x7e]{1,4096}$")]


class Purge(Ask):
    """What is to be forgotten: all that has one of these tags exactly, a URL, or all below a prefix; ``soft``: only made stale."""

    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS)] = Field(default_factory=list)
    url: Url | None = None
    prefix: Url | None = None
    soft: bool = False

    @model_validator(mode="after")
    def _one(self) -> Purge:
        if sum((bool(self.tags), self.url is not None, self.prefix is not None)) != 1:
            raise ValueError("a purge names one of 'tags', 'url' and 'prefix'")
        return self

    @property
    def what(self) -> str:
        """Return what is purged, for people."""
        if self.tags:
            return f"tag {', '.join(self.tags)}"
        return f"url {self.url}" if self.url is not None else f"prefix {self.prefix}"


class Done(Ask):
    """That a delivery carried a purge out: how many stored answers it forgot."""

    serial: int = Field(ge=1)
    count: int = Field(ge=0)
    error: Annotated[str, Field(max_length=400)] = ""


@dataclass
class Confirmed:
    """What one delivery said of a purge: answers forgotten, and seconds since the purge was given."""

    peer: str
    count: int
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Gone:
    """What became of a purge: answers forgotten, and the deliveries that confirmed it or did not."""

    count: int
    confirmed: list[str]
    unconfirmed: list[str]

    @classmethod
    def of(cls, peers: frozenset[str], said: Iterable[Confirmed]) -> Gone:
        """Return what ``said`` comes to, of ``peers`` that were to confirm."""
        done = list(said)
        confirmed = sorted(one.peer for one in done if not one.error)
        return cls(sum(one.count for one in done), confirmed, sorted(peers - set(confirmed)))


@dataclass
class _Given:
    purge: Purge
    at: float
    confirmed: dict[str, Confirmed] = field(default_factory=dict)


class Purges:
    """The last purges of this box, in the order they were given."""

    def __init__(self) -> None:
        self.instance = secrets.token_hex(8)  # so that a follower notices another start, and begins at its serial
        self.serial = 0
        self._given: OrderedDict[int, _Given] = OrderedDict()
        self._changed = asyncio.Condition()

    async def give(self, purge: Purge, peers: frozenset[str]) -> AsyncIterator[Confirmed]:
        """Have ``peers`` carry the purge out; yield what each says, as it comes within ``CONFIRM`` seconds."""
        given = _Given(purge, time.monotonic())
        async with self._changed:
            self.serial += 1
            self._given[self.serial] = given
            while len(self._given) > MOST_KEPT:
                self._given.popitem(last=False)
            self._changed.notify_all()
        told: set[str] = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM):
                while told < peers:
                    async with self._changed:
                        await self._changed.wait_for(lambda: bool((given.confirmed.keys() & peers) - told))
                    for name in sorted((given.confirmed.keys() & peers) - told):
                        told.add(name)
                        yield given.confirmed[name]

    async def follow(self, peer: str, instance: str, after: int, done: list[Done]) -> list[tuple[int, Purge]] | None:
        """Take note of what ``peer`` did, and return the purges after ``after`` as soon as there are some, or None: it missed some.

        A peer that knows another instance than this missed what that one gave last.
        """
        if instance == self.instance:
            await self._note(peer, done)
        else:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL), self._changed:
                await self._changed.wait_for(lambda: self.serial > after)
        if after > self.serial or (self._given and next(iter(self._given)) > after + 1):
            return None
        return [(serial, given.purge) for serial, given in self._given.items() if serial > after]

    async def _note(self, peer: str, done: list[Done]) -> None:
        now = time.monotonic()
        async with self._changed:
            for each in done:
                if (given := self._given.get(each.serial)) is not None:
                    said = Confirmed(peer, each.count, now - given.at, each.error)
                    given.confirmed.setdefault(peer, said)
            self._changed.notify_all()
