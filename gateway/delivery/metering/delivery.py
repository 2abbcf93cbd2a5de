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
    """One delivery that is over, complete or broken off; or several that are alike in what they were."""

    what: What
    sent: int  # bytes of content that left
    started: float  # seconds since 1970, of the first
    seconds: float  # of all
    broken: int = 0  # of which so many had fewer bytes than were asked for
    requests: int = 1
    ended: float = 0.0  # seconds since 1970, of the last; 0 of one: when it was over

    @property
    def last(self) -> float:
        """When the last one was over, in seconds since 1970."""
        return self.ended or self.started + self.seconds

    def and_another(self, other: Delivery) -> Delivery:
        """Return both, which are of the same ``what``."""
        return Delivery(
            self.what,
            self.sent + other.sent,
            min(self.started, other.started),
            self.seconds + other.seconds,
            self.broken + other.broken,
            self.requests + other.requests,
            max(self.last, other.last),
        )
