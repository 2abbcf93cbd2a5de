"""Orders to withdraw and to reinstate, as the controller keeps them: taken once, handed to every box, proved by each. Touches the database.

The controller signs none: it hands on what a key of the wanted policies (or of its settings) signed, and believes a proof only when the
box's own journal signed it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.identity.keys import PublicKey
from appliance.journal.verify import Damaged, verify_proof
from appliance.runtime.errors import Corrupt, Refused
from appliance.telemetry.records import plain_json, written
from gateway.release import orders
from gateway.release.manifest import NEWEST
from gateway.release.orders import MOST_TOKENS, TOKENS, Order
from provisioning.controller.content import withdraw_rows
from provisioning.controller.content_tables import faults, proofs
from provisioning.controller.content_tables import orders as table
from provisioning.controller.store import Store
from provisioning.controller.tables import journals

TOGETHER = 64  # orders in one message
LONGEST_PROOF = 64 << 10  # bytes
MOST = 1000  # orders in one answer
Keys = Callable[[], Sequence[Mapping[str, PublicKey]]]


@dataclass(frozen=True)
class Report:
    """What a box told of orders: proofs by serial, and why it takes no more."""

    serial: int
    proofs: Mapping[int, str]
    reason: str = ""
    told: str = ""


def parse_report(data: bytes) -> Report:
    """Return what a message on ``headgate/v1/SITE/proofs`` says.

    Raises:
        Corrupt: it is none.
    """
    told = plain_json(data)
    try:
        serial, given, refused = told["serial"], told["proofs"], told["refused"]
        found = {one["serial"]: one["proof"] for one in given[:TOGETHER]}
        reason, sentence = (refused["reason"], refused["error"]) if refused else ("", "")
    except (KeyError, TypeError) as error:
        raise Corrupt("this tells nothing of orders") from error
    numbers = all(type(one) is int and 0 <= one <= NEWEST for one in (serial, *found))
    texts = all(type(one) is str and len(one) <= LONGEST_PROOF for one in (reason, sentence, *found.values()))
    if not numbers or not texts or any("\0" in one for one in (reason, sentence, *found.values())):
        raise Corrupt("this tells nothing of orders")
    return Report(serial, found, reason[:64], sentence[:300])


class Orders:
    """The orders in ``store``; ``keys`` tells whose are handed on, as several tables of names."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store, self._keys = store, keys
        self.head = 0
        self.proved: dict[str, int] = {}  # box -> up to which serial all are proved
        self.faults: dict[str, str] = {}  # box -> why it takes no more

    async def open(self) -> None:
        """Take up what is known from before.

        Raises:
            Unreachable: the database is away.
        """
        async with self._store.begin() as connection:
            self.head = await _head(connection)
            query = select(proofs.c.box, func.count(), func.max(proofs.c.serial)).group_by(proofs.c.box)
            for box, count, last in (await connection.execute(query)).all():
                self.proved[box] = last if last == count else await _contiguous(connection, box)
            rows = (await connection.execute(select(faults.c.box, faults.c.reason))).all()
            self.faults = {row.box: row.reason for row in rows}

    async def look(self) -> bool:
        """Notice orders that another controller on the same database took; return whether there are any."""
        async with self._store.begin() as connection:
            before, self.head = self.head, await _head(connection)
        return self.head != before

    async def give(self, envelope: bytes, now: datetime) -> Order:
        """Take an order that is the next one.

        Raises:
            Refused: nobody known signed it (``order-forged``), its serial is not the next one (``order-gap``, ``order-old``), or too many
                tokens are withdrawn already (``too-many-tokens``).
            Unreachable: the database is away.
        """
        order = self._opened(envelope)
        async with self._store.begin() as connection:
            self.head = await _head(connection)
            if order.serial != self.head + 1:
                reason = "order-gap" if order.serial > self.head else "order-old"
                raise Refused(reason, f"the next order has the serial {self.head + 1}, not {order.serial}", 409)
            kind, name = order.what.target
            if kind in TOKENS and order.act == "withdraw" and await _tokens(connection, now) >= MOST_TOKENS:
                raise Refused(
                    "too-many-tokens",
                    f"{MOST_TOKENS} withdrawals of tokens stand already: reinstate some, or withdraw the key that signed them, and "
                    "give each an --until",
                    409,
                )
            row = {
                "serial": order.serial, "act": order.act, "kind": kind, "target": name, "reason": order.reason,
                "by": order.by, "time": written(order.time), "received": written(now), "envelope": envelope.decode(),
                "until": written(order.until.astimezone(UTC)) if order.until else None,
            }  # fmt: skip
            try:
                await connection.execute(insert(table).values(row))
            except IntegrityError as error:
                raise Refused("order-old", f"another order {order.serial} came at the same time", 409) from error
            await withdraw_rows(connection, order)
        self.head = order.serial
        return order

    def _opened(self, envelope: bytes) -> Order:
        known = self._keys()
        refused = Refused("order-forged", "neither a wanted policy nor the settings name a key that may give orders")
        for keys in known:
            try:
                return orders.open_signed(envelope, keys)
            except Refused as error:
                refused = error
        raise refused

    async def after(self, serial: int) -> tuple[list[str], int]:
        """Return the next envelopes after ``serial`` for one message, and the serial of the last of them."""
        query = select(table.c.serial, table.c.envelope).where(table.c.serial > serial)
        async with self._store.begin() as connection:
            rows = (await connection.execute(query.order_by(table.c.serial).limit(TOGETHER))).all()
        return [row.envelope for row in rows], rows[-1].serial if rows else serial

    async def report(self, box: str, report: Report, now: datetime) -> list[int]:
        """Keep what a box told; return the serials of proofs that are new.

        Raises:
            Unreachable: the database is away.
        """
        time, new = written(now), []
        async with self._store.begin() as connection:
            key = await _journal_key(connection, box)
            for serial, proof in sorted(report.proofs.items()):
                row = (await connection.execute(select(table).where(table.c.serial == serial))).first()
                if row is None:
                    continue
                verified, entry = judge(row.envelope, proof, key)
                seconds = max(0.0, (now - datetime.fromisoformat(row.received)).total_seconds())
                values = {"received": time, "seconds": seconds, "verified": verified, "entry": entry, "proof": proof}
                put = self._store.insert(proofs).values(serial=serial, box=box, **values)
                stored = put.on_conflict_do_nothing().returning(proofs.c.serial)
                if (await connection.execute(stored)).first() is not None:
                    new.append(serial)
            if report.reason:
                told = {"time": time, "serial": report.serial, "reason": report.reason, "told": report.told}
                fault = self._store.insert(faults).values(box=box, **told)
                await connection.execute(fault.on_conflict_do_update(index_elements=["box"], set_=told))
                self.faults[box] = report.reason
            elif self.faults.pop(box, None) is not None:
                await connection.execute(delete(faults).where(faults.c.box == box))
            if new:
                self.proved[box] = await _contiguous(connection, box, self.proved.get(box, 0))
        return new

    async def some(self, before: int | None, limit: int) -> list[dict[str, Any]]:
        """Return orders, newest first, each with how many boxes proved it."""
        query = select(table).order_by(table.c.serial.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.serial < before)
        async with self._store.begin() as connection:
            rows = (await connection.execute(query)).all()
            serials = [row.serial for row in rows]
            counted = select(proofs.c.serial, func.count(), func.max(proofs.c.seconds)).group_by(proofs.c.serial)
            found = await connection.execute(counted.where(proofs.c.serial.in_(serials)))
            known = {serial: (count, seconds) for serial, count, seconds in found}
        return [{**_told(row), **_counted(known.get(row.serial, (0, None)))} for row in rows]

    async def one(self, serial: int) -> dict[str, Any] | None:
        """Return an order with its proofs, or None; proofs of a journal that was not known then are judged again."""
        async with self._store.begin() as connection:
            row = (await connection.execute(select(table).where(table.c.serial == serial))).first()
            if row is None:
                return None
            found = []
            query = select(proofs).where(proofs.c.serial == serial).order_by(proofs.c.seconds)
            for proof in (await connection.execute(query)).all():
                verified = proof.verified
                if verified == "unknown-key":
                    verified, _ = judge(row.envelope, proof.proof, await _journal_key(connection, proof.box))
                    if verified != proof.verified:
                        here = (proofs.c.serial == serial) & (proofs.c.box == proof.box)
                        await connection.execute(update(proofs).where(here).values(verified=verified))
                entry = json.loads(proof.entry)
                keep = ("releases", "count", "objects", "bytes", "kept", "stopped", "confirmed", "unconfirmed")
                told = {name: entry.get(name) for name in keep}
                at = {"received": proof.received, "seconds": proof.seconds, "verified": verified}
                found.append({"box": proof.box, **at, **told})
        return {**_told(row), "proofs": found, "envelope": row.envelope}

    async def proof(self, serial: int, box: str) -> str | None:
        """Return the proof itself, or None."""
        query = select(proofs.c.proof).where(proofs.c.serial == serial, proofs.c.box == box)
        async with self._store.begin() as connection:
            row = (await connection.execute(query)).first()
            return None if row is None else str(row.proof)


