"""What there is to tell of releases, bodies and quarantine, as values of the API: read from the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from provisioning.controller.content_tables import held, orders, proofs, quarantined, release_boxes, releases
from provisioning.controller.store import Store
from provisioning.controller.tables import usage, usage_days

PAGE = 50  # releases of one page
MOST_PAGES = 10_000
DAYS = 31  # that a body's view tells one by one
STATES = ("published", "admitted", "stored", "withdrawn", "refused")
MOST_REFUSALS = 8  # boxes that a list tells why they refuse one release
WAITS = "waiting-for-listing"
BY_RANK = ("stored", "part", "admitted", "waiting", "refused")  # of what boxes say, the best is the release's state
NO_USE = {"requests": 0, "bytes": 0}


@dataclass(frozen=True)
class Wanted:
    """Which releases are wanted: a text in title, code or body, a state, a body, a label."""

    query: str = ""
    state: str = ""
    body: str = ""
    label: str = ""


EVERYTHING = Wanted()


async def some(
    store: Store, wanted: Wanted = EVERYTHING, *, page: int = 1, limit: int = PAGE, fleet: int = 0
) -> dict[str, Any]:
    """Return the ``wanted`` releases, newest word first, page by page, and how many there are in each state; ``fleet``: of all boxes."""
    page = max(1, min(MOST_PAGES, page))
    found = _matching(wanted)
    async with store.begin() as connection:
        counts = await _counts(connection, found)
        rows = select(releases).where(found, _in_state(wanted.state)).order_by(releases.c.time.desc(), releases.c.code)
        told = await _told(connection, (await connection.execute(rows.limit(limit).offset((page - 1) * limit))).all())
    pages = -(-counts[wanted.state or "all"] // limit)
    return {"releases": told, "counts": counts, "page": page, "pages": pages, "fleet": fleet, **asdict(wanted)}


async def one(store: Store, code: str) -> dict[str, Any] | None:
    """Return a release with the boxes that said something of it, or None."""
    async with store.begin() as connection:
        row = (await connection.execute(select(releases).where(releases.c.code == code))).first()
        if row is None:
            return None
        (told,) = await _told(connection, [row])
        proved = set[str]()
        if row.withdrawn:
            query = select(proofs.c.box).where(proofs.c.serial == row.withdrawn)
            proved = set((await connection.execute(query)).scalars())
        used = {
            used.box: {"requests": used.requests, "bytes": used.bytes}
            for used in await connection.execute(select(usage).where(usage.c.release == code))
        }
        query = select(release_boxes).where(release_boxes.c.release == code).order_by(release_boxes.c.box)
        stored = {one.box: one for one in await connection.execute(select(held).where(held.c.release == code))}
        where = [
            _at(here, used.get(here.box, NO_USE), stored.get(here.box), row.withdrawn, proved)
            for here in await connection.execute(query)
        ]
        covering = _covering(row.code, row.body, row.labels)
        last = await connection.execute(select(orders).where(covering).order_by(orders.c.serial.desc()).limit(20))
        names = ("serial", "act", "reason", "by", "time")
        history = [{name: getattr(order, name) for name in names} for order in last]
    return {**told, "where": where, "orders": history}


async def body(store: Store, name: str) -> dict[str, Any] | None:
    """Return a body's own view: its releases, where they are used and how much, and whether all of it is withdrawn; or None."""
    async with store.begin() as connection:
        mine = releases.c.body == name
        counts = await _counts(connection, mine)
        if not counts["all"]:
            return None
        rows = await connection.execute(select(releases).where(mine).order_by(releases.c.time.desc()).limit(10 * PAGE))
        told = await _told(connection, rows.all())
        sums = select(usage.c.box, func.sum(usage.c.requests), func.sum(usage.c.bytes))
        joined = sums.join(releases, releases.c.code == usage.c.release).where(mine).group_by(usage.c.box)
        boxes = [
            {"box": box, "requests": int(requests), "bytes": int(size)}
            for box, requests, size in (await connection.execute(joined)).all()
        ]
        parts = {part: await _delivered(connection, name, part) for part in ("day", "screen")}
        this = (orders.c.kind == "body") & (orders.c.target == name)
        last = (await connection.execute(select(orders).where(this).order_by(orders.c.serial.desc()).limit(1))).first()
    boxes.sort(key=lambda box: -box["bytes"])
    total = {part: sum(box[part] for box in boxes) for part in ("requests", "bytes")}
    order = last.serial if last is not None and last.act == "withdraw" else None
    found = {"body": name, "order": order, "counts": counts, "usage": total, "boxes": boxes, "releases": told}
    return {**found, "days": parts["day"], "screens": parts["screen"]}


async def _delivered(connection: AsyncConnection, name: str, part: str) -> list[dict[str, Any]]:
    """Return what was delivered of a body by day or class of screen, the greatest (the newest days) first."""
    column = usage_days.c[part]
    sums = select(column, func.sum(usage_days.c.requests), func.sum(usage_days.c.bytes))
    query = sums.where(usage_days.c.body == name).group_by(column).order_by(column.desc()).limit(DAYS)
    rows = await connection.execute(query)
    return [{part: key, "requests": int(requests), "bytes": int(size)} for key, requests, size in rows]


async def quarantine(store: Store, box: str | None, before: int | None, limit: int) -> dict[str, Any]:
    """Return what boxes put aside, newest first."""
    query = select(quarantined).order_by(quarantined.c.number.desc()).limit(limit + 1)
    if box:
        query = query.where(quarantined.c.box == box)
    if before is not None:
        query = query.where(quarantined.c.number < before)
    async with store.begin() as connection:
        rows = [dict(row._mapping) for row in await connection.execute(query)]
    return {"quarantined": rows[:limit], "next": rows[limit - 1]["number"] if len(rows) > limit else None}


