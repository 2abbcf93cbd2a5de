"""Releases as the boxes' audit records tell them: rows written in the transaction that stores the records. Touches the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.telemetry.records import Record, written
from gateway.release.orders import CONTENT as CONTENT_KINDS
from gateway.release.orders import Order
from provisioning.controller.content_tables import held, orders, quarantined, release_boxes, releases
from provisioning.controller.ingest import LARGEST_COUNT, LONGEST_RELEASE, LONGEST_TOLD

Insert = Any  # the dialect's insert with "on conflict"
MOST_STORED = 200  # releases of one record
CONTENT = frozenset({"admit", "take-in", "refuse"})  # decisions about releases; what orders did is told by their proofs


async def keep(connection: AsyncConnection, insert: Insert, box: str, fresh: Iterable[Record]) -> None:
    """Keep what new audit records of ``box`` say of releases."""
    for record in sorted(fresh, key=lambda one: one.time):
        body = record.body
        code = _text(body, "release", LONGEST_RELEASE)
        if record.kind == "event" and body.get("event") == "stored":
            await _stored(connection, insert, box, written(record.time), body.get("releases"))
            continue
        if record.kind != "audit" or body.get("decision") not in CONTENT:
            continue
        time = written(record.time)
        if name := _text(body, "quarantine", 200):
            await _held_back(connection, box, name, code, time, body)
        if not code:
            continue
        if body["decision"] != "refuse":
            await _admitted(connection, insert, box, code, time, body)
        else:
            await _refused(connection, insert, box, code, time, body)


async def _admitted(connection: AsyncConnection, insert: Insert, box: str, code: str, time: str, body: Any) -> None:
    told = {**_claims(body), "version": _number(body, "version")}
    put = insert(releases).values(code=code, time=time, withdrawn=0, published=0, **told)
    newer = releases.c.version <= put.excluded.version
    kept = {name: case((newer, put.excluded[name]), else_=releases.c[name]) for name in told}
    await connection.execute(put.on_conflict_do_update(index_elements=["code"], set_={**kept, "time": time}))
    here = insert(release_boxes).values(
        release=code, box=box, version=told["version"], admitted=time, refused="", reason="", told=""
    )
    changed = {"version": told["version"], "admitted": time, "refused": "", "reason": "", "told": ""}
    await connection.execute(here.on_conflict_do_update(index_elements=["release", "box"], set_=changed))
    await _judge_again(connection, code)


async def _stored(connection: AsyncConnection, insert: Insert, box: str, time: str, told: Any) -> None:
    """Keep how much of releases the box's store holds; an entry of another form is passed over."""
    for entry in told[:MOST_STORED] if isinstance(told, list) else ():
        if not isinstance(entry, list) or len(entry) != 6 or not isinstance(entry[0], str) or "\0" in entry[0]:
            continue
        figures = [_figure(value) for value in entry[1:]]
        if not entry[0] or len(entry[0]) > LONGEST_RELEASE or None in figures:
            continue
        row = dict(zip(("version", "objects", "of", "bytes", "of_bytes"), figures, strict=True)) | {"time": time}
        put = insert(held).values(release=entry[0], box=box, **row)
        await connection.execute(put.on_conflict_do_update(index_elements=["release", "box"], set_=row))


async def _held_back(connection: AsyncConnection, box: str, name: str, code: str, time: str, body: Any) -> None:
    """Keep that an item is in the box's quarantine: the same bytes are one, told as they were refused last."""
    told, path, reason = _text(body, "sentence", LONGEST_TOLD), _text(body, "path", 400), _text(body, "reason", 64)
    same = (quarantined.c.box == box) & (quarantined.c.name == name)
    await connection.execute(delete(quarantined).where(same))
    row = {"box": box, "name": name, "time": time, "release": code, "path": path, "reason": reason, "told": told}
    await connection.execute(quarantined.insert().values(row))


