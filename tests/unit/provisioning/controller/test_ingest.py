from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from appliance.telemetry.records import Numbered, Record, batch, to_json
from provisioning.controller.ingest import (
    Counted,
    Day,
    Delivered,
    Delivery,
    State,
    audit,
    delivery,
    sender,
    usage,
    usage_days,
)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("headgate/v1/headend/records", "headend"),
        ("spBv1.0/headgate/NBIRTH/edge-1", State("edge-1", "NBIRTH")),
        ("spBv1.0/headgate/NDEATH/a", State("a", "NDEATH")),
    ],
)
def test_the_topic_says_who_speaks(topic: str, expected: object) -> None:
    """The box is the topic's, which the broker ties to the certificate."""
    assert sender(topic) == expected


@pytest.mark.parametrize(
    "topic",
    ["", "headgate/v1//records", "headgate/v1/a/b/records", "headgate/v1/UP/records", "spBv1.0/headgate/NCMD/a",
     "spBv1.0/other/NDATA/a", "spBv1.0/headgate/NDATA/a/device", "headgate/v1/a/ack"],
)  # fmt: skip
def test_other_topics_are_nobodys(topic: str) -> None:
    """What no box speaks on is Corrupt."""
    with pytest.raises(Corrupt):
        sender(topic)


def record(**body: object) -> Record:
    return Record.new("usage", "delivery/bigscreen", body)


def test_ids_are_acknowledged_once_and_damaged_ones_too() -> None:
    """A record twice in a message is one; a damaged item with an id is acknowledged, so that the rest moves on."""
    one = Numbered(1, record())
    other = "00000000-0000-4000-8000-000000000001"
    payload = b"[" + batch([one, one])[1:-1] + b"," + to_json({"id": other, "seq": 2}) + b",7]"
    made = delivery("headend", payload)
    assert made.items == (one,)
    assert made.ids == {one.record.id, other}
    assert [d.id for d in made.damaged] == [other, None]


def test_usage_is_added_up_by_release() -> None:
    """Requests, bytes, hits and misses add up; unbelievable figures add no bytes; other kinds count nothing."""
    found = usage(
        [
            record(release="a", bytes=10, cache="hit"),
            record(release="a", bytes=5, cache="miss"),
            record(release="a", bytes=-5, cache="none"),
            record(release="a", bytes=1 << 60),
            record(release="a", bytes=True),
            record(release="a", bytes=300, cache="hit", requests=30),
            record(bytes="many", requests=-1),
            Record.new("audit", "exchange", {"release": "a", "bytes": 1}),
        ]
    )
    assert found == {"a": Counted(35, 315, 31, 1), "": Counted(1)}


def test_usage_is_added_up_by_day() -> None:
    """A record counts on the day its last delivery ended, or its own where that is none or later; each figure adds up."""
    told = {"release": "a", "body": "library", "zone": "bigscreen", "screen": "big", "bytes": 10}
    made = [
        {**told, "last": "2026-11-28T23:59:59Z", "cache": "hit", "requests": 3, "broken": 1},
        {**told, "last": "2026-11-28T01:00:00Z", "cache": "miss"},
        {**told, "last": "2030-01-01T00:00:00Z"},
        {**told, "last": "never", "screen": 7, "bytes": "many"},
    ]
    now = datetime(2026, 11, 29, tzinfo=UTC)
    found = usage_days([Record.new("usage", "delivery/bigscreen", body, now) for body in made])
    key = Day("2026-11-28", "library", "a", "bigscreen", "big")
    assert found == {
        key: Delivered(4, 1, 20, 10),
        key._replace(day="2026-11-29"): Delivered(1, 0, 10, 0),
        key._replace(day="2026-11-29", screen=""): Delivered(1, 0, 0, 0),
    }


def test_audits_have_their_words_in_columns() -> None:
    """An audit's decision and reason are told, with its sentence or else its other words."""
    body = {"decision": "refuse", "reason": "too-large", "sentence": "too large"}
    told = audit(Record.new("audit", "exchange", body))
    assert told is not None
    assert (told.decision, told.reason, told.told) == ("refuse", "too-large", "too large")
    bare = audit(Record.new("audit", "exchange", {"decision": 7, "release": "isli:1"}))
    assert bare is not None
    assert (bare.decision, bare.told) == ("", "release: isli:1")
    assert audit(record()) is None
    event = audit(Record.new("event", "exchange", {"event": "filter-failed", "sentence": "it hung"}))
    assert (event.decision, event.reason, event.told) == ("event", "filter-failed", "it hung")
    assert audit(Record.new("event", "delivery/bigscreen", {"event": ["anything"]})) is None


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_any_message_is_a_delivery_or_corrupt(data: bytes) -> None:
    """Any bytes give a delivery or Corrupt."""
    with contextlib.suppress(Corrupt):
        assert isinstance(delivery("headend", data), Delivery)
