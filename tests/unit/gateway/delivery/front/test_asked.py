"""For how long nginx may keep that a session is permitted: never longer than the token, and only where it fits a whole release."""

import pytest

from gateway.delivery.front.asked import SESSION, lasting
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
