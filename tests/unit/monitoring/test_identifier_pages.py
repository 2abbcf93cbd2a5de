"""The pages about identifiers."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring import identifier_pages
from monitoring.words import WORDS
from provisioning.registry.looking import FIELDS

EVIL = "<script>alert(1)</script>"
FILM, BOOK = "isli:999999-100000000000001-4", "isbn:9780306406157"
GRAPH = {
    "start": FILM,
    "whole": False,
    "nodes": [{"code": FILM, "title": EVIL, "body": "film"}, {"code": BOOK, "title": "刘三姐", "body": EVIL}],
    "edges": [{"source": FILM, "type": "source", "target": BOOK, "across": True}],
}
ONE: dict[str, Any] = {
    "asked": FILM, "code": FILM, "display": "ISLI 999999", "scheme": "isli", "parts": {"check digit": "4"}, "uri": None, "quoted": FILM,
    "fault": None, "depth": 2, "graph": GRAPH,
    "record": {"code": FILM, "title": EVIL, "body": "film", "status": "withdrawn", "reason": EVIL, "metadata": {"year": EVIL},
               "superseded_by": BOOK, "locations": [{"url": EVIL}, {"release": FILM, "entry": EVIL}],
               "rights": {"zones": ["bigscreen"], "screens": ["big"], "until": "2030-01-01T00:00:00Z"}},
    "history": [{"number": 9, "time": "2026-11-28T21:40:03+00:00", "status": "withdrawn", "first": False, "statement": "ab" * 32,
                 "changes": [{"field": "links", "added": 3, "removed": 0}, {"field": "title", "after": EVIL}]},
                {"number": 4, "time": "2026-11-28T21:40:03+00:00", "status": "registered", "first": True, "statement": "cd" * 32,
                 "changes": []}],
    "proof": {"verified": True, "number": 9, "size": 1234, "body": "film", "signed": "2026-11-28T21:40:00+00:00", "registry": "centre"},
}  # fmt: skip
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("code", "display", "scheme", "uri", "quoted", "fault", "graph", "record", "proof")), "asked": EVIL, "depth": 1,
    "parts": {}, "history": [],
}  # fmt: skip
LIST: dict[str, Any] = {
    "asked": EVIL, "records": 1234, "size": 5678, "links": 9012, "behind": 3, "made": None,
    "schemes": [{"scheme": "isli", "count": 1000}, {"scheme": "uscc", "count": 234}],
    "changes": [{"number": 9, "code": FILM, "title": EVIL, "body": "film", "status": "superseded", "time": "2026-11-28T21:40:03+00:00"}],
}  # fmt: skip


def show(name: str, told: dict[str, Any], lang: Any, *, live: bool = False) -> str:
    return identifier_pages.render(name, told, lang, path="/identifiers/x", query={"q": EVIL, "depth": "2"}, live=live)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_code_is_shown_with_all_that_belongs_to_it(lang: Any):
    """Record, links as a drawing, history and proof; what others wrote is text, and no word is missing."""
    for live in (False, True):
        html = show("identifier", ONE, lang, live=live)
        for word in ("1,234", "ab" * 8, "+3", "/identifiers/isbn%3A9780306406157", "film", "<svg"):
            assert word in html
        assert EVIL not in html
        assert "source" in html if lang == "en" else "来源" in html
        assert ' style="' not in html  # the page's policy forbids it


def test_what_is_wrong_with_a_code_is_shown_with_the_likely_right_one():
    """The reason in both languages; those likely codes that are registered have their titles."""
    fault = {
        "reason": "wrong-check-digit",
        "error": "should be 4",
        "likely": [{"code": FILM, "title": "刘三姐"}, {"code": BOOK, "title": ""}],
    }

    for lang, words in (("zh", "校验码不对"), ("en", "should be 4")):
        html = show("identifier", NOTHING | {"fault": fault}, lang)
        assert words in html
        assert "刘三姐" in html
        assert WORDS["not_registered"][0 if lang == "zh" else 1] in html
        assert EVIL not in html


def test_a_right_code_that_nobody_registered_is_told_so():
    """It is no fault of the asker."""
    right = {"code": FILM, "scheme": "isli", "display": "ISLI 9"}

    assert WORDS["not_registered_hint"][1] in show("identifier", NOTHING | right, "en")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_overview_counts(lang: Any):
    """How much of what there is, and what changed last."""
    html = show("identifiers", LIST, lang)

    for word in (
        "1,234",
        "5,678",
        "9,012",
        "1,000",
        "统一社会信用代码" if lang == "zh" else "USCC",
        WORDS["id_superseded"][lang == "en"],
    ):
        assert word in html
    assert EVIL not in html


def test_every_word_that_a_history_may_need_is_there():
    """States and fields of a record have words in both languages."""
    assert all(f"field_{name}" in WORDS for name in FIELDS)
    assert all(f"id_{status}" in WORDS for status in ("reserved", "registered", "withdrawn", "superseded"))


def test_titles_fit_their_boxes():
    """Wide characters take the room of two."""
    assert identifier_pages.short("广西民间文学集成壮族歌谣卷") == "广西民间文学集成壮族歌…"
    assert identifier_pages.short("Third Sister Liu: Songs") == "Third Sister Liu: Song…"
    assert identifier_pages.short("刘三姐") == "刘三姐"
