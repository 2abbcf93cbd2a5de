"""Registrations that boxes hand in: taken once each, in their order, and answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from appliance.runtime.errors import Unreachable
from appliance.telemetry.records import Numbered, Record
from gateway.resolver.statement import Registration
from provisioning.controller.ingest import Delivery
from provisioning.controller.registrations import Registrations
from provisioning.controller.store import Store
from provisioning.registry.judging import Block
from provisioning.registry.tables import handed
from tests.unit.provisioning.registry.conftest import NOW, Place, code

Answers = list[tuple[str, dict[str, Any]]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(f"sqlite+aiosqlite:///{tmp_path}/controller.db")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def place(store: Store, tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "registry", store.engine)
    await made.open()
    yield made
    made.registry.close()


def inbox(store: Store, place: Place) -> tuple[Registrations, Answers]:
    told: Answers = []
    made = Registrations(
        store, place.registry, place.publication, lambda box, payload: told.append((box, json.loads(payload)))
    )
    return made, told


async def hand_in(store: Store, box: str, *registrations: Registration | dict[str, Any]) -> None:
    """Store records as they come from a box's spool."""
    bodies = [json.loads(one.dump()) if isinstance(one, Registration) else one for one in registrations]
    items = [Numbered(n, Record.new("registration", "publish/institution", body)) for n, body in enumerate(bodies, 1)]
    await store.save([Delivery(box, tuple(items))], "2026-01-01T00:00:00.000000Z")


async def test_a_box_registers_from_its_block(place: Place, store: Store) -> None:
    """What a box signed for while it was alone is registered in its order, published, and the box is told."""
    registrations, told = inbox(store, place)
    place.registry.blocks = (Block("isli:999999-00000000000000", "library", "nanning"),)
    one, two = place.signed(place.record(1)), place.signed(place.record(1, title="second"), at=NOW)
    await hand_in(store, "nanning", one, two)
    assert await registrations.take() == 2
    assert [(box, answer["statement"], answer["changed"]) for box, answer in told] == [
        ("nanning", one.digest, 1),
        ("nanning", two.digest, 1),
    ]
    head = place.publication.head
    assert head is not None
    assert head.size == 2
    assert await registrations.take() == 0


async def test_the_same_statement_from_anywhere_counts_once(place: Place, store: Store) -> None:
    """A registration that came twice, or was handed in at the centre too, changes nothing, and is answered the same."""
    registrations, told = inbox(store, place)
    one = place.signed(place.record(1))
    await place.registry.register(one, NOW)
    await hand_in(store, "nanning", one)
    await hand_in(store, "liuzhou", one)
    await registrations.take()
    assert [(box, answer["changed"], answer["reason"]) for box, answer in told] == [
        ("nanning", 1, ""),
        ("liuzhou", 1, ""),
    ]
    assert place.registry.ledger.size == 1


async def test_what_may_not_be_is_told_with_its_faults(place: Place, store: Store) -> None:
    """A refused registration, and one that is none, keep nobody waiting; the box learns why."""
    registrations, told = inbox(store, place)
    place.registry.blocks = (Block("isli:999999-00000000000000", "library", "nanning"),)
    wrong = place.signed(place.record(1), by=place.film)
    await hand_in(store, "liuzhou", wrong, {"x": 1}, place.signed(place.record(2), place.record(1000)))
    await registrations.take()
    assert [answer["reason"] for _, answer in told] == ["not-signed", "corrupt", ""]
    assert (told[2][1]["changed"], [f["reason"] for f in told[2][1]["faults"]]) == (1, ["allotted"])
    async with store.begin() as connection:
        kept = {row.digest: row.reason for row in await connection.execute(select(handed))}
    assert kept[wrong.digest] == "not-signed"


async def test_nothing_is_lost_while_a_database_is_away(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be taken stays where it is and is taken later, once."""
    registrations, told = inbox(store, place)
    await hand_in(store, "nanning", place.signed(place.record(1)))

    async def away(*_: object, **__: object) -> None:
        raise Unreachable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(place.registry, "register", away)
        with pytest.raises(Unreachable):
            await registrations.take()
    assert told == []
    again, told = inbox(store, place)  # also by the next process
    assert await again.take() == 1
    assert (told[0][1]["changed"], place.registry.ledger.size) == (1, 1)
    assert code(1) in {record.code for record in await place.registry.some()}
