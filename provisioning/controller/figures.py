"""What boxes tell of their screens, kept for a day by minutes, and read as people and programs see it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import and_, delete, or_, select

from appliance.runtime.errors import Corrupt
from appliance.telemetry import served_text
from appliance.telemetry.records import plain_json, to_json
from appliance.telemetry.served import Served
from monitoring import delivery
from monitoring.delivery import PERIODS, Sample
from monitoring.fleet import Box
from provisioning.controller.content_tables import releases
from provisioning.controller.store import Store
from provisioning.controller.tables import delivery_minutes as minutes

FINE = 6 * 60 + 10  # minutes that are kept one by one
COARSE = 15  # of those before, one in so many is kept: they hold sums, so that nothing is lost
KEPT = 24 * 60 + 2 * COARSE  # minutes
BEFORE = 20 * 60  # seconds before a period that are read too, for what its first step begins from
MOST_SHOWN = 64  # looks that are remembered


class Figures:
    """The figures of all boxes in the database of ``store``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._minute: dict[str, int] = {}  # of a box's last telling
        self._zones: dict[str, set[str]] = {}  # that were told in it; empty: of the whole box
        self._tellings: dict[str, int] = {}
        self._shown: OrderedDict[tuple[str, int], tuple[tuple[int, int], dict[str, Any]]] = OrderedDict()

    async def keep(self, box: Box, now: float, names: Iterable[str]) -> None:
        """Keep what ``box`` tells now, where ``names`` (the metrics that it just told) have some of it or a minute began.

        Raises:
            Unreachable: the database is away.
        """
        minute, told = int(now // 60), None
        # A box that is idle tells of nothing but its uptime: it was there, and nothing rose.
        if self._minute.get(box.site) != minute or any(map(_is_figure, names)):
            told = delivery.told_by(box)
        if told is None:
            return
        own = to_json({"fetched": told.fetched, "shared": told.shared}).decode()
        texts = {"": own} | {zone.zone: served_text.write(zone, titles=False) for zone in told.zones}
        rows = [
            {"box": box.site, "minute": minute, "zone": zone, "at": now, "told": text} for zone, text in texts.items()
        ]
        put = self._store.insert(minutes)
        changed = {"at": put.excluded.at, "told": put.excluded.told}
        kept = put.on_conflict_do_update(index_elements=["box", "minute", "zone"], set_=changed)
        async with self._store.begin() as connection:
            begun = self._minute.get(box.site) != minute
            # Where nothing is known of the minute before, this is what the new one begins from.
            known = set() if begun else self._zones[box.site]
            if before := [{**row, "minute": minute - 1} for row in rows if row["zone"] not in known]:
                await connection.execute(self._store.insert(minutes).on_conflict_do_nothing(), before)
            if begun:
                coarse = and_(minutes.c.minute < minute - FINE, minutes.c.minute % COARSE != 0)
                old = or_(minutes.c.minute < minute - KEPT, coarse)
                await connection.execute(delete(minutes).where(minutes.c.box == box.site, old))
            await connection.execute(kept, rows)
        self._minute[box.site], self._zones[box.site] = minute, known | set(texts)
        self._tellings[box.site] = self._tellings.get(box.site, 0) + 1

    def tellings(self, site: str) -> int:
        """Return how often a box told of its screens since we started."""
        return self._tellings.get(site, 0)

    async def look(self, box: Box, hours: int, now: float) -> dict[str, Any]:
        """Return what the screens of ``box`` had over the last ``hours`` (of PERIODS) and since its daemons started, as JSON values.

        Raises:
            Unreachable: the database is away.
        """
        at = (self.tellings(box.site), int(now // PERIODS[hours]))
        known = self._shown.get((box.site, hours))
        if known is None or known[0] != at:
            known = self._shown[box.site, hours] = (at, await self._look(box, hours, now))
            while len(self._shown) > MOST_SHOWN:
                self._shown.popitem(last=False)
        return {**_of(box), **known[1]}

    async def _look(self, box: Box, hours: int, now: float) -> dict[str, Any]:
        told = delivery.told_by(box)
        zones = told.zones if told is not None else ()
        since = int((now - hours * 3600 - BEFORE) // 60)
        rows = select(minutes.c.minute, minutes.c.zone, minutes.c.at, minutes.c.told)
        rows = rows.where(minutes.c.box == box.site, minutes.c.minute >= since).order_by(
            minutes.c.minute, minutes.c.zone
        )
        codes = {title.release for zone in zones for title in zone.titles}
        names = select(releases.c.code, releases.c.title).where(releases.c.code.in_(codes))
        async with self._store.begin() as connection:
            found = [(minute, zone, at, text) for minute, zone, at, text in await connection.execute(rows)]
            known = {row.code: row.title for row in await connection.execute(names)} if codes else {}
        over = await asyncio.to_thread(lambda: delivery.over(samples(found), now, hours))
        return {
            "told": told is not None,
            "zones": [zone.told() for zone in zones],
            "unread": dict(told.unread) if told is not None else {},
            "titles": delivery.titles(zones, known),
            **over,
        }


def samples(rows: list[tuple[int, str, float, str]]) -> list[Sample]:
    """Return what rows of (minute, zone, time, text) tell, oldest first; a row that cannot be read is passed over."""
    own: dict[int, tuple[float, Mapping[str, Any]]] = {}
    zones: dict[int, dict[str, Served]] = {}
    for minute, zone, at, text in rows:
        try:
            if zone:
                zones.setdefault(minute, {})[zone] = served_text.read(zone, text)
            else:
                own[minute] = (at, plain_json(text))
        except Corrupt:  # of a version that is gone
            continue
    return [
        Sample(at, int(told["fetched"]), int(told["shared"]), zones.get(minute, {}))
        for minute, (at, told) in sorted(own.items())
    ]


def _is_figure(name: str) -> bool:
    return name.startswith("delivery/") and name.endswith(("/fetched", "/served"))


def _of(box: Box) -> dict[str, Any]:
    return {
        "site": box.site,
        "online": box.online,
        "last_seen": box.seen or None,
        "software": box.text("software"),
    }