def _matching(wanted: Wanted) -> ColumnElement[bool]:
    found = [~false()]
    if wanted.query:
        columns = (releases.c.title, releases.c.code, releases.c.body)
        found.append(or_(*(column.ilike(f"%{_plain(wanted.query)}%", escape="\\") for column in columns)))
    if wanted.body:
        found.append(releases.c.body == wanted.body)
    if wanted.label:
        found.append(releases.c.labels.like(f"% {_plain(wanted.label)} %", escape="\\"))
    return and_(*found)


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _refused_last() -> ColumnElement[bool]:
    here = (release_boxes.c.release == releases.c.code) & (release_boxes.c.refused > release_boxes.c.admitted)
    return exists(select(release_boxes.c.box).where(here))


def _whole_somewhere() -> ColumnElement[bool]:
    whole = (held.c.release == releases.c.code) & (held.c.of > 0) & (held.c.objects >= held.c.of)
    return exists(select(held.c.box).where(whole))


def _in_state(state: str) -> ColumnElement[bool]:
    return {
        "published": releases.c.published > 0,
        "admitted": and_(releases.c.version > 0, releases.c.withdrawn == 0),
        "stored": and_(_whole_somewhere(), releases.c.withdrawn == 0),
        "withdrawn": releases.c.withdrawn > 0,
        "refused": and_(_refused_last(), releases.c.withdrawn == 0),
    }.get(state, ~false())


async def _counts(connection: AsyncConnection, found: ColumnElement[bool]) -> dict[str, int]:
    query = [select(func.count()).select_from(releases).where(found, _in_state(state)) for state in ("", *STATES)]
    return {name: await connection.scalar(one) or 0 for name, one in zip(("all", *STATES), query, strict=True)}


async def _told(connection: AsyncConnection, rows: Iterable[Any]) -> list[dict[str, Any]]:
    known = list(rows)
    codes = [row.code for row in known]
    used: dict[str, dict[str, int]] = {}
    boxes: dict[str, dict[str, _Box]] = {}
    for start in range(0, len(codes), 500):  # databases bound the number of parameters
        part = codes[start : start + 500]
        sums = select(usage.c.release, func.sum(usage.c.requests), func.sum(usage.c.bytes))
        for code, requests, size in await connection.execute(
            sums.where(usage.c.release.in_(part)).group_by(usage.c.release)
        ):
            used[code] = {"requests": int(requests), "bytes": int(size)}
        stored = {
            (one.release, one.box): one
            for one in await connection.execute(select(held).where(held.c.release.in_(part)))
        }
        for here in await connection.execute(select(release_boxes).where(release_boxes.c.release.in_(part))):
            boxes.setdefault(here.release, {})[here.box] = _Box(here, stored.get((here.release, here.box)))
    return [_line(row, boxes.get(row.code, {}), used.get(row.code, NO_USE)) for row in known]


@dataclass(frozen=True)
class _Box:
    """What one box said of one release, and what it told that its store holds."""

    here: Any
    held: Any = None

    @property
    def amount(self) -> Literal["none", "part", "whole"]:
        if self.held is None or not self.held.objects:
            return "none"
        return "whole" if self.held.objects >= self.held.of else "part"

    @property
    def refused(self) -> bool:
        return bool(self.here.refused > self.here.admitted)

    @property
    def state(self) -> str:
        if self.amount != "none":
            return "stored" if self.amount == "whole" else "part"
        if self.refused:
            return "waiting" if self.here.reason == WAITS else "refused"
        return "admitted"


def _line(row: Any, boxes: Mapping[str, _Box], used: Mapping[str, int]) -> dict[str, Any]:
    """Return what a list tells of a release: where it is, and beside that who refuses it, and why."""
    counted = Counter(box.state for box in boxes.values())
    refused = sorted((name, box) for name, box in boxes.items() if box.refused)
    last = max((box.here for _, box in refused), key=lambda here: str(here.refused), default=None)
    gone = bool(row.withdrawn)
    return {
        "release": row.code,
        "title": row.title,
        "body": row.body,
        "labels": row.labels.split(),
        "zones": row.zones.split(),
        "version": row.version,
        "published": row.published,
        "digest": row.digest,
        "files": row.files,
        "bytes": row.bytes,
        "time": row.time,
        "state": "withdrawn" if gone else next((state for state in BY_RANK if counted[state]), "published"),
        "reason": last.reason if last is not None else "",
        "refusals": [{"box": name, "reason": box.here.reason} for name, box in refused[:MOST_REFUSALS]],
        "order": row.withdrawn or None,
        "boxes": {
            "admitted": sum(counted[state] for state in ("admitted", "part", "stored")),
            "stored": 0 if gone else counted["stored"],
            "part": 0 if gone else counted["part"],
            "refused": len(refused),
        },
        "usage": used,
    }


def _at(here: Any, used: Mapping[str, int], stored: Any, order: int, proved: set[str]) -> dict[str, Any]:
    box = _Box(here, stored)
    state = box.state
    if order:
        state = "withdrawn" if here.box in proved else "ordered"
    names = ("objects", "of", "bytes", "of_bytes")
    return {
        "box": here.box,
        "state": state,
        "version": here.version,
        "time": max(here.admitted, here.refused),
        "reason": here.reason if box.refused else "",
        "told": here.told if box.refused else "",
        "held": {name: getattr(stored, name) for name in names} if stored is not None else None,
        **used,
    }


def _covering(code: str, body: str, labels: str) -> ColumnElement[bool]:
    return or_(
        (orders.c.kind == "release") & (orders.c.target == code),
        (orders.c.kind == "body") & (orders.c.target == body),
        (orders.c.kind == "label") & orders.c.target.in_(labels.split()),
    )
