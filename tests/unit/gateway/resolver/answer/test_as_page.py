"""The page that a person sees."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.resolver.answer.as_page import of_document, of_failure, picture
from gateway.resolver.answer.here import Here
from gateway.resolver.answer.known import known
from gateway.resolver.answer.outcome import Document, Source, outcome
from gateway.resolver.answer.words import STATES
from gateway.resolver.codes import parse
from gateway.resolver.records import Link, Location, Record

CODE, OTHER = parse("isli:999999-100000000000001-4"), "isli:999999-000000000000001-5"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVIL = '"><img src=x onerror=y>'


def page(source: Source, hidden: set[str], **more: Any) -> str:
    said = {"title": "刘三姐", "body": "film", "locations": [Location(release=str(CODE), entry="a.m3u8")]} | more
    about = known(Record(code=str(CODE), links=[Link(type="source", target=OTHER)], **said).dump())
    found = outcome(CODE, about, source, Here("s", "bigscreen", "http://10.20.0.11"), "html", NOW)
    assert isinstance(found, Document)
    titles = {OTHER: {"title": "壮族山歌" + EVIL}}
    return str(of_document(CODE, found, source, NOW, hidden, titles, "http://10.20.0.11:8080"))


def test_a_person_sees_what_it_is_where_it_plays_and_what_it_is_linked_to() -> None:
    """Title, state, play button, links by title with their type in both languages, and a QR code; nothing is loaded."""
    text = page(Source("centre", 7, NOW), set(), metadata={"year": "1961"})
    for words in (
        "<h1>刘三姐</h1>",
        "已登记 · registered",
        "▶ 播放 · Play",
        "壮族山歌",
        "来源 · source",
        "1961",
        "<svg",
        f"/id/{OTHER}",
    ):
        assert words in text
    assert "可能已过时" not in text
    assert not any(word in text for word in ("<script", "<img", "@import", "url("))


def test_what_is_hidden_old_or_superseded_is_shown_as_such() -> None:
    """A link to what this zone may not see is not there; an old table and a successor are told."""
    text = page(Source("centre", 7, NOW - timedelta(days=2)), {OTHER}, status="superseded", superseded_by=OTHER)
    assert "可能已过时" in text
    assert "取而代之" in text
    assert "壮族山歌" not in text


def test_nothing_told_becomes_markup() -> None:
    """Whatever a record says, the page holds it as text."""
    text = page(
        Source("centre", 7, NOW),
        set(),
        title=EVIL,
        metadata={"x": EVIL},
        locations=[Location(url=f"http://a/{EVIL}".replace(" ", ""))],
    )
    assert "<img" not in text
    assert "<img" not in str(of_failure("withdrawn", EVIL, EVIL))


@pytest.mark.parametrize("reason", STATES)
def test_each_reason_has_words_in_both_languages(reason: str) -> None:
    """A refusal is told in Chinese and English, with the codes that may have been meant."""
    text = str(of_failure(reason, "because", likely=[(OTHER, "壮族山歌")], code=CODE))
    assert STATES[reason].zh in text
    assert STATES[reason].en in text
    assert "壮族山歌" in text


def test_a_picture_that_no_telephone_reads_is_left_out() -> None:
    """A QR code of a long address would be too fine."""
    assert picture("http://a/") is not None
    assert picture("http://a/" + "x" * 300) is None