def judge(envelope: str, proof: str, key: str) -> tuple[str, str]:
    """Return whether ``proof`` is the journal's of ``key`` that the order in ``envelope`` was carried out, and the entry as JSON."""
    order = orders.parse(_payload(envelope))
    try:
        entry = plain_json(proof_entry(proof))
        told = isinstance(entry, dict) and (entry.get("serial"), entry.get("order")) == (order.serial, order.digest)
        if not told or entry.get("decision") != order.act:
            return "wrong", "{}"
        if not key:
            return "unknown-key", json.dumps(entry)
        verify_proof(proof.encode(), key)
    except (Corrupt, Damaged, ValueError):
        return "wrong", "{}"
    return "yes", json.dumps(entry)


def proof_entry(proof: str) -> bytes:
    """Return the entry that a proof says it holds, unverified.

    Raises:
        ValueError: it is no proof.
    """
    lines = proof.split("\n", 2)
    if len(lines) < 3 or not lines[1].startswith("extra "):
        raise ValueError("this is no proof")
    return base64.b64decode(lines[1].removeprefix("extra "), validate=True)


def _payload(envelope: str) -> bytes:
    return base64.b64decode(json.loads(envelope)["payload"])


async def _journal_key(connection: AsyncConnection, box: str) -> str:
    query = select(journals.c.key).where(journals.c.box == box, journals.c.name == "exchange")
    return str(await connection.scalar(query) or "")


