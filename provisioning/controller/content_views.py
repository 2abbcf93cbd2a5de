"""What there is to tell of releases, bodies and quarantine, as values of the API: read from the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from provisioning.controller.content_tables import orders, proofs, quarantined, release_boxes, releases
from provisioning.controller.store import Store
from provisioning.controller.tables import usage

PAGE = 50  # releases of one page
MOST_PAGES = 10_000
STATES = ("published", "admitted", "withdrawn", "refused")
NO_USE = {"requests": 0, "bytes": 0}


async def some(store: Store, *, query: str = "", state: str = "", page: int = 1, limit: int = PAGE) -> dict[str, Any]:
    """Return releases whose title, code or body holds ``query`` and that are in ``state``, newest word first, page by page."""
    page = max(1, min(MOST_PAGES, page))
    found = _matching(query)
    async with store.begin() as connection:
        counts = await _counts(connection, found)
        rows = select(releases).where(found, _in_state(state)).order_by(releases.c.time.desc(), releases.c.code)
        told = await _told(connection, (await connection.execute(rows.limit(limit).offset((page - 1) * limit))).all())
    pages = -(-counts[state or "all"] // limit)
    return {"releases": told, "counts": counts, "page": page, "pages": pages, "query": query, "state": state}


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
        where = [
            _at(here, used.get(here.box, NO_USE), row.withdrawn, proved) for here in await connection.execute(query)
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
        this = (orders.c.kind == "body") & (orders.c.target == name)
        last = (await connection.execute(select(orders).where(this).order_by(orders.c.serial.desc()).limit(1))).first()
    boxes.sort(key=lambda box: -box["bytes"])
    total = {part: sum(box[part] for box in boxes) for part in ("requests", "bytes")}
    order = last.serial if last is not None and last.act == "withdraw" else None
    return {"body": name, "order": order, "counts": counts, "usage": total, "boxes": boxes, "releases": told}


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


def _matching(query: str) -> ColumnElement[bool]:
    if not query:
        return ~false()
    text = query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    columns = (releases.c.title, releases.c.code, releases.c.body)
    return or_(*(column.ilike(f"%{text}%", escape="\\") for column in columns))


def _refused_last() -> ColumnElement[bool]:
    here = (release_boxes.c.release == releases.c.code) & (release_boxes.c.refused > release_boxes.c.admitted)
    return exists(select(release_boxes.c.box).where(here))


def _in_state(state: str) -> ColumnElement[bool]:
    return {
        "published": releases.c.published > 0,
        "admitted": and_(releases.c.version > 0, releases.c.withdrawn == 0),
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
    stored: dict[str, int] = {}
    admitted: dict[str, int] = {}
    refusals: dict[str, tuple[str, str]] = {}
    for start in range(0, len(codes), 500):  # databases bound the number of parameters
        part = codes[start : start + 500]
        sums = select(usage.c.release, func.sum(usage.c.requests), func.sum(usage.c.bytes), func.count())
        for code, requests, size, boxes in await connection.execute(
            sums.where(usage.c.release.in_(part)).group_by(usage.c.release)
        ):
            used[code], stored[code] = {"requests": int(requests), "bytes": int(size)}, boxes
        for here in await connection.execute(select(release_boxes).where(release_boxes.c.release.in_(part))):
            admitted[here.release] = admitted.get(here.release, 0) + bool(here.admitted)
            if here.refused > max(here.admitted, refusals.get(here.release, ("", ""))[0]):
                refusals[here.release] = (here.refused, here.reason)
    return [
        {
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
            "state": _state(row, refusals.get(row.code)),
            "reason": refusals.get(row.code, ("", ""))[1],
            "order": row.withdrawn or None,
            "boxes": {"admitted": admitted.get(row.code, 0), "stored": 0 if row.withdrawn else stored.get(row.code, 0)},
            "usage": used.get(row.code, NO_USE),
        }
        for row in known
    ]


def _state(row: Any, refused: tuple[str, str] | None) -> str:
    if row.withdrawn:
        return "withdrawn"
    if refused is not None:
        return "refused"
    return "admitted" if row.version else "published"


def _at(here: Any, used: Mapping[str, int], order: int, proved: set[str]) -> dict[str, Any]:
    refused = here.refused > here.admitted
    state = "refused" if refused else ("stored" if used["requests"] else "admitted")
    if order:
        state = "withdrawn" if here.box in proved else "ordered"
    return {
        "box": here.box, "state": state, "version": here.version, "time": max(here.admitted, here.refused),
        "reason": here.reason if refused else "", "told": here.told if refused else "", **used,
    }  # fmt: skip


def _covering(code: str, body: str, labels: str) -> ColumnElement[bool]:
    return or_(
        (orders.c.kind == "release") & (orders.c.target == code),
        (orders.c.kind == "body") & (orders.c.target == body),
        (orders.c.kind == "label") & orders.c.target.in_(labels.split()),
    )
