"""The page of one box: what its screens have, as the API tells it -> HTML with drawings, in Chinese and English."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from appliance.runtime.languages import Language
from monitoring import pages
from monitoring.charts import HIGH, WIDE, Chart, Row, draw
from monitoring.content_pages import link
from monitoring.delivery import PERIODS, SCREENS
from monitoring.words import word

Write = Callable[[float], str]  # a figure for people


def render(told: Mapping[str, Any], lang: Language, *, query: Mapping[str, str], now: float, live: bool = False) -> str:
    """Return the page that shows ``told``, or only the part of it that changes (``live``); ``now`` in seconds since 1970."""
    site, hours = told["site"], told["hours"]
    kept = {"hours": hours} if hours != next(iter(PERIODS)) else {}
    last = next((step for step in reversed(told["steps"]) if step["seconds"] > 0), None) if told["online"] else None
    return pages.render(
        "box_one.html" if live else "content.html",
        lang,
        events=f"/events?{urlencode({'box': site})}",
        told=told,
        part="box_one.html",
        place="/",
        heading=site,
        api=f"/api/boxes/{quote(site)}/delivery" + (f"?{urlencode(kept)}" if kept else ""),
        link=partial(link, lang),
        here=lambda other: f"?{urlencode({**kept, 'lang': other})}",
        ago=partial(pages.ago, now=now, lang=lang),
        state=state(told),
        last=last,
        sessions={
            name: sum(zone["sessions"] for zone in told["zones"] if zone["screen"] == name)
            for name in SCREENS
            if any(zone["screen"] == name for zone in told["zones"])
        },
        charts=_charts(told, lang),
        times=_times(told),
        wide=WIDE,
        high=HIGH,
        periods=PERIODS,
        rate=rate,
        share=share,
        number=number,
        seconds=partial(seconds, lang=lang),
        screen=lambda name: word(f"screen_{name or 'none'}", lang),
    )


def state(told: Mapping[str, Any]) -> str:
    """Return what is to be said of the whole: ``never``, ``old``, ``none`` (no zone has a delivery), ``quiet`` (nobody asked), ``busy``."""
    if told["last_seen"] is None:
        return "never"
    if not told["told"]:
        return "old"
    if told["unread"] or told["period"]["requests"] or any(zone["requests"] for zone in told["zones"]):
        return "busy"
    return "quiet" if told["zones"] else "none"


def rate(bits: float | None) -> str:
    """Return bits a second for people."""
    if bits is None:
        return "–"
    for unit in ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"):
        if bits < 999.5 or unit == "Gbit/s":
            break
        bits /= 1000
    return f"{bits:.0f} {unit}" if bits >= 100 or unit == "bit/s" else f"{round(bits, 1):g} {unit}"


def share(part: float | None) -> str:
    """Return a share as per cent, never rounded up to all of it; below nought it is as it is."""
    if part is None:
        return "–"
    percent = min(100 * part, 99.9) if part < 1 else 100 * part
    return f"{percent:.0f}%" if percent <= -10 else f"{round(percent, 1):g}%"


def number(value: float | None) -> str:
    """Return a figure with as many places as it needs."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def seconds(value: float | None, lang: Language) -> str:
    """Return seconds for people."""
    return "–" if value is None else f"{round(value, 1):g}{' ' if lang == 'zh' else ''}{word('seconds', lang)}"


def _charts(told: Mapping[str, Any], lang: Language) -> list[dict[str, Any]]:
    """Return each chart: its name, the drawing, how a figure of it is written, and what a step's label says."""
    steps: Sequence[Mapping[str, Any]] = told["steps"]
    present = [name for name in SCREENS if any(name in (step["sessions"] or step["screens"]) for step in steps)]

    def row(name: str, times: float = 1) -> Row:
        return [step[name] * times / step["seconds"] if step["seconds"] > 0 else None for step in steps]

    def miss() -> Row:
        return [
            (step["bytes"] - step["hit_bytes"]) * 8 / step["seconds"] if step["seconds"] > 0 else None for step in steps
        ]

    def by_screen(name: str) -> dict[str, Row]:
        return {
            f"screen_{one or 'none'}": [step["screens"].get(one, {}).get(name) for step in steps] for one in present
        }

    def players() -> dict[str, Row]:
        def now(step: Mapping[str, Any], screen: str) -> float | None:
            return None if step["sessions"] is None else float(step["sessions"].get(screen, 0))

        return {f"screen_{one or 'none'}": [now(step, one) for step in steps] for one in present}

    def stalls() -> dict[str, Row]:
        def a_minute(step: Mapping[str, Any], screen: str) -> float | None:
            return (
                step["screens"].get(screen, {}).get("stalls", 0) * 60 / step["seconds"] if step["seconds"] > 0 else None
            )

        return {f"screen_{one or 'none'}": [a_minute(step, one) for step in steps] for one in present}

    refused: Row = [sum(step["refusals"].values()) / step["seconds"] if step["seconds"] > 0 else None for step in steps]
    spared: dict[str, Row] = {
        "key_hits": [step["hit_share"] for step in steps],
        "key_offload": [step["offload"] for step in steps],
    }
    second = partial(seconds, lang=lang)
    charts: list[tuple[str, Write, dict[str, Row], dict[str, Row], dict[str, float]]] = [
        ("sent", rate, {"key_hit": row("hit_bytes", 8), "key_miss": miss()}, {"key_fetched": row("fetched", 8)}, {"least": 1e5}),
        ("requests", number, {"key_asked": row("requests")}, {"key_refused": refused}, {}),
        ("spared", share, {}, spared, {"top": 1.0}),
        ("sessions", number, players(), {}, {"least": 4}),
        ("start", second, {}, by_screen("start"), {"least": 1}),
        ("stalls", number, {}, stalls(), {"least": 1}),
        ("buffer", second, {}, by_screen("buffer"), {"least": 10}),
        ("bitrate", rate, {}, by_screen("bitrate"), {"least": 1e6}),
    ]  # fmt: skip
    return [_chart(name, write, draw(stacked=stacked, lines=lines, **edges), {**stacked, **lines}, steps, lang)
            for name, write, stacked, lines, edges in charts]  # fmt: skip


def _chart(
    name: str, write: Write, chart: Chart, rows: Mapping[str, Row], steps: Sequence[Mapping[str, Any]], lang: Language
) -> dict[str, Any]:
    labels = []
    for at, step in enumerate(steps):
        figures = [f"{word(key, lang)} {write(value)}" for key, row in rows.items() if (value := row[at]) is not None]
        labels.append("\n".join([f"{pages.clock(step['from'])[11:16]} UTC", *figures]) if figures else "")
    return {"name": name, "drawn": chart, "write": write, "keys": list(rows), "labels": labels}


def _times(told: Mapping[str, Any]) -> list[str]:
    """Return the times of day below a chart: at its beginning, its middle and its end."""
    first, last = told["steps"][0]["from"], told["steps"][-1]["from"] + told["step"]
    return [pages.clock(at)[11:16] for at in (first, (first + last) / 2, last)]