async def _head(connection: AsyncConnection) -> int:
    return int(await connection.scalar(select(func.max(table.c.serial))) or 0)


async def _tokens(connection: AsyncConnection, now: datetime) -> int:
    """Return how many withdrawals of tokens stand."""
    later = table.alias()
    same = (later.c.kind == table.c.kind) & (later.c.target == table.c.target) & (later.c.serial > table.c.serial)
    stands = (table.c.act == "withdraw") & or_(table.c.until.is_(None), table.c.until > written(now))
    query = select(func.count()).select_from(table).where(table.c.kind.in_(TOKENS), stands)
    return int(await connection.scalar(query.where(~exists().where(same))) or 0)


async def _contiguous(connection: AsyncConnection, box: str, known: int = 0) -> int:
    query = select(proofs.c.serial).where(proofs.c.box == box, proofs.c.serial > known).order_by(proofs.c.serial)
    for serial in (await connection.execute(query)).scalars():
        if serial != known + 1:
            break
        known = serial
    return known


def _told(row: Any) -> dict[str, Any]:
    names = ("serial", "act", "reason", "by", "time", "received", "until")
    return {**{name: getattr(row, name) for name in names}, "what": {row.kind: row.target}}


def _counted(known: tuple[int, float | None]) -> dict[str, Any]:
    return {"proved": known[0], "slowest": known[1]}
