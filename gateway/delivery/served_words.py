"""The figures of ``served`` as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.filesize import decimal
from rich.table import Table

from appliance.telemetry.served import BoxServed, Served


def tables(box: BoxServed) -> Iterator[Table]:
    """Yield a table with a column for each zone, and of each zone the titles that players told of: narrow enough for any terminal."""
    if not box.zones:
        return
    table = Table("", title="delivery, since its start", title_justify="left")
    for one in box.zones:
        table.add_column(one.zone, justify="right", overflow="fold")
    for name, tell in FIGURES.items():
        table.add_row(name, *map(tell, box.zones))
    yield table
    for one in box.zones:
        if one.titles:
            yield _titles(one)


def _titles(zone: Served) -> Table:
    table = Table("title", title=f"{zone.zone}: titles with the most sessions", title_justify="left")
    for name in ("sessions", "start-up", "stalls", "bitrate"):
        table.add_column(name, justify="right")
    for title in zone.titles:
        figures = _seconds(title.start.average), f"{title.stalls:,}", _rate(title.bitrate.average)
        table.add_row(title.release, f"{title.sessions:,}", *figures)
    return table


def lines(box: BoxServed) -> Iterator[str]:
    """Yield what is to be said of the box as a whole: what came from origins beside what was sent, and what cannot be read."""
    if box.sent or box.fetched:
        others = f" ({decimal(box.shared)} of it to other boxes)" if box.shared else ""
        line = f"from origins {decimal(box.fetched)}, sent {decimal(box.sent)}{others}"
        if box.offload is not None:
            line += f": origin offload {box.offload:.1%}"
        elif not box.together:
            line += "; fetch and delivery started at different times, so these are not compared: the console's page of the box does"
        yield line
    for unit, why in box.unread.items():
        yield f"{unit}: its figures cannot be read and are missing here: {why}; see journalctl -u 'headgate-*'"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e6:.2f} Mbit/s"


FIGURES: dict[str, Callable[[Served], str]] = {
    "screens": lambda one: one.screen or "-",
    "sessions": lambda one: f"{one.sessions:,}",
    "requests": lambda one: f"{one.requests:,}",
    "sent": lambda one: decimal(one.bytes),
    "hits by bytes": lambda one: "-" if one.hit_share is None else f"{one.hit_share:.1%}",
    "start-up": lambda one: _seconds(one.start.average),
    "stalls": lambda one: f"{one.stalls:,}",
    "buffer": lambda one: _seconds(one.buffer.average),
    "bitrate": lambda one: _rate(one.bitrate.average),
    "broken off": lambda one: f"{one.broken_off:,}",
    "refused": lambda one: "\n".join(f"{reason} {count:,}" for reason, count in one.refusals.items()) or "nothing",
}
