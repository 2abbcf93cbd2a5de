from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from appliance.telemetry import sparkplug, sparkplug_b_pb2
from appliance.telemetry.sparkplug import Datatype, Metric, Payload, decode, encode

VALUES = st.one_of(
    st.tuples(st.just(Datatype.INT8), st.integers(-128, 127)),
    st.tuples(st.just(Datatype.INT32), st.integers(-(1 << 31), (1 << 31) - 1)),
    st.tuples(st.just(Datatype.INT64), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.tuples(st.just(Datatype.UINT64), st.integers(0, (1 << 64) - 1)),
    st.tuples(st.just(Datatype.UINT16), st.integers(0, 65535)),
    st.tuples(st.just(Datatype.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(Datatype.FLOAT), st.floats(allow_nan=False, width=32)),
    st.tuples(st.just(Datatype.BOOLEAN), st.booleans()),
    st.tuples(st.just(Datatype.STRING), st.text(max_size=20)),
    st.tuples(st.just(Datatype.BYTES), st.binary(max_size=20)),
    st.tuples(st.sampled_from(list(Datatype)), st.none()),
)
METRICS = st.builds(
    lambda name, kind, time, historical: Metric(name, kind[1], kind[0], time, None, historical),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
    VALUES,
    st.none() | st.integers(0, (1 << 63) - 1),
    st.booleans(),
)


@given(st.lists(METRICS, max_size=5), st.none() | st.integers(0, 255))
@settings(max_examples=150)
def test_what_is_written_reads_back(metrics: list[Metric], seq: int | None) -> None:
    """Every value of every datatype comes back as it was, negatives too."""
    payload = Payload(tuple(metrics), 1_700_000_000_000, seq)
    assert decode(encode(payload)) == payload


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_a_payload_or_corrupt(data: bytes) -> None:
    """Any bytes give a payload or Corrupt."""
    with contextlib.suppress(Corrupt):
        assert isinstance(decode(data), Payload)


@given(st.lists(METRICS, min_size=1, max_size=2), st.data())
@settings(max_examples=150)
def test_any_damage_is_a_payload_or_corrupt(metrics: list[Metric], data: st.DataObject) -> None:
    """A payload with a byte changed gives a payload or Corrupt."""
    whole = bytearray(encode(Payload(tuple(metrics), 1, 1)))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Corrupt):
        assert isinstance(decode(bytes(whole)), Payload)


def test_known_bytes() -> None:
    """A small payload has the bytes that the specification's field numbers give."""
    payload = Payload((Metric("a", -1, Datatype.INT32, 5),), 7, 2)
    assert encode(payload).hex() == "0807" + "120d" + "0a0161" + "1805" + "2003" + "50ffffffff0f" + "1802"


def test_generated_code_agrees_with_the_schema() -> None:
    """The generated descriptor has the field names and numbers of sparkplug_b.proto."""
    text = Path(sparkplug.__file__).with_name("sparkplug_b.proto").read_text()
    inner, outer = text.split("message Metric {")[1].rsplit("\n  }\n", 1)
    for part, descriptor in (
        (inner, sparkplug_b_pb2.Payload.Metric.DESCRIPTOR),
        (outer, sparkplug_b_pb2.Payload.DESCRIPTOR),
    ):
        told = {name: int(number) for name, number in re.findall(r"\w+ (\w+) = (\d+);", part)}
        known = {field.name: field.number for field in descriptor.fields if field.number != 2 or part is inner}
        assert told | {"metrics": 2} == known | {"metrics": 2}


@pytest.mark.parametrize(
    "metric",
    [
        Metric("a", 128, Datatype.INT8),
        Metric("a", -1, Datatype.UINT64),
        Metric("a", value=True, datatype=Datatype.INT32),
        Metric("a", 1, Datatype.STRING),
        Metric("a", 1),
    ],
)
def test_what_does_not_fit_is_not_written(metric: Metric) -> None:
    """A value outside its datatype is a ValueError, never another value."""
    with pytest.raises(ValueError, match="a"):
        encode(Payload((metric,)))


def test_bounds() -> None:
    """Too long, too many and a seq above 255 are Corrupt."""
    message = sparkplug_b_pb2.Payload(seq=256)
    with pytest.raises(Corrupt, match="255"):
        decode(message.SerializeToString())
    with pytest.raises(Corrupt, match="longer"):
        decode(bytes(sparkplug.LARGEST + 1))
    many = sparkplug_b_pb2.Payload(metrics=[sparkplug_b_pb2.Payload.Metric()] * (sparkplug.MOST_METRICS + 1))
    with pytest.raises(Corrupt, match="more than"):
        decode(many.SerializeToString())
