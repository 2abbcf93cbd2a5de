from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.runtime import languages
from monitoring import pages
from monitoring.fleet import Box
from monitoring.overview import BoxView, JournalView, Overview, Refusal, Standing, Used
from monitoring.words import WORDS

EVIL = "<script>alert(1)</script>"


def seen() -> Overview:
    metrics: dict[str, str | int] = {
        "policy/enforced": "b" * 64,
        "policy/state": EVIL,
        "policy/faults": EVIL,
        "software": EVIL,
        f"zones/{EVIL}/state": EVIL,
        "zones/culture/state": "enforced",
        "zones/culture/addresses": "10.10.0.11/24",
    }
    box = Box("headend", online=True, seen=990.0, metrics=metrics)
    used = Used("isli:999999-1", 4, 2048, 3, 1)
    view = BoxView(box, "a" * 64, Standing("differs", 700.0), used, (used,), {"usage": 4})
    refusal = Refusal("headend", "2026-11-22T08:30:00.000000Z", "exchange", "not-admitted", EVIL)
    return Overview(
        1000.0,
        (view, BoxView(Box("planned"), "c" * 64, Standing("unknown"), Used(""), ())),
        (refusal,),
        {"not-admitted": 1},
        True,
        3,
    )


@pytest.mark.parametrize(
    ("lang", "words"), [("zh", ["不一致", "文化专网", "从未联系"]), ("en", ["differs", "culture", "never heard"])]
)
def test_shows_what_is_asked_and_enforced(lang: pages.Language, words: list[str]) -> None:
    """Both digests, the disagreement and since when, zones and delivery are on the page, in each language."""
    html = pages.page(seen(), lang)
    for word in [*words, "a" * 12, "b" * 12, "10.10.0.11/24", "75%", "2.0 KiB", "isli:999999-1", "not-admitted"]:
        assert word in html


def test_what_boxes_say_is_text() -> None:
    """Nothing that a box or a screen says becomes markup."""
    assert "<script>alert" not in pages.page(seen(), "en")
    assert "<script" not in pages.live(seen(), "zh")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_an_empty_fleet_says_what_to_do(lang: pages.Language) -> None:
    """Without boxes the page tells the next commands; without a broker it says where to look."""
    html = pages.page(Overview(0.0), lang)
    assert "headgate fleet enrol" in html
    assert "journalctl -u mosquitto" in html


@pytest.mark.parametrize(
    ("asked", "accepted", "expected"),
    [
        ("zh", "en", "zh"),
        ("en", "zh", "en"),
        (None, "en-GB,zh;q=0.5", "en"),
        (None, "fr, zh-CN", "zh"),
        (None, "", "zh"),
        ("xx", "en", "en"),
    ],
)
def test_language(asked: str | None, accepted: str, expected: str) -> None:
    """The language asked for, else the browser's, else Chinese."""
    assert languages.language(asked, accepted) == expected


def test_the_page_asks_nobody_else() -> None:
    """No address of another server, no inline handler or style that the security policy would stop."""
    html = pages.page(seen(), "en")
    assert not re.search(r"https?://", html)
    assert not re.search(r"\son\w+=|\sstyle=", html)


def test_every_word_is_used_and_known() -> None:
    """Each word of the templates exists in both languages, and none is left over."""
    templates = "".join(p.read_text() for p in (Path(pages.__file__).parent / "templates").glob("*.html"))
    asked = set(re.findall(r"w\('([a-z_0-9-]+)'[,)]", templates))
    assert asked <= WORDS.keys()
    composed = (
        "zone_",
        "_hint",
        "_ago",
        "_1",
        "state_",
        "act_",
        "kind_",
        "proof_",
        "place_",
        "to_reinstate",
        "id_",
        "field_",
        "chart_",
        "key_",
    )
    indirect = {"equal", "differs", "unclear", "enforced", "pending", "drift", "failed", "unknown", "no-port",
                "now", "seconds", "minutes", "hours", "days", "proved", "not_proved"}  # fmt: skip
    for word in WORDS.keys() - asked - indirect:
        assert any(part in word for part in composed), f"'{word}' is not used"
    assert all(zh and en for zh, en in WORDS.values())


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes(number: int, text: str) -> None:
    """Bytes are told in the unit that people read."""
    assert pages.size(number) == text


@pytest.mark.parametrize(("lang", "word"), [("zh", "日志可疑"), ("en", "Suspicious journal")])
def test_a_forked_journal_stands_out(lang: pages.Language, word: str) -> None:
    """What was countersigned is told quietly; a fault is an alarm with its reason, and the box is not well."""
    good = JournalView("guard", 1234, 990.0)
    bad = JournalView("exchange", 20, 100.0, 900.0, "forked", EVIL)
    box = Box("headend", online=True, seen=990.0, metrics={"policy/state": "enforced"})
    views = [BoxView(box, "", Standing("equal"), Used(""), (), {}, kept) for kept in ((good,), (good, bad))]
    assert [view.well for view in views] == [True, False]
    quiet, loud = (pages.page(Overview(1000.0, (view,), (), {}, True, 3), lang) for view in views)
    assert word not in quiet
    assert word in loud
    assert "1,234" in loud
    assert "forked" in loud
    assert EVIL not in loud
