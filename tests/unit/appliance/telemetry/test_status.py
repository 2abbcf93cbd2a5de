from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from appliance.telemetry.served import BoxServed, Mean, Served, Title
from appliance.telemetry.sparkplug import Metric, Payload, decode, encode
from appliance.telemetry.spool import Depth
from appliance.telemetry.status import MOST_SERVED, SILENT, Status, believed, metrics, parse_status
from appliance.telemetry.witnessing import Asked

TOLD = {
    "site": "headend",
    "wanted": "a" * 64,
    "enforced": "b" * 64,
    "state": "pending",
    "since": "2026-11-22T08:30:00Z",
    "zones": {"culture": {"state": "up", "port": "02:68:67:0a:00:0b", "addresses": ["10.10.0.11/24"], "detail": None}},
    "faults": ["port missing", {"message": "table gone"}],
    "confirm_by": None,
}


def test_reads_the_guards_status() -> None:
    """The guard's file becomes the metrics that the controller shows."""
    status = parse_status(json.dumps(TOLD).encode())
    asked = {"guard": Asked("guard+key", "old 0\n\ncheckpoint")}
    reported = metrics("headend", "0.1.0", 61.5, status, Depth(3, 9, None), {"bytes": 5}, asked)
    told = {one.name: one.value for one in reported}
    assert (told["journal/guard/key"], told["journal/guard/checkpoint"]) == ("guard+key", "old 0\n\ncheckpoint")
    assert told["policy/enforced"] == "b" * 64
    assert told["zones/culture/addresses"] == "10.10.0.11/24"
    assert told["policy/faults"] == "port missing\ntable gone"
    assert (told["uptime"], told["spool/records"], told["delivery/bytes"]) == (61, 3, 5)


def test_what_screens_were_served_is_reported_a_zone_each() -> None:
    """Also of a box without a screen, by which the controller tells it from one of older software; what is missing is named."""
    zones = (Served("bigscreen", "big", requests=7), Served("a" * 40))
    served = BoxServed(zones, 100, 20, unread={"delivery-smallscreen": "torn"})
    told = {
        name: {one.name: one.value for one in metrics("a", "1", 0, Status(), Depth(0, 0, None), {}, {}, None, box)}
        for name, box in (("served", served), ("none", BoxServed()))
    }
    assert (told["served"]["delivery/fetched"], told["served"]["delivery/shared"]) == (100, 20)
    assert told["served"]["delivery/unread"] == "delivery-smallscreen: torn"
    assert json.loads(str(told["served"]["delivery/bigscreen/served"]))["requests"] == 7
    assert sum(name.endswith("/served") for name in told["served"]) == 1
    assert told["none"]["delivery/fetched"] == 0


def test_a_birth_fits_a_payload_however_much_was_served() -> None:
    """Zones beyond the limit are named as missing, and the controller can read all of it."""
    wide = {chr(0x4E00 + number) * 128: 1 << 53 for number in range(20)}
    titles = tuple(
        Title(chr(0x4E00 + number) * 128, 1 << 53, 1 << 53, Mean(1e15 / 3, 1 << 53), Mean(1e15 / 3, 1 << 53))
        for number in range(10)
    )
    zones = tuple(Served(f"zone-{number:02}", refusals=wide, titles=titles) for number in range(20))
    told = metrics("a", "1", 0, Status(), Depth(0, 0, None), {}, {}, None, BoxServed(zones))
    payload = Payload(tuple(Metric(one.name, one.value, one.datatype, 0) for one in told), 0, 0)
    read = {metric.name: metric.value for metric in decode(encode(payload)).metrics}
    assert sum(str(name).endswith("/served") for name in read) == MOST_SERVED
    assert "delivery-zone-19: more than 16 zones" in str(read["delivery/unread"])


def test_a_silent_guard_is_not_believed() -> None:
    """What a guard said that does not look any more is not reported as enforced."""
    status = parse_status(json.dumps(TOLD).encode())
    silent = believed(status, SILENT + 1)

    assert believed(status, SILENT) == status
    assert (silent.state, silent.enforced, silent.wanted) == ("unknown", "", "a" * 64)
    assert {zone.state for zone in silent.zones.values()} == {"unknown"}
    assert "systemctl status headgate-guard" in silent.faults[0]


def test_no_word_from_the_guard_is_unknown() -> None:
    """Without a status the state is 'unknown', never 'enforced'."""
    assert Status().state == "unknown"
    assert parse_status(b"{}").state == "unknown"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"zones": {"../x": {}}}', b'{"zones": {"a": 1}}', b'{"faults": "x"}']
)
def test_refuses(data: bytes) -> None:
    """What is no status is Corrupt."""
    with pytest.raises(Corrupt):
        parse_status(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*TOLD, *TOLD["zones"], "x"]), inner),
    max_leaves=12,
)


@given(st.binary(max_size=100) | JSON.map(lambda v: json.dumps(v).encode()))
@settings(max_examples=150)
def test_any_bytes_are_a_status_that_can_be_told_or_corrupt(data: bytes) -> None:
    """Any bytes give a status that Sparkplug can carry, or Corrupt."""
    with contextlib.suppress(Corrupt):
        told = metrics("a", "1", 0, parse_status(data), Depth(0, 0, None), {}, {})
        payload = Payload(tuple(Metric(one.name, one.value, one.datatype) for one in told))
        assert decode(encode(payload)) == payload
