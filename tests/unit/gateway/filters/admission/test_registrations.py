"""What a body may register at a box, as the first filter judges it."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.filters.admission.registrations import EARLY, judge
from gateway.isolation.policy import Body
from gateway.resolver.records import Record
from gateway.resolver.statement import Registration, sign
from tests.registries import code

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = PrivateKey.generate()
BODY = Body.model_construct(name="图书馆", keys=(KEY.public,), identifiers=("isli:999999-0",), acts=("share",))


def record(number=1, **told):
    return Record(code=code(number), title="刘三姐", body=told.pop("body", "library"), **told)


def reason(given, body=BODY, now=NOW):
    with pytest.raises(Refused) as refused:
        judge("library", body, given, now)
    return refused.value.reason


def test_what_a_body_signs_of_its_own_is_taken():
    """One or several records, canonical, in its range."""
    given = sign("register", "library", [record(1), record(2)], KEY, NOW)
    signed, records = judge("library", BODY, given, NOW)
    assert (signed.body, [one.code for one in records]) == ("library", [code(1), code(2)])


def test_each_other_thing_is_refused_by_name():
    """Another key, other records, another's code, a foreign range, a clock ahead, no body."""
    good = sign("register", "library", [record(1)], KEY, NOW)
    assert reason(sign("register", "library", [record(1)], PrivateKey.generate(), NOW)) == "not-signed"
    assert reason(Registration(good.envelope, (record(2).dump(),))) == "wrong-root"
    assert reason(sign("register", "library", [record(1, body="film")], KEY, NOW)) == "other-body"
    assert (
        reason(sign("register", "library", [Record(code=code(1, "999998"), title="x", body="library")], KEY, NOW))
        == "outside-identifiers"
    )
    assert reason(good, now=NOW - EARLY - timedelta(seconds=1)) == "wrong-time"
    assert reason(good, body=None) == "not-admitted"
    assert reason(sign("register", "library", [b'{"code": 1}'], KEY, NOW)) == "bad-request"
    assert reason(sign("register", "library", [record(1).dump().replace(b",", b", ")], KEY, NOW)) == "bad-request"
    with pytest.raises(Corrupt):
        judge("library", BODY, Registration(b"{}", (record(1).dump(),)), NOW)
