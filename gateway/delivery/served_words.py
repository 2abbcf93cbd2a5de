"""The figures of ``served`` as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal
from rich.table import Table

from gateway.delivery.served import Served


def tables(zones: tuple[Served, ...]) -> Iterator[Table]:
    """Yield a table of all zones, and one of the titles where players told of any."""
    if not zones:
        return
    table = Table(title="delivery, since its start", title_justify="left")
    for name in ("zone", "screens", "sessions", "requests", "sent", "from the store"):
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
            "-" if one.offload is None else f"{one.offload:.1%}",
            _seconds(one.start),
            f"{one.stalls:,}",
            _seconds(one.buffer),
            _rate(one.bitrate),
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
                    _seconds(title.start),
                    f"{title.stalls:,}",
                    _rate(title.bitrate),
                )
        yield table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e6:.2f} Mbit/s"
