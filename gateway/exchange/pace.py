"""How fast objects may cross a lane: its ``rate`` as a token bucket, full at first. Pure: ``now`` goes in."""

from __future__ import annotations

from gateway.exchange.decide import Refuse
from gateway.isolation.policy import Lane
from gateway.isolation.question import MANY
from gateway.isolation.words import Rate


class Pace:
    """What is left of each lane's rate; a lane is known by its ends and kind, so that a renamed one goes on."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str, str], tuple[Rate, float, float]] = {}  # rate, objects left, as of when

    def take(self, lane: Lane, now: float) -> Refuse | None:
        """Take one object's share of the lane's rate at ``now`` (seconds), or refuse it (``too-fast``)."""
        if lane.rate is None:
            return None
        key = (lane.source, lane.target, lane.kind)
        rate, left, since = self._left.get(key, (lane.rate, float(lane.rate.count), now))
        if rate != lane.rate:
            left = min(left, lane.rate.count)
        left = min(float(lane.rate.count), left + (now - since) * lane.rate.per_second)
        if left < 1:
            self._left[key] = (lane.rate, left, now)
            return Refuse("too-fast", f"the lane lets {lane.rate} {MANY[lane.kind]} pass: ask again in a moment")
        self._left[key] = (lane.rate, left - 1, now)
        return None
