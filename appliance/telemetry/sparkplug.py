"""Sparkplug B 3.0 payloads: values <-> bytes (section 6.4 of the specification).

The subset that boxes and the controller speak: plain metrics by name or alias. Data sets, templates and properties are
passed over. Negative integers ride as two's complement in unsigned fields.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from appliance.runtime.errors import Corrupt
from appliance.telemetry import sparkplug_b_pb2

LARGEST = 256 << 10  # bytes of a payload
MOST_METRICS = 4096
LONGEST_NAME = 200  # characters
LONGEST_TEXT = 8192  # characters of a text value

GROUP = "headgate"
NAMESPACE = "spBv1.0"
HOST = "headgate"  # id of the controller as Sparkplug host application
STATE_TOPIC = f"{NAMESPACE}/STATE/{HOST}"
REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"

Value = bool | int | float | str | bytes | None


class Datatype(enum.IntEnum):
    """Datatypes by the numbers of the specification, section 6.4.16."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    BYTES = 17


_BITS = {
    Datatype.INT8: 8,
    Datatype.INT16: 16,
    Datatype.INT32: 32,
    Datatype.INT64: 64,
    Datatype.UINT8: 8,
    Datatype.UINT16: 16,
    Datatype.UINT32: 32,
    Datatype.UINT64: 64,
    Datatype.DATETIME: 64,
}
_SIGNED = frozenset({Datatype.INT8, Datatype.INT16, Datatype.INT32, Datatype.INT64})
_TEXTS = frozenset({Datatype.STRING, Datatype.TEXT, Datatype.UUID})


@dataclass(frozen=True)
class Metric:
    """One named value; ``datatype`` is None where the sender left it to the birth, ``time`` in milliseconds since 1970."""

    name: str | None
    value: Value
    datatype: Datatype | None = None
    time: int | None = None
    alias: int | None = None
    historical: bool = False


@dataclass(frozen=True)
class Payload:
    """What one message carries; ``time`` in milliseconds since 1970."""

    metrics: tuple[Metric, ...] = ()
    time: int | None = None
    seq: int | None = None


def encode(payload: Payload) -> bytes:
    """Return ``payload`` as bytes.

    Raises:
        ValueError: a value does not fit its datatype.
    """
    message = sparkplug_b_pb2.Payload()
    if payload.time is not None:
        message.timestamp = payload.time
    if payload.seq is not None:
        message.seq = payload.seq
    for metric in payload.metrics:
        _write(message.metrics.add(), metric)
    return bytes(message.SerializeToString())


def decode(data: bytes) -> Payload:
    """Return the payload that ``data`` holds.

    Raises:
        Corrupt: it holds none, or one beyond the bounds above.
    """
    if len(data) > LARGEST:
        raise Corrupt(f"the payload is longer than {LARGEST} bytes")
    message = sparkplug_b_pb2.Payload()
    try:
        message.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise Corrupt("this is not a Sparkplug B payload") from error
    if len(message.metrics) > MOST_METRICS:
        raise Corrupt(f"the payload holds more than {MOST_METRICS} metrics")
    if message.HasField("seq") and message.seq > 255:
        raise Corrupt("seq is above 255")
    return Payload(
        tuple(_read(metric) for metric in message.metrics),
        message.timestamp if message.HasField("timestamp") else None,
        message.seq if message.HasField("seq") else None,
    )


def topic(kind: str, node: str) -> str:
    """Return the topic of a message of ``kind`` (NBIRTH, NDATA, NDEATH, NCMD) of a box."""
    return f"{NAMESPACE}/{GROUP}/{kind}/{node}"


def _write(message: sparkplug_b_pb2.Payload.Metric, metric: Metric) -> None:
    if metric.name is not None:
        message.name = metric.name
    if metric.alias is not None:
        message.alias = metric.alias
    if metric.time is not None:
        message.timestamp = metric.time
    if metric.historical:
        message.is_historical = True
    kind, value = metric.datatype, metric.value
    if kind is None:
        raise ValueError(f"metric {metric.name} has no datatype")
    message.datatype = int(kind)
    if value is None:
        message.is_null = True
    elif kind in _BITS and isinstance(value, int) and not isinstance(value, bool):
        bits = _BITS[kind]
        low = -(1 << bits - 1) if kind in _SIGNED else 0
        if not low <= value < low + (1 << bits):
            raise ValueError(f"{value} does not fit {kind.name} ({metric.name})")
        # INT8..INT32 are written over 32 bits, as Eclipse Tahu does.
        if bits == 64:
            message.long_value = value & 0xFFFFFFFFFFFFFFFF
        else:
            message.int_value = value & 0xFFFFFFFF
    elif kind is Datatype.FLOAT and isinstance(value, int | float):
        message.float_value = value
    elif kind is Datatype.DOUBLE and isinstance(value, int | float):
        message.double_value = value
    elif kind is Datatype.BOOLEAN and isinstance(value, bool):
        message.boolean_value = value
    elif kind in _TEXTS and isinstance(value, str):
        message.string_value = value
    elif kind is Datatype.BYTES and isinstance(value, bytes):
        message.bytes_value = value
    else:
        raise ValueError(f"{value!r} is no {kind.name} ({metric.name})")


def _read(message: sparkplug_b_pb2.Payload.Metric) -> Metric:
    name = _text(message.name) if message.HasField("name") else None
    if name is not None and len(name) > LONGEST_NAME:
        raise Corrupt(f"a metric's name is longer than {LONGEST_NAME} characters")
    if name is not None and "\0" in name:
        raise Corrupt("a metric's name holds a NUL")
    try:
        kind = Datatype(message.datatype) if message.HasField("datatype") else None
    except ValueError:  # a data set, a template, or a kind of a later version: known by name, without a value
        kind = None
    return Metric(
        name,
        None if message.is_null else _value(message, kind),
        kind,
        message.timestamp if message.HasField("timestamp") else None,
        message.alias if message.HasField("alias") else None,
        message.is_historical,
    )


def _value(message: sparkplug_b_pb2.Payload.Metric, kind: Datatype | None) -> Value:
    field = message.WhichOneof("value")
    if field is None:
        return None
    value: Value = getattr(message, field)
    if field == "string_value":
        value = _text(value)
    allowed = _FIELDS[field]
    if kind is not None and kind not in allowed:
        raise Corrupt(f"a metric of datatype {kind.name} has its value in {field}")
    if isinstance(value, str | bytes) and len(value) > LONGEST_TEXT:
        raise Corrupt(f"a metric's text is longer than {LONGEST_TEXT}")
    if kind in _BITS and isinstance(value, int):
        bits = _BITS[kind]
        value &= (1 << bits) - 1
        return value - (1 << bits) if kind in _SIGNED and value >> bits - 1 else value
    return value


def _text(value: object) -> str:
    """Return a string field's value; protobuf leaves one that is not UTF-8 as bytes (proto2)."""
    if not isinstance(value, str):
        raise Corrupt("a text is not UTF-8")
    return value


_FIELDS: dict[str, frozenset[Datatype]] = {
    "int_value": frozenset(kind for kind, bits in _BITS.items() if bits <= 32),
    # Some senders put small integers there; they lose nothing.
    "long_value": frozenset(_BITS),
    "float_value": frozenset({Datatype.FLOAT}),
    "double_value": frozenset({Datatype.DOUBLE}),
    "boolean_value": frozenset({Datatype.BOOLEAN}),
    "string_value": _TEXTS,
    "bytes_value": frozenset({Datatype.BYTES}),
}
