"""The page of one box."""

from __future__ import annotations

import re
from typing import Any

import pytest

from appliance.runtime.languages import Language
from appliance.telemetry.served import Mean, Served, Title
from monitoring import box_pages
from monitoring.delivery import Sample, over, titles

EVIL = "<script>alert(1)</script>"
NOW = 1_800_000_000.0
BIG = Served(
    "bigscreen", "big", NOW - 9000, 900, 9_000_000_000, 8_100_000_000, 2, 1, 12, 30, 4, Mean(45.0, 30), Mean(300.0, 30),
    Mean(1.5e8, 30), {"no-token": 7, EVIL: 1}, (Title("999999-1", 20, 3, Mean(30.0, 20), Mean(1e8, 20)), Title(EVIL, 1, 0)),
)  # fmt: skip


def told(*zones: Served, hours: int = 1, **more: Any) -> dict[str, Any]:
    """Return what the API tells of a box that has been told of twice: nothing, and ``zones`` five minutes later."""
    empty = {one.zone: Served(one.zone, one.screen, one.started) for one in zones}
    then = [Sample(NOW - 400, 0, 0, empty), Sample(NOW - 100, 270_000_000, 0, {one.zone: one for one in zones})]
    return {
        "site": "headend", "online": True, "last_seen": NOW - 3, "software": "1.2", "told": True, "unread": {},
        "zones": [one.told() for one in zones], "titles": titles(zones, {"999999-1": "刘三姐"}),
        **over(then if zones else [], NOW, hours), **more,
    }  # fmt: skip


def page(figures: dict[str, Any], lang: Language = "en", *, live: bool = False) -> str:
    return box_pages.render(figures, lang, query={}, now=NOW, live=live)


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ["Origin offload", "televisions", "Hits by bytes", "Start-up", "1.5 s", "last 6 hours", "broken off"]),
        ("zh", ["回源节省率", "大屏", "字节命中率", "起播时间", "1.5 秒", "最近 6 小时", "次中断"]),
    ],
)
def test_every_figure_is_drawn(lang: Language, words: list[str]) -> None:
    """Requests, hits by bytes, origin offload, sessions by class, quality, titles and refusals with reasons, in each language."""
    html = page(told(BIG), lang)
    for word in [*words, "90%", "97%", "刘三姐", "no-token", "8.4 GiB", "5 Mbit/s", "/api/boxes/headend/delivery"]:
        assert word in html, word
    assert html.count("<svg viewBox") == 8 + 1  # with the gate at the top
    assert all(
        re.search(rf'class="(area|line) {name}" d="M', html) for name in ("key_hit", "key_offload", "screen_big")
    )
    assert re.search(r"<title>\d\d:\d\d UTC\n\S", html)


def test_what_boxes_and_screens_say_is_text() -> None:
    """A reason or a code is no markup, in labels of drawings neither; nothing needs what the security policy forbids."""
    html = page(told(BIG, unread={EVIL: EVIL}, software=EVIL), live=True)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r"https?://|\son\w+=|\sstyle=", html)


@pytest.mark.parametrize(
    ("figures", "state", "words"),
    [
        (told(last_seen=None, online=False, told=False), "never", "never reported"),
        (told(told=False), "old", "headgate fleet rollout start"),
        (told(), "none", "no service with run: delivery"),
        (told(Served("bigscreen", "big")), "quiet", "No screens yet"),
        (told(BIG, online=False), "busy", "The box is away"),
        (told(BIG) | {"zones": [Served("bigscreen", "big", NOW).told()]}, "busy", "Origin offload"),  # it started anew
        (told(BIG) | {"zones": [], "titles": []}, "busy", "Origin offload"),  # the policy has none any more
        (told(unread={"delivery-bigscreen": "torn"}), "busy", "delivery-bigscreen cannot be read"),
    ],
)
def test_what_is_the_matter_is_said(figures: dict[str, Any], state: str, words: str) -> None:
    """Away, never heard, too old, without delivery, without screens, in part unreadable: each in a sentence that says what to do."""
    assert box_pages.state(figures) == state
    for lang in ("zh", "en"):
        html = page(figures, lang)  # type: ignore[arg-type]
        assert ('class="charts"' in html) == (state == "busy")
    assert words in html


def test_a_box_that_is_away_has_no_present() -> None:
    """What it told last is drawn, and is not told as of now."""
    here, away = (page(told(BIG, online=online), live=True) for online in (True, False))
    sessions = re.compile(r"<h2>Sessions</h2><p><b>([^<]*)</b></p><small>([^<]*)<")
    assert sessions.findall(here) == [("12", "12 televisions")]
    assert sessions.findall(away) == [("–", "")]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0 bit/s"), (900, "900 bit/s"), (1500, "1.5 kbit/s"), (5e6, "5 Mbit/s"), (562e6, "562 Mbit/s"),
     (999.6e6, "1 Gbit/s"), (4e13, "40000 Gbit/s")],
)  # fmt: skip
def test_rates(value: float | None, text: str) -> None:
    """Bits a second are told in the unit that people read."""
    assert box_pages.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0%"), (1, "100%"), (0.9999, "99.9%"), (0.971, "97.1%"), (0.5, "50%"), (-0.055, "-5.5%"), (-2.3, "-230%")],
)  # fmt: skip
def test_shares(value: float | None, text: str) -> None:
    """What is not all of it is never told as all of it."""
    assert box_pages.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0"), (0.5, "0.5"), (0.017, "0.017"), (3, "3"), (12.6, "13"), (9e4, "90,000")]
)
def test_numbers(value: float | None, text: str) -> None:
    """As many places as are needed."""
    assert box_pages.number(value) == text