async def _refused(connection: AsyncConnection, insert: Insert, box: str, code: str, time: str, body: Any) -> None:
    reason, told = _text(body, "reason", 64), _text(body, "sentence", LONGEST_TOLD)
    if reason == "withdrawn":  # follows from the order, which is told beside it
        return
    new = insert(releases).values(
        code=code,
        published=0,
        body="",
        title="",
        labels="",
        zones="",
        version=0,
        digest="",
        files=0,
        bytes=0,
        time=time,
        withdrawn=0,
    )
    await connection.execute(new.on_conflict_do_update(index_elements=["code"], set_={"time": time}))
    here = insert(release_boxes).values(
        release=code, box=box, version=0, admitted="", refused=time, reason=reason, told=told
    )
    changed = {"refused": time, "reason": reason, "told": told}
    await connection.execute(here.on_conflict_do_update(index_elements=["release", "box"], set_=changed))
    await _judge_again(connection, code)


async def published(connection: AsyncConnection, insert: Insert, code: str, version: int, time: str, body: Any) -> None:
    """Keep what the origin has of a release; what a box admitted of a version that is as new is not overwritten."""
    told = _claims(body)
    put = insert(releases).values(code=code, time=time, withdrawn=0, published=version, version=0, **told)
    older = releases.c.version < put.excluded.published
    kept = {name: case((older, put.excluded[name]), else_=releases.c[name]) for name in told}
    known = {**kept, "published": put.excluded.published, "time": time}
    await connection.execute(put.on_conflict_do_update(index_elements=["code"], set_=known))
    await _judge_again(connection, code)


def _claims(body: Any) -> dict[str, Any]:
    return {
        "body": _text(body, "body", 64),
        "title": _text(body, "title", 300),
        "labels": _words(body, "labels", 32, 2200),
        "zones": _words(body, "zones", 16, 400),
        "digest": _text(body, "digest", 64),
        "files": _number(body, "files"),
        "bytes": _number(body, "bytes"),
    }


async def _judge_again(connection: AsyncConnection, code: str) -> None:
    """Note by which order a release is withdrawn, if by any: the last one that covers it decides."""
    row = (await connection.execute(select(releases.c.body, releases.c.labels).where(releases.c.code == code))).one()
    covers = or_(
        (orders.c.kind == "release") & (orders.c.target == code),
        (orders.c.kind == "body") & (orders.c.target == row.body),
        (orders.c.kind == "label") & orders.c.target.in_(row.labels.split()),
    )
    query = select(orders.c.serial, orders.c.act).where(covers).order_by(orders.c.serial.desc()).limit(1)
    last = (await connection.execute(query)).first()
    serial = last.serial if last is not None and last.act == "withdraw" else 0
    await connection.execute(update(releases).where(releases.c.code == code).values(withdrawn=serial))


async def withdraw_rows(connection: AsyncConnection, order: Order) -> None:
    """Note in the rows of the releases that ``order`` covers what it says; it is the last order of all."""
    kind, name = order.what.target
    if kind not in CONTENT_KINDS:
        return
    covered = {
        "release": releases.c.code == name,
        "body": releases.c.body == name,
        "label": func.instr(releases.c.labels, f" {name} ") > 0
        if connection.dialect.name == "sqlite"
        else func.strpos(releases.c.labels, f" {name} ") > 0,
    }[kind]
    serial = order.serial if order.act == "withdraw" else 0
    await connection.execute(update(releases).where(covered).values(withdrawn=serial))


def _text(body: Any, name: str, longest: int) -> str:
    value = body.get(name)
    return value[:longest].replace("\0", "") if isinstance(value, str) else ""


def _words(body: Any, name: str, most: int, longest: int) -> str:
    value = body.get(name)
    words = (
        [word for word in value[:most] if isinstance(word, str) and word.isascii() and " " not in word]
        if isinstance(value, list)
        else []
    )
    text = f" {' '.join(words)} "
    return text if words and len(text) <= longest and "\0" not in text else ""


def _number(body: Any, name: str) -> int:
    return _figure(body.get(name)) or 0


def _figure(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT * 1024
    return value if good else None
