"""What is answered, as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.resolver.answer.here import Here
from gateway.resolver.answer.known import known
from gateway.resolver.answer.outcome import (
    STALE_AFTER,
    Document,
    Gone,
    Hidden,
    Moved,
    NoTable,
    NotFound,
    Redirect,
    Source,
    outcome,
)
from gateway.resolver.codes import parse
from gateway.resolver.records import Location, Record, Rights

CODE = parse("isli:999999-100000000000001-4")
NEW = "isli:999999-000000000000001-5"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = Source("centre", 7, NOW - timedelta(hours=1))
BOX = Here("headend", "bigscreen", "http://10.20.0.11", "450100")
HERE = Location(release=CODE.canonical, entry="video/主轨.m3u8")
THERE = Location(url="http://example.invalid/film")
PLAYS = f"http://10.20.0.11/r/{CODE.text}/video/%E4%B8%BB%E8%BD%A8.m3u8"


def record(**more: Any) -> Record:
    return Record(code=CODE.canonical, title="刘三姐", body="film", **more)


def rights(**more: Any) -> Record:
    return record(locations=[HERE], rights=Rights(**more))


@pytest.mark.parametrize(
    ("recorded", "zone", "form", "answer"),
    [
        (record(locations=[HERE]), BOX, "player", PLAYS),
        (record(locations=[THERE, HERE]), BOX, "player", PLAYS),
        (record(locations=[HERE, THERE]), Here("s", "culture"), "player", "http://example.invalid/film"),
        (record(locations=[HERE]), Here("s", "institution"), "player", Document),
        (record(), BOX, "player", Document),
        (record(locations=[HERE]), BOX, "json", Document),
        (record(locations=[HERE]), BOX, "html", Document),
        (record(status="withdrawn", locations=[HERE]), BOX, "player", Gone),
        (record(status="reserved", locations=[HERE]), BOX, "player", NotFound),
        (record(status="superseded", superseded_by=NEW, locations=[HERE]), BOX, "player", Moved),
        (record(status="superseded", superseded_by=NEW, locations=[HERE]), BOX, "json", Document),
        (None, BOX, "player", NotFound),
        (rights(zones=["bigscreen"]), BOX, "player", PLAYS),
        (rights(zones=["culture"]), BOX, "player", "zone-not-granted"),
        (rights(screens=["big"]), BOX, "player", PLAYS),
        (rights(screens=["small"]), BOX, "json", "screen-not-granted"),
        (rights(screens=["small"]), Here("s", "culture"), "json", Document),
        (rights(territories=["45"]), BOX, "player", PLAYS),
        (rights(territories=["44"]), BOX, "player", "territory-not-granted"),
        (rights(territories=["45"]), Here("s", "culture"), "player", "territory-not-granted"),
        (rights(since=NOW + timedelta(1)), BOX, "player", "not-yet"),
        (rights(until=NOW), BOX, "player", "expired"),
        (rights(since=NOW, until=NOW + timedelta(1)), BOX, "player", PLAYS),
    ],
)
def test_what_is_answered(recorded: Record | None, zone: Here, form: Any, answer: Any) -> None:
    """A player goes to the nearest copy, a program is told all, what is withdrawn is gone, and what may not be seen is not there."""
    about = None if recorded is None else known(recorded.dump())
    found = outcome(CODE, about, SOURCE, zone, form, NOW)
    if not isinstance(answer, str):
        assert isinstance(found, answer)
    elif answer.startswith("http"):
        assert isinstance(found, Redirect)
        assert found.location == answer
    else:
        # Not there: the same answer, to the letter, as of a code that nobody registered.
        assert found == outcome(CODE, None, SOURCE, zone, form, NOW)
        told = outcome(
            CODE, about, SOURCE, Here(zone.site, zone.zone, zone.delivery, zone.territory, hidden=403), form, NOW
        )
        assert isinstance(told, Hidden)
        assert told.reason == answer


def test_a_withdrawal_tells_its_reason() -> None:
    """Who asks for a withdrawn code learns why it is gone."""
    gone = outcome(CODE, known(record(status="withdrawn", reason="版权到期").dump()), SOURCE, BOX, "player", NOW)
    assert isinstance(gone, Gone)
    assert gone.sentence.endswith("was withdrawn: 版权到期")


@pytest.mark.parametrize(("seconds", "stale"), [(-5, False), (0, False), (STALE_AFTER, False), (STALE_AFTER + 1, True)])
def test_an_old_table_is_stale(seconds: float, stale: bool) -> None:
    """What a table older than a day says is stale, and a clock that is behind changes nothing."""
    assert Source("centre", 7, NOW - timedelta(seconds=seconds)).stale(NOW) is stale


def test_without_a_table_nothing_is_said_of_a_code() -> None:
    """A box that never had a table does not claim that a code is unknown."""
    assert outcome(CODE, None, None, BOX, "player", NOW) == NoTable()
