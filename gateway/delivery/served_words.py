"""The figures of ``served`` as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal
from rich.table import Table

from appliance.telemetry.served import BoxServed


def tables(box: BoxServed) -> Iterator[Table]:
    """Yield a table of all zones, and one of the titles where players told of any."""
    zones = box.zones
    if not zones:
        return
    table = Table(title="delivery, since its start", title_justify="left")
    for name in ("zone", "screens", "sessions", "requests", "sent", "hits by bytes"):
        table.add_column(name, justify="left" if name in ("zone", "screens") else "right")
    for name in ("start-up", "stalls", "buffer", "bitrate", "broken off"):
        table.add_column(name, justify="right")
    table.add_column("refused")
    for one in zones:
        table.add_row(
            one.zone,
            one.screen or "-",
            f"{one.sessions:,}",
            f"{one.requests:,}",
            decimal(one.bytes),
            "-" if one.hit_share is None else f"{one.hit_share:.1%}",
            _seconds(one.start.average),
            f"{one.stalls:,}",
            _seconds(one.buffer.average),
            _rate(one.bitrate.average),
            f"{one.broken_off:,}",
            ", ".join(f"{reason} {count:,}" for reason, count in one.refusals.items()) or "nothing",
        )
    yield table
    if any(one.titles for one in zones):
        table = Table("zone", "title", title="titles with the most sessions", title_justify="left")
        for name in ("sessions", "start-up", "stalls", "bitrate"):
            table.add_column(name, justify="right")
        for one in zones:
            for title in one.titles:
                table.add_row(
                    one.zone,
                    title.release,
                    f"{title.sessions:,}",
                    _seconds(title.start.average),
                    f"{title.stalls:,}",
                    _rate(title.bitrate.average),
                )
        yield table


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
