"""What is answered, as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resolver.answer import (
    STALE_AFTER,
    Document,
    Gone,
    NoTable,
    NotFound,
    Redirect,
    Wanted,
    answer,
    wanted,
)
from gateway.resolver.codes import parse
from gateway.resolver.records import Link, Location, Record
from gateway.resolver.table import Info

CODE = parse("isli:999999-100000000000001-4")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
INFO = Info("centre", 7, NOW - timedelta(hours=1), 1, "0" * 64)
BOX = "http://10.20.0.11"
HERE = Location(release=CODE.canonical, entry="video/主 轨.m3u8".replace(" ", ""))
THERE = Location(url="http://example.invalid/film")
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def record(**more: Any) -> Record:
    return Record(code=CODE.canonical, title="刘三姐", body="film", **more)


@pytest.mark.parametrize(
    ("accept", "form", "kind"),
    [
        ("*/*", None, "player"),
        ("", None, "player"),
        ("application/vnd.apple.mpegurl", None, "player"),
        ("application/json", None, "json"),
        ("application/json;q=0.5, */*", None, "player"),
        ("text/html;q=0.2, application/json;q=0.9", None, "json"),
        ("application/json; q=x", None, "player"),
        (CHROMIUM, None, "html"),
        (CHROMIUM, "json", "json"),
        ("application/json", "html", "html"),
        ("application/json", "xml", "json"),
    ],
)
def test_who_asks(accept: str, form: str | None, kind: Wanted) -> None:
    """``?format=`` decides, else the best of ``Accept``; what is neither a program nor a browser is a player."""
    assert wanted(accept, form) == kind


@pytest.mark.parametrize(
    ("known", "delivery", "asks", "outcome"),
    [
        (record(locations=[HERE]), BOX, "player", f"{BOX}/r/{CODE.text}/video/%E4%B8%BB%E8%BD%A8.m3u8"),
        (record(locations=[HERE]), BOX + ":8081", "player", f"{BOX}:8081/r/{CODE.text}/video/%E4%B8%BB%E8%BD%A8.m3u8"),
        (record(locations=[THERE, HERE]), BOX, "player", "http://example.invalid/film"),
        (record(locations=[HERE, THERE]), None, "player", "http://example.invalid/film"),
        (record(locations=[HERE]), None, "player", Document),
        (record(), BOX, "player", Document),
        (record(locations=[HERE]), BOX, "json", Document),
        (record(locations=[HERE]), BOX, "html", Document),
        (record(status="withdrawn", locations=[HERE]), BOX, "player", Gone),
        (record(status="reserved", locations=[HERE]), BOX, "player", NotFound),
        (None, BOX, "player", NotFound),
    ],
)
def test_what_is_answered(known: Record | None, delivery: str | None, asks: Wanted, outcome: Any) -> None:
    """A player is sent to the first place that its zone reaches, a program is told all, and what is withdrawn is gone."""
    found = answer(CODE, known, INFO, delivery, asks, NOW)
    if isinstance(outcome, str):
        assert found == Redirect(outcome, stale=False)
    else:
        assert isinstance(found, outcome)


def test_a_program_is_told_all_that_is_known() -> None:
    """The document holds record, playable address, links and how old the table is."""
    target = "isli:999999-000000000000001-5"
    known = record(locations=[HERE], links=[Link(type="multimedia", target=target)], metadata={"year": "1961"})
    found = answer(CODE, known, INFO, BOX, "json", NOW)
    assert isinstance(found, Document)
    assert found.body["playable"] == f"{BOX}/r/{CODE.text}/video/%E4%B8%BB%E8%BD%A8.m3u8"
    assert found.body["locations"][0]["release"] == CODE.canonical
    assert found.body["links"] == [{"type": "multimedia", "target": target}]
    assert found.body["metadata"] == {"year": "1961"}
    assert found.body["table"] == {
        "registry": "centre",
        "serial": 7,
        "made": "2026-01-01T23:00:00+00:00",
        "stale": False,
    }


@pytest.mark.parametrize(("seconds", "stale"), [(-5, False), (0, False), (STALE_AFTER, False), (STALE_AFTER + 1, True)])
def test_an_old_table_still_answers_and_says_that_it_is_old(seconds: float, stale: bool) -> None:
    """The answer of a table older than a day is marked stale."""
    old = Info("centre", 7, NOW - timedelta(seconds=seconds), 1, "0" * 64)
    found = answer(CODE, record(locations=[HERE]), old, BOX, "player", NOW)
    assert isinstance(found, Redirect)
    assert found.stale is stale


def test_without_a_table_nothing_is_said_of_a_code() -> None:
    """A box that never had a table does not claim that a code is unknown."""
    assert answer(CODE, None, None, BOX, "player", NOW) == NoTable()


@given(st.text(max_size=200))
def test_any_accept_header_is_somebody(accept: str) -> None:
    """Any Accept header is a player, a program or a browser."""
    assert wanted(accept, None) in {"player", "json", "html"}
