from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from appliance.telemetry import records
from appliance.telemetry.records import Damaged, Numbered, Record

GOOD = {
    "id": "0b5f3a0e-6f0a-4b54-9d0e-0123456789ab",
    "kind": "usage",
    "time": "2026-11-22T08:30:00Z",
    "source": "delivery/bigscreen",
    "body": {"release": "isli:999999-1", "bytes": 10},
}


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=150)
def test_any_bytes_are_a_record_or_corrupt(data: bytes) -> None:
    """Any bytes give a record or Corrupt."""
    with contextlib.suppress(Corrupt):
        assert isinstance(Record.parse(data), Record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "seq", "x"]), JSON | st.sampled_from(list(GOOD.values()))))
@settings(max_examples=150)
def test_any_json_object_is_a_record_or_corrupt(value: dict[str, object]) -> None:
    """Any JSON object gives a record that reads back as itself, or Corrupt."""
    try:
        record = Record.of({**GOOD, **value})
    except Corrupt:
        return
    assert Record.parse(record.encode()) == record


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"id": "7"}, "UUID"),
        ({"id": GOOD["id"].upper()}, "small letters"),
        ({"kind": "gossip"}, "kind"),
        ({"kind": []}, "kind"),
        ({"time": "yesterday"}, "RFC 3339"),
        ({"time": "2026-11-22T08:30:00"}, "RFC 3339"),
        ({"time": "2026-02-30T08:30:00Z"}, "no such time"),
        ({"time": "0001-01-01T00:00:00+23:00"}, "no such time"),
        ({"source": "../etc"}, "source"),
        ({"source": "a" * 65}, "source"),
        ({"body": []}, "body"),
        ({"body": {"a": "\0"}}, "NUL"),
        ({"body": {"a\ud800": 1}}, "surrogate"),
        ({"body": {"a": float("inf")}}, "JSON cannot say"),
        ({"body": {"a": "x" * 17_000}}, "longer"),
        ({"body": {"a": [[[[[[[[[]]]]]]]]]}}, "nested"),
        ({"extra": 1}, "keys"),
    ],
)
def test_refuses(change: dict[str, object], word: str) -> None:
    """Each broken rule is told by its own words."""
    with pytest.raises(Corrupt, match=word):
        Record.of({**GOOD, **change})


def test_time_is_utc() -> None:
    """A time with an offset is kept as UTC."""
    record = Record.of({**GOOD, "time": "2026-11-22T16:30:00.5+08:00"})
    assert record.time == datetime(2026, 11, 22, 8, 30, 0, 500_000, UTC)
    assert record.told()["time"] == "2026-11-22T08:30:00.500000Z"


def test_one_damaged_item_does_not_hold_back_the_others() -> None:
    """A message with a damaged item still yields the rest, and the damaged one's id."""
    other = "00000000-0000-4000-8000-000000000001"
    found = records.parse_batch(
        json.dumps([{**GOOD, "seq": 4}, {"id": other, "seq": 5}, 7, {**GOOD, "seq": True}]).encode()
    )
    assert isinstance(found[0], Numbered)
    assert found[0].seq == 4
    assert [item.id for item in found[1:] if isinstance(item, Damaged)] == [other, None, GOOD["id"]]


def test_a_batch_reads_back() -> None:
    """What a box sends is what the controller reads."""
    sent = [Numbered(n, Record.new("event", "guard", {"n": n})) for n in (1, 2)]
    assert records.parse_batch(records.batch(sent)) == sent


@given(st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()))
@settings(max_examples=100)
def test_any_message_is_a_batch_or_corrupt(data: bytes) -> None:
    """Any bytes give items or Corrupt, as records and as acknowledgement."""
    for parse in (records.parse_batch, records.parse_acknowledgement):
        with contextlib.suppress(Corrupt):
            assert isinstance(parse(data), list | frozenset)


def test_acknowledgement_reads_back() -> None:
    """The ids that a controller acknowledges are the ids that a box forgets."""
    assert records.parse_acknowledgement(records.acknowledgement([GOOD["id"]])) == {GOOD["id"]}
