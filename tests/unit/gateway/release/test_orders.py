"""Orders: what they cover, which is the next one, and who may give them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release import orders
from gateway.release.orders import Order, Standing, What

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
KEYS = {"regulator": KEY.public, "operator": OTHER.public}
CODE = "999999-100000000000001-4"
NOW = datetime(2026, 11, 28, 8, tzinfo=UTC)


def order(serial: int, act: str = "withdraw", by: str = "regulator", **what: str) -> Order:
    return Order.model_validate(
        {
            "serial": serial,
            "act": act,
            "what": What(**(what or {"release": CODE})),
            "reason": "版权争议",
            "by": by,
            "time": NOW,
        }
    )


@pytest.mark.parametrize(
    ("what", "covered"),
    [
        ({"release": CODE}, True),
        ({"release": "999999-100000000000002-3"}, False),
        ({"body": "library"}, True),
        ({"body": "museum"}, False),
        ({"label": "drama"}, True),
        ({"label": "news"}, False),
    ],
)
def test_an_order_covers_by_code_body_or_label(what, covered):
    """A release is covered by its code, its body, or any of its labels."""
    assert order(1, **what).covers(CODE, "library", ["drama", "film"]) is covered


def test_the_last_order_that_covers_decides():
    """One release of a withdrawn body is reinstated alone, and withdrawn again by the next order on its label."""
    row = [order(1, body="library"), order(2, "reinstate", release=CODE), order(3, label="drama")]
    standing = Standing()
    seen = []
    for one in row:
        standing = standing.after([one])
        seen.append((standing.withdrawn(CODE, "library", ["drama"]), standing.withdrawn("x", "library", [])))
    assert [(bool(mine), bool(other)) for mine, other in seen] == [(True, True), (False, True), (True, True)]
    assert standing.serial == 3


def test_a_row_of_orders_goes_on_from_the_head():
    """What is known is passed over, what follows is taken in its order, and a missing one is a gap."""
    row = [order(n) for n in (3, 1, 2, 4)]
    assert [one.serial for one in orders.next_ones(2, row)] == [3, 4]
    assert orders.next_ones(4, row) == []
    with pytest.raises(Refused, match="order 2 came, 1 is the next") as caught:
        orders.next_ones(0, [order(2)])
    assert caught.value.reason == "order-gap"


def test_only_the_named_key_gives_an_order():
    """An order counts when the key of the very name it says signed it; another's key, or a stranger's, is a forgery."""
    assert orders.open_signed(orders.seal(order(1), KEY), KEYS) == order(1)
    for forged in (
        orders.seal(order(1), OTHER),
        orders.seal(order(1, by="operator"), KEY),
        orders.seal(order(1), PrivateKey.generate()),
        envelope.seal(orders.render(order(1)), "application/vnd.headgate.release+json", KEY),
        b"x" * (orders.LONGEST + 1),
    ):
        with pytest.raises(Refused) as caught:
            orders.open_signed(forged, KEYS)
        assert caught.value.reason == "order-forged"


@pytest.mark.parametrize(
    "wrong",
    [
        {"what": {}},
        {"what": {"body": "library", "label": "drama"}},
        {"what": {"release": "999999-100000000000001-5"}},
        {"what": {"body": "../etc"}},
        {"serial": 0},
        {"serial": 1 << 63},
        {"serial": True},
        {"act": "delete"},
        {"act": "purge"},
        {"what": {"tag": "channel-7"}},
        {"soft": True},
        {"soft": False},
        {"act": "purge", "what": {"tag": "a b"}},
        {"act": "purge", "what": {"tag": "a,b"}},
        {"act": "purge", "what": {"tag": ""}},
        {"act": "purge", "what": {"url": "/news"}},
        {"act": "purge", "what": {"prefix": "http://a/" + "x" * 250}},
        {"act": "purge", "what": {"tag": "a", "url": "http://a/"}},
        {"act": "purge", "what": {"token": "portal:ab"}},
        {"what": {"token": "ab"}},
        {"what": {"token": "portal:"}},
        {"what": {"token": "portal:a\nb"}},
        {"what": {"token": ":ab"}},
        {"what": {"token": f"portal:{'a' * 191}"}},
        {"what": {"subject": "viewer-17"}},
        {"what": {"subject": "portal:a\tb"}},
        {"what": {"issuer": "portal:ab"}},
        {"what": {"signer": "ed25519:AAAA"}},
        {"what": {"token": "portal:ab", "subject": "portal:viewer"}},
        {"until": "2026-11-29T08:00:00Z"},
        {"act": "reinstate", "what": {"issuer": "portal"}, "until": "2026-11-29T08:00:00Z"},
        {"what": {"issuer": "portal"}, "until": "2026-11-28T08:00:00Z"},
        {"what": {"issuer": "portal"}, "until": "2026-11-29T08:00:00"},
        {"reason": ""},
        {"reason": "a\nb"},
        {"reason": "x" * 401},
        {"time": "yesterday"},
        {"more": 1},
    ],
)
def test_what_is_no_order_is_refused(wrong):
    """Each part has its form, and nothing may be added."""
    told = {**json.loads(orders.render(order(1))), **wrong}
    with pytest.raises(Corrupt):
        orders.parse(json.dumps(told).encode())


NAMES = st.sampled_from(["serial", "act", "what", "payload", "payloadType", "signatures"])
VALUES = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
)


@given(st.binary(max_size=300) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_an_order_or_a_refusal(data):
    """Whatever comes is an order, Corrupt, or a forgery; and what is written is read back."""
    with pytest.raises(Corrupt):
        orders.parse(data)
    with pytest.raises(Refused):
        orders.open_signed(data, KEYS)


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=50), st.integers(1, 1 << 50))
def test_an_order_is_read_as_it_was_written(reason, serial):
    """Rendering is canonical: what is parsed renders to the same bytes."""
    made = order(1).model_copy(update={"reason": reason, "serial": serial})
    assert orders.parse(orders.render(made)) == made


def test_a_refusal_says_who_and_why():
    """Screens are told 451 with the order's serial, name and reason."""
    told = orders.refusal(order(7))
    assert (told.reason, told.status) == ("withdrawn", 451)
    assert "order 7 of regulator: 版权争议" in str(told)


