"""Handle-compatible answers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from defusedxml import ElementTree

from gateway.resolver.answer.as_handle import LOCATIONS, as_handle
from gateway.resolver.answer.here import Here
from gateway.resolver.answer.known import known
from gateway.resolver.answer.outcome import Source, outcome
from gateway.resolver.codes import parse
from gateway.resolver.records import Link, Location, Record, Rights

CODE = parse("hdl:20.500.12345/film")
ISLI = "isli:999999-100000000000001-4"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = Source("centre", 7, NOW - timedelta(hours=1))
BOX = Here("headend", "bigscreen", "http://10.20.0.11", hidden=403)
PLAYS = "http://10.20.0.11/r/999999-100000000000001-4/a.m3u8"


def asked(record: Record | None, *types: str, indices: tuple[int, ...] = ()) -> tuple[int, dict[str, Any]]:
    about = None if record is None else known(record.dump())
    found = outcome(CODE, about, SOURCE, BOX, "json", NOW)
    answer = as_handle("20.500.12345/film", CODE, found, SOURCE, BOX, set(), types, indices)
    assert answer.body["handle"] == "20.500.12345/film"
    return answer.status, answer.body


def film(**more: Any) -> Record:
    here, there = Location(release=ISLI, entry="a.m3u8"), Location(url="https://example.com/a?b&c", screens=("small",))
    links = [Link(type="source", target=ISLI)]
    return Record(code=str(CODE), title="刘三姐", body="film", locations=[there, here], links=links, **more)


def test_a_handle_has_the_nearest_copy_first_and_all_in_10320_loc() -> None:
    """A proxy's client finds its URL at index 1; one that chooses for itself finds every place with a weight."""
    status, body = asked(film(ttl=60))
    assert (status, body["responseCode"]) == (200, 1)
    first = body["values"][0]
    assert first == {
        "index": 1,
        "type": "URL",
        "data": {"format": "string", "value": PLAYS},
        "ttl": 60,
        "timestamp": "2026-01-01T23:00:00Z",
    }
    (places,) = (value["data"]["value"] for value in body["values"] if value["type"] == LOCATIONS)
    read = list(ElementTree.fromstring(places))
    assert [(place.get("href"), place.get("weight")) for place in read] == [
        (PLAYS, "1"),
        ("https://example.com/a?b&c", "0"),
    ]
    assert len({value["index"] for value in body["values"]}) == len(body["values"])


def test_types_and_indices_choose_values() -> None:
    """``type`` with a dot at its end takes the subtypes too; what nobody has is response code 200 with HTTP 200."""
    assert [value["type"] for value in asked(film(), "DESC")[1]["values"]] == ["DESC"]
    assert {value["type"] for value in asked(film(), "HEADGATE.")[1]["values"]} > {"HEADGATE.BODY", "HEADGATE.LINK"}
    assert [value["index"] for value in asked(film(), indices=(1, 3))[1]["values"]] == [1, 3]
    assert asked(film(), "EMAIL")[0] == 200
    assert asked(film(), "EMAIL")[1]["responseCode"] == 200


@pytest.mark.parametrize(
    ("record", "status", "code"),
    [
        (None, 404, 100),
        (film(status="reserved"), 404, 100),
        (film(status="withdrawn", reason="版权到期"), 410, 100),
        (film(rights=Rights(zones=("culture",))), 403, 400),
    ],
)
def test_why_there_are_no_values(record: Record | None, status: int, code: int) -> None:
    """Each failure has the Handle protocol's response code and the HTTP status that goes with it, and says why."""
    answered, body = asked(record)
    assert (answered, body["responseCode"]) == (status, code)
    assert body["message"]
