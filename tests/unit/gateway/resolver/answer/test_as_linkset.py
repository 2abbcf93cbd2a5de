"""Linksets and JSON of one code."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.resolver.answer.as_json import about, as_json, spliced
from gateway.resolver.answer.as_linkset import GS1_DEFAULT, as_linkset
from gateway.resolver.answer.here import Here
from gateway.resolver.answer.known import known
from gateway.resolver.answer.outcome import Document, Source, outcome
from gateway.resolver.answer.raw import on_the_box, targets_of
from gateway.resolver.codes import Code, parse
from gateway.resolver.records import Link, Location, Record, Rights

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = Source("centre", 7, NOW)
ITEM, OTHER, HIDDEN = parse("gtin:06901234567892"), "isli:999999-000000000000001-5", "isli:999999-100000000000001-4"


def document(code: Code) -> Document:
    record = Record(
        code=str(code),
        title="铜鼓",
        body="museum",
        status="superseded",
        superseded_by=OTHER,
        locations=[Location(url="http://example.com/a")],
        links=[Link(type="source", target=OTHER), Link(type="same-as", target=HIDDEN)],
        metadata={"year": "1961"},
        rights=Rights(zones=("culture",)),
    )
    found = outcome(code, known(record.dump()), SOURCE, Here("s", "culture"), "json", NOW)
    assert isinstance(found, Document)
    return found


def test_a_linkset_has_places_descriptions_and_typed_links() -> None:
    """The anchor is the code's address; hidden targets are not told; a traded item has GS1's default link."""
    (context,) = as_linkset(ITEM, document(ITEM), {HIDDEN}, {OTHER: {"title": "铜鼓二"}})["linkset"]
    assert context["anchor"] == "/id/gtin:06901234567892"
    assert context["item"] == context[GS1_DEFAULT] == [{"href": "http://example.com/a", "title": "铜鼓"}]
    assert context["cite-as"] == [{"href": "https://id.gs1.org/01/06901234567892"}]
    assert context["successor-version"] == [{"href": f"/id/{OTHER}"}]
    assert context["tag:headgate,2026:klsv#source"] == [{"href": f"/id/{OTHER}", "title": "铜鼓二"}]
    assert not any("same-as" in relation for relation in context)


def test_a_program_is_told_all_that_is_known() -> None:
    """The document holds record, playable address, links that may be told, rights, successor and how old the table is."""
    told = as_json(ITEM, document(ITEM), SOURCE, NOW, {HIDDEN})
    assert (told["playable"], told["metadata"]) == ("http://example.com/a", {"year": "1961"})
    assert told["links"] == [{"type": "source", "target": OTHER}]
    assert told["superseded_by"] == OTHER
    assert told["rights"] == {"zones": ["culture"]}
    assert told["table"] == {"registry": "centre", "serial": 7, "made": "2026-01-02T00:00:00+00:00", "stale": False}
    assert "record" not in told


def test_a_serial_that_is_not_registered_is_told_with_its_items_record() -> None:
    """The answer names the code that was asked for and the one whose record it is."""
    serial = parse("gs1:01/06901234567892/21/9")
    told = as_json(serial, document(ITEM), SOURCE, NOW, set())
    assert (told["code"], told["record"]) == (serial.canonical, ITEM.canonical)


@pytest.mark.parametrize(
    "more", [{}, {"ttl": 60, "metadata": {"x": '"}]'}}, {"links": [Link(type="source", target=OTHER)]}]
)
def test_a_plain_record_is_spliced_to_what_it_would_be_told_as(more: Any) -> None:
    """The short way to JSON, made of the table's own bytes, says the same as the long one."""
    code = parse("doi:10.1000/182")
    record = Record(
        code=str(code), title='漓江 "', body="film", locations=[Location(release=HIDDEN, entry="a.m3u8")], **more
    )
    found = outcome(code, known(record.dump()), SOURCE, Here("s", "bigscreen", "http://10.20.0.11"), "json", NOW)
    assert isinstance(found, Document)
    path = on_the_box(record.dump())
    assert path is not None
    table = json.dumps(about(SOURCE, NOW)).encode()
    short = spliced(str(code), record.dump(), path, "http://10.20.0.11", table)
    assert json.loads(short) == as_json(code, found, SOURCE, NOW, set())
    assert targets_of(record.dump()) == [one["target"].encode() for one in found.known.links]
