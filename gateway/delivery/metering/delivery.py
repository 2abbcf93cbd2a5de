"""One delivery that is over: the noun of metering."""

from __future__ import annotations

from typing import NamedTuple


class What(NamedTuple):
    """What was delivered, where and to whom: deliveries that are alike in all of this are counted together."""

    release: str  # code
    path: str
    body: str
    zone: str
    screen: str  # class of the screen: ``big`` or ``small``, empty where the zone has none
    status: int
    cache: str  # ``hit`` or ``miss``
    subject: str = ""  # pseudonym of a token's subject


class Delivery(NamedTuple):
    """One delivery, complete or broken off, that is over."""

    what: What
    sent: int  # bytes of content that left
    started: float  # seconds since 1970
    seconds: float
    broken: bool = False  # fewer bytes than were asked for
