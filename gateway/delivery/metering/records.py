"""(what a window counted) -> usage records; pure, and the same records each time, so that giving them twice is giving them once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from appliance.telemetry.records import Record, written
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.window import Figures

MOST_FILES = 64  # of one record
MOST_TEXT = 8 << 10  # bytes of their paths in one record: half of what a record may have


def usage_records(window: UUID, cells: Iterable[tuple[What, Figures]], now: datetime) -> list[Record]:
    """Return the usage records of a window: one for all files of a release that are alike in the rest, more where they are many.

    Their ids come from the window's id and their place.
    """
    groups: dict[What, list[tuple[str, Figures]]] = {}
    for what, figures in cells:
        groups.setdefault(what._replace(path=""), []).append((what.path, figures))
    bodies = (_body(what, part) for what, files in groups.items() for part in _parts(files))
    return [
        Record.of(
            {
                "id": str(uuid5(window, str(place))),
                "kind": "usage",
                "time": written(now),
                "source": f"delivery/{body['zone']}",
                "body": body,
            }
        )
        for place, body in enumerate(bodies)
    ]


def _parts(files: list[tuple[str, Figures]]) -> Iterator[list[tuple[str, Figures]]]:
    part: list[tuple[str, Figures]] = []
    size = 0
    for path, figures in files:
        size += len(path.encode()) + 32
        if part and (len(part) >= MOST_FILES or size > MOST_TEXT):
            yield part
            part, size = [], len(path.encode()) + 32
        part.append((path, figures))
    yield part


def _body(what: What, files: list[tuple[str, Figures]]) -> dict[str, Any]:
    figures = [one for _, one in files]
    return {
        "release": what.release,
        "body": what.body,
        "zone": what.zone,
        "screen": what.screen,
        "status": what.status,
        "cache": what.cache,
        "requests": sum(one.requests for one in figures),
        "broken": sum(one.broken for one in figures),
        "bytes": sum(one.sent for one in figures),
        "first": _time(min(one.first for one in figures)),
        "last": _time(max(one.last for one in figures)),
        "seconds": round(sum(one.seconds for one in figures), 6),
        "files": {path: [one.requests, one.sent] for path, one in files},
        **({"subject": what.subject} if what.subject else {}),
    }


def _time(seconds: float) -> str:
    return written(datetime.fromtimestamp(seconds, UTC))
