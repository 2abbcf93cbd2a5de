"""What the box reports of itself: the guard's status file and its own figures -> Sparkplug metrics, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.runtime.errors import Corrupt
from appliance.telemetry import served_text
from appliance.telemetry.records import plain_json
from appliance.telemetry.served import BoxServed
from appliance.telemetry.session import Told
from appliance.telemetry.sparkplug import Datatype
from appliance.telemetry.spool import Depth
from appliance.telemetry.witnessing import Asked

LARGEST = 256 << 10  # bytes of the status file
SILENT = 15.0  # seconds after which the guard's word, renewed each second, is no longer believed
MOST_ZONES = 32
MOST_SERVED = 16  # zones whose figures are told: at 8 KiB each half of what a payload may have
LONGEST = 500  # characters of a text of the guard that is passed on

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Zone:
    """One zone as the guard sees it."""

    state: str
    port: str = ""
    addresses: str = ""  # with spaces between
    detail: str = ""


@dataclass(frozen=True)
class Status:
    """The guard's word: digests asked for and enforced (hex, or empty), state, since when, and what is wrong."""

    wanted: str = ""
    enforced: str = ""
    state: str = "unknown"  # no word from the guard
    since: str = ""
    confirm_by: str = ""
    zones: Mapping[str, Zone] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def parse_status(data: bytes) -> Status:
    """Return what the guard's status file says.

    Raises:
        Corrupt: it is not a status file.
    """
    if len(data) > LARGEST:
        raise Corrupt(f"the guard's status is longer than {LARGEST} bytes")
    told = plain_json(data)
    if not isinstance(told, dict):
        raise Corrupt("the guard's status is a JSON object")
    zones = told.get("zones") or {}
    faults = told.get("faults") or []
    if not isinstance(zones, dict) or len(zones) > MOST_ZONES or not all(map(_NAME.fullmatch, zones)):
        raise Corrupt("the guard's status has no proper 'zones'")
    if not isinstance(faults, list):
        raise Corrupt("the guard's status has no proper 'faults'")
    return Status(
        _text(told.get("wanted")),
        _text(told.get("enforced")),
        _text(told.get("state")) or "unknown",
        _text(told.get("since")),
        _text(told.get("confirm_by")),
        {name: _zone(zone) for name, zone in sorted(zones.items())},
        tuple(_text(fault) for fault in faults[:20]),
    )


def believed(status: Status, age: float) -> Status:
    """Return ``status`` while its ``age`` (seconds since the guard looked) is small, else one that claims nothing as enforced."""
    if age <= SILENT:
        return status
    told = f"the guard has not looked for more than {SILENT:.0f} s: systemctl status headgate-guard"
    zones = {name: replace(zone, state="unknown") for name, zone in status.zones.items()}
    return replace(status, enforced="", state="unknown", zones=zones, faults=(told, *status.faults))


def metrics(
    site: str,
    software: str,
    uptime: float,
    status: Status,
    depth: Depth,
    totals: Mapping[str, int],
    asked: Mapping[str, Asked],
    orders: int | None = None,
    served: BoxServed | None = None,
) -> list[Told]:
    """Return everything the box reports, in a fixed order; ``uptime`` in seconds, ``totals`` delivered, ``asked`` by journals.

    ``orders`` is the serial of the last order that the exchange took, None where it never told.
    """
    text, number = Datatype.STRING, Datatype.INT64
    return [
        Told("site", text, site),
        Told("software", text, software),
        Told("uptime", number, int(uptime)),
        Told("policy/wanted", text, status.wanted),
        Told("policy/enforced", text, status.enforced),
        Told("policy/state", text, status.state),
        Told("policy/since", text, status.since),
        Told("policy/confirm_by", text, status.confirm_by),
        Told("policy/faults", text, "\n".join(status.faults)[: 4 * LONGEST]),
        Told("spool/records", number, depth.records),
        Told("spool/bytes", number, depth.bytes),
        Told("spool/oldest", text, depth.oldest or ""),
        *([] if orders is None else [Told("orders/serial", number, orders)]),
        *(Told(f"delivery/{name}", number, value) for name, value in sorted(totals.items())),
        *([] if served is None else _served(served)),
        *(
            Told(f"zones/{name}/{part}", text, getattr(zone, part))
            for name, zone in status.zones.items()
            for part in ("state", "port", "addresses", "detail")
        ),
        *(
            Told(f"journal/{name}/{part}", text, value)
            for name, one in asked.items()
            for part, value in (("key", one.key), ("checkpoint", one.request))
        ),
    ]


def _served(served: BoxServed) -> list[Told]:
    """Return what a box tells of its delivery: that it tells it at all, by ``delivery/fetched``, too where no zone has screens."""
    zones = [zone for zone in served.zones if _NAME.fullmatch(zone.zone)]
    unread = dict(served.unread)
    for zone in zones[MOST_SERVED:]:
        unread[f"delivery-{zone.zone}"] = f"more than {MOST_SERVED} zones have a delivery"
    return [
        Told("delivery/fetched", Datatype.INT64, served.fetched),
        Told("delivery/shared", Datatype.INT64, served.shared),
        Told(
            "delivery/unread",
            Datatype.STRING,
            "\n".join(f"{unit}: {why}" for unit, why in unread.items())[: 4 * LONGEST],
        ),
        *(
            Told(f"delivery/{zone.zone}/served", Datatype.STRING, served_text.write(zone))
            for zone in zones[:MOST_SERVED]
        ),
    ]


def _zone(value: Any) -> Zone:
    if not isinstance(value, dict):
        raise Corrupt("a zone of the guard's status is a JSON object")
    return Zone(*(_text(value.get(part)) for part in ("state", "port", "addresses", "detail")))


def _text(value: Any) -> str:
    """Return a bounded text for a value of the guard; a list is joined by spaces, an object told by its message."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(_text, value[:64]))[:LONGEST]
    if isinstance(value, dict):
        value = value.get("message") or value.get("error") or value.get("reason") or ""
    return str(value).replace("\0", "").encode(errors="replace").decode()[:LONGEST]