@pytest.mark.parametrize(
    "what", [{"tag": "channel-7"}, {"url": "http://epg.example/now"}, {"prefix": "http://epg.example/"}]
)
def test_a_purge_decides_about_no_release(what):
    """A purge moves the serial on and leaves what stands about releases; it is signed and read as any order."""
    told = Order.model_validate({**order(2, "purge", **what).model_dump(), "soft": True})
    standing = Standing().after([order(1), told])

    assert orders.open_signed(orders.seal(told, KEY), KEYS) == told
    assert standing.serial == 2
    assert list(standing.last) == [("release", CODE)]
    assert standing.withdrawn(CODE) is not None


def test_an_order_of_before_purges_is_signed_over_the_same_bytes():
    """What is new in orders changes nothing of those that boxes have: their digests are in proofs."""
    told = json.loads(orders.render(order(1)))

    assert sorted(told) == ["act", "by", "reason", "serial", "time", "what"]
    assert told["what"] == {"release": CODE}


TOKEN = {"token": "portal:ab12"}


def until(made: Order, moment: datetime) -> Order:
    return Order.model_validate(made.model_dump() | {"until": moment})


@pytest.mark.parametrize(
    "what",
    [
        TOKEN,
        {"token": "portal:urn:uuid:0-1"},
        {"subject": "portal:刘 三姐"},
        {"issuer": "portal"},
        {"signer": str(KEY.public)},
    ],
)
def test_a_withdrawal_of_tokens_stands_until_it_is_taken_back(what):
    """It moves the serial on, leaves what stands about releases, is read as it was written, and goes with its own reinstatement."""
    told = order(2, **what)
    standing = Standing().after([order(1), told])

    assert orders.open_signed(orders.seal(told, KEY), KEYS) == told
    assert standing.serial == 2
    assert list(standing.last) == [("release", CODE)]
    assert standing.tokens_at(NOW) == [told]
    assert standing.after([order(3, "reinstate", issuer="other")]).tokens_at(NOW) == [told]
    assert standing.after([order(3, "reinstate", **what)]).tokens == {}


def test_a_withdrawal_of_tokens_is_forgotten_when_it_says():
    """From its end on it stands no more; a later one of the same tokens decides, whichever lasts longer."""
    day, hour = NOW + timedelta(days=1), NOW + timedelta(hours=1)
    standing = Standing().after([until(order(1, **TOKEN), day)])
    assert standing.tokens_at(day - timedelta(seconds=1))
    assert standing.tokens_at(day) == []
    again = standing.after([until(order(2, **TOKEN), hour)])
    assert again.tokens_at(hour) == []
    assert again.after([order(3, **TOKEN)]).tokens_at(NOW + timedelta(days=9999))
    made = until(order(1, **TOKEN), day)
    assert orders.parse(orders.render(made)) == made
