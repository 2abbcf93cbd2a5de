"""Registrations that came over a box's spool: taken once, refused with a reason, never lost."""

from __future__ import annotations

import pytest

from appliance.runtime.errors import Unreachable
from appliance.telemetry.records import Record as Spooled
from provisioning.registry.handing import HandedIn
from provisioning.registry.judging import Block
from tests.unit.provisioning.registry.conftest import NOW, Place, code


def spooled(given, **body):
    """Return a registration as a box's spool sends it."""
    told = {
        "zone": "institution",
        "statement": given.envelope.decode(),
        "records": [dump.decode() for dump in given.dumps],
    }
    return Spooled.new("registration", "publish/institution", told | body, NOW)


@pytest.fixture
def handed(place: Place) -> HandedIn:
    """What takes them."""
    return HandedIn(place.registry, place.publication)


async def test_a_registration_is_taken_once_and_published(place: Place, handed: HandedIn) -> None:
    """Sent twice, as after a lost acknowledgement, it is one change."""
    record = spooled(place.signed(place.record(1)))
    await handed.take("archive", [record], NOW)
    await handed.take("archive", [record], NOW)
    assert place.registry.ledger.size == 1
    assert place.publication.head is not None
    assert place.publication.head.size == 1
    told = await handed.some("archive", 10)
    assert [(one["box"], one["reason"], one["told"]) for one in told] == [("archive", "", "1 changed, 0 unchanged")]
    assert await handed.some("headend", 10) == []


async def test_a_block_is_the_boxs_alone(place: Place, handed: HandedIn) -> None:
    """From the box whose block it is it is taken, from another it is refused, and the reason is kept."""
    place.registry.blocks = (Block("isli:999999-0000000000000", "library", "archive"),)
    await handed.take("headend", [spooled(place.signed(place.record(1)))], NOW)
    await handed.take("archive", [spooled(place.signed(place.record(2)))], NOW)
    told = {one["box"]: one["reason"] for one in await handed.some(None, 10)}
    assert told == {"headend": "allotted", "archive": ""}
    assert place.registry.ledger.size == 1


async def test_what_is_wrong_holds_nothing_back(place: Place, handed: HandedIn) -> None:
    """A foreign range, and what is no registration at all, each with its reason; the next one is taken."""
    records = [
        spooled(place.signed(place.record(1, code=code(1, "999997")))),
        spooled(place.signed(place.record(2)), statement=1),
        spooled(place.signed(place.record(2)), statement="{}"),
        spooled(place.signed(place.record(3))),
    ]
    await handed.take("archive", records, NOW)
    reasons = sorted(one["reason"] for one in await handed.some("archive", 10))
    assert reasons == ["", "bad-request", "bad-request", "outside-identifiers"]


async def test_with_the_database_away_nothing_is_done(place: Place, handed: HandedIn) -> None:
    """The caller hears it, so that the box is not told that it was taken."""
    await place.engine.dispose()
    (place.folder.parent / "registry.db").rename(place.folder.parent / "away.db")
    (place.folder.parent / "registry.db").mkdir()
    with pytest.raises(Unreachable):
        await handed.take("archive", [spooled(place.signed(place.record(1)))], NOW)
