"""A lane's rate: so many at once, so many a second after that, and each lane by itself."""

from __future__ import annotations

from typing import Any

from gateway.exchange.pace import Pace
from gateway.isolation.policy import Lane


def lane(rate: str | None, **changed: Any) -> Lane:
    told = {"from": "culture", "to": "bigscreen", "kind": "release", **changed}
    return Lane.model_validate(told | ({"rate": rate} if rate else {}))


def passed(pace: Pace, lane: Lane, times: int, now: float) -> int:
    return sum(pace.take(lane, now) is None for _ in range(times))


def test_a_lane_without_a_rate_lets_everything_pass():
    """No rate, no limit."""
    assert passed(Pace(), lane(None), 10_000, 0.0) == 10_000


def test_a_full_bucket_and_then_the_rate():
    """Five at once, then five a second; what is not used does not pile up beyond five."""
    pace, slow = Pace(), lane("5/s")
    assert passed(pace, slow, 9, 100.0) == 5
    assert passed(pace, slow, 9, 100.2) == 1
    assert passed(pace, slow, 9, 101.2) == 5
    assert passed(pace, slow, 9, 500.0) == 5
    refused = pace.take(slow, 500.0)
    assert refused is not None
    assert (refused.reason, refused.error().status) == ("too-fast", 503)


def test_a_rate_by_the_minute():
    """Sixty a minute come back one a second."""
    pace, slow = Pace(), lane("60/min")
    assert passed(pace, slow, 100, 0.0) == 60
    assert passed(pace, slow, 100, 3.0) == 3


def test_lanes_do_not_share_and_a_new_rate_holds_at_once():
    """Another kind or zone has its own; a policy with a lower rate is not outrun by what was left."""
    pace = Pace()
    assert passed(pace, lane("100/s"), 1, 0.0) == 1
    assert passed(pace, lane("1/s", kind="identifier"), 5, 0.0) == 1
    assert passed(pace, lane("2/s"), 5, 0.0) == 2
