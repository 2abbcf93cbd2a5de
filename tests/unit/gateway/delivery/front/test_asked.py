"""For how long nginx may keep that a session is permitted: never longer than the token, and only where it fits a whole release."""

import pytest

from appliance.runtime.errors import Refused
from gateway.delivery.front import asked
from gateway.delivery.front.asked import LEASE, SESSION, Front, lasting
from gateway.permission.door import Granted
from gateway.permission.permit import EXACT, PREFIX, SUFFIX, Comparison, Permit
from gateway.permission.pseudonym import DAY

FOLDER = "/r/999999-100000000000001-4/"
NOW = 20_000 * DAY + 1000.0
LATER = NOW + 3600
SKEW = 30.0


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        (NOW + 3600, SESSION),
        (NOW + 10, 10 + 30 - 1),  # the skew that the door allows, less the second that nginx may add
        (NOW - 20, 9),
        (NOW - 29, 0),
        (NOW - 31, 0),
    ],
)
def test_a_permission_is_kept_no_longer_than_its_token_lasts(until, seconds):
    assert lasting(Granted(Permit("portal", until), "", None), FOLDER, SKEW, NOW) == seconds


def test_a_permission_is_not_kept_beyond_the_day_whose_pseudonym_it_has():
    late = 20_001 * DAY - 10
    assert lasting(Granted(Permit("portal", late + 3600), "", None), FOLDER, SKEW, late) == 9


@pytest.mark.parametrize(
    ("tests", "kept"),
    [
        ((), True),
        ((Comparison("path", PREFIX, FOLDER),), True),
        ((Comparison("path", PREFIX, "/r/"), Comparison("path", PREFIX, FOLDER)), True),
        ((Comparison("path", PREFIX, f"{FOLDER}video/"),), False),
        ((Comparison("path", EXACT, f"{FOLDER}1.m4s"),), False),
        ((Comparison("path", SUFFIX, "/"),), False),
        ((Comparison("uri", PREFIX, FOLDER),), False),
        ((Comparison("path", PREFIX, FOLDER), Comparison("extension", EXACT, ".m4s")), False),
    ],
)
def test_what_fits_only_some_of_a_release_is_judged_each_time(tests, kept):
    permit = Permit("portal", LATER, tests=tests)
    assert bool(lasting(Granted(permit, "", None), FOLDER, SKEW, NOW)) is kept


def test_what_asks_for_other_headers_is_judged_each_time():
    permit = Permit("portal", LATER, headers={"user-agent": ()})
    assert lasting(Granted(permit, "", None), FOLDER, SKEW, NOW) == 0


class Zone:
    """Delivers, or refuses to begin anything."""

    refuses = False

    def may_begin(self) -> None:
        if self.refuses:
            raise Refused("busy", "too much waits", 503)

    def told(self) -> str:
        return '"box";du'


class Trees:
    """Writes down what it lent."""

    def __init__(self) -> None:
        self.lent: list[tuple[float, str]] = []

    def lend(self, until: float, told: str) -> None:
        self.lent.append((until, told))


async def test_what_is_remembered_is_lent_while_something_may_begin(monkeypatch):
    """For two seconds from then; while nothing may begin it is not lent again."""
    zone, trees, times = Zone(), Trees(), iter(range(5))

    async def later(_: float) -> None:
        zone.refuses = next(times) in (1, 2)

    monkeypatch.setattr(asked.asyncio, "sleep", later)
    monkeypatch.setattr(asked.time, "time", lambda: 1000.0)
    with pytest.raises((StopIteration, RuntimeError)):
        await Front(None, None, None, trees, zone).lend()  # type: ignore[arg-type]

    assert trees.lent == [(1000.0 + LEASE, '"box";du')] * 4
