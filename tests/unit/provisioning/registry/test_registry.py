"""The registry: signed, judged, logged, kept; the log leads."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from appliance.identity.keys import PrivateKey
from appliance.journal.verify import verify_folder
from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver.change import parse_change
from gateway.resolver.codes import parse
from gateway.resolver.records import parse_record
from gateway.resolver.statement import sign
from provisioning.registry.judging import RegistrationRefused
from provisioning.registry.registry import EARLY
from provisioning.registry.tables import identifiers, state, statements
from tests.unit.provisioning.registry.conftest import NOW, Place, code

LATER = NOW + timedelta(hours=1)


async def test_what_a_body_signs_is_in_the_log_and_in_the_table(place: Place) -> None:
    """A registration is durable in the log, each change naming its statement, and told from the database."""
    done = await place.take(place.record(1), place.record(2))
    assert (done.changed, done.unchanged, done.first) == (2, 0, 1)
    place.registry.ledger.publish()
    entries = [parse_change(data) for data in place.registry.ledger.reading.entries(0, 2)]
    assert [(one.record, one.index, one.statement, one.previous) for one in entries] == [
        (place.record(1), 0, done.statement, None),
        (place.record(2), 1, done.statement, None),
    ]
    known = await place.registry.get(parse(code(2)))
    assert known is not None
    assert (parse_record(known.dump), known.number) == (place.record(2), 2)
    assert place.registry.ledger.statement(done.statement) == place.signed(place.record(1), place.record(2)).envelope
    assert verify_folder(place.folder).ok
    assert place.registry.standing.records == 2


async def test_the_same_statement_again_changes_nothing(place: Place) -> None:
    """A registration whose answer was lost may be sent again: the log does not grow, and the answer is the same."""
    first = await place.take(place.record(1), place.record(2))
    again = await place.take(place.record(1), place.record(2))
    assert again == replace(first, again=True)
    assert place.registry.ledger.size == 2


async def test_the_same_records_in_another_statement_change_nothing(place: Place) -> None:
    """What is as it was is no change: a bulk file may be handed in again."""
    await place.take(place.record(1))
    done = await place.take(place.record(1), place.record(2), at=LATER)
    assert (done.changed, done.unchanged) == (1, 1)
    assert place.registry.ledger.size == 2
    assert (await place.take(place.record(1), at=LATER)).changed == 0


async def test_a_change_names_the_one_before(place: Place) -> None:
    """A code's history is a chain in the log."""
    await place.take(place.record(1), place.record(2))
    await place.take(place.record(1, title="another"), at=LATER)
    place.registry.ledger.publish()
    assert parse_change(place.registry.ledger.reading.entry(3)).previous == 1


async def test_all_or_nothing_and_all_good_ones(place: Place) -> None:
    """With a fault nothing is registered, with every fault told; asked otherwise, the good ones are, and the rest is told."""
    records = [place.record(1), place.record(2, body="film"), place.record(1), place.record(3, code=code(1, "999998"))]
    with pytest.raises(RegistrationRefused) as refused:
        await place.take(*records)
    told = [(1, "other-body"), (2, "twice"), (3, "outside-identifiers")]
    assert [(w.index, w.reason) for w in refused.value.faults] == told
    assert place.registry.ledger.size == 0
    done = await place.take(*records, mode="good")
    assert (done.changed, [(w.index, w.reason) for w in done.faults]) == (1, told)
    assert len(place.registry.ledger.leaves(done.statement) or b"") == 4 * 32
    again = await place.take(
        *records, mode="good", at=NOW + timedelta(minutes=1)
    )  # signed anew: what is there already is told beside the faults
    assert (again.changed, again.unchanged, [(w.index, w.reason) for w in again.faults]) == (0, 1, told)


async def test_who_may_not_sign_registers_nothing(place: Place) -> None:
    """Another body's key, a body nobody admits, records exchanged after signing, and a time to come: each has its reason."""
    records = [place.record(1)]
    stranger = PrivateKey.generate()
    wrong = {
        "not-signed": place.signed(*records, by=place.film),
        "not-admitted": sign("register", "stranger", records, stranger, NOW),
        "wrong-root": replace(place.signed(*records), dumps=place.signed(*records, place.record(999)).dumps[1:]),
        "wrong-time": place.signed(*records, at=NOW + EARLY + timedelta(seconds=1)),
    }
    for reason, registration in wrong.items():
        with pytest.raises(RegistrationRefused) as refused:
            await place.registry.register(registration, NOW)
        assert (refused.value.reason, refused.value.faults[0].index) == (reason, -1)
    assert place.registry.ledger.size == 0


async def test_the_operator_withdraws_what_is_not_the_operators(place: Place) -> None:
    """A withdrawal may be signed by an operator, a registration may not; withdrawn is for good."""
    await place.take(place.record(1))
    gone = place.record(1, status="withdrawn", reason="法院令 7")
    with pytest.raises(RegistrationRefused, match="no key of 'library'"):
        await place.take(place.record(2), by=place.operator)
    done = await place.take(gone, act="withdraw", by=place.operator, at=LATER)
    assert done.changed == 1
    with pytest.raises(RegistrationRefused, match="was withdrawn and stays so"):
        await place.take(place.record(1), at=LATER)


async def test_a_database_that_is_behind_is_brought_up_from_the_log(place: Place) -> None:
    """kill -9 between log and database loses nothing: the log is the truth, and the next start writes what is missing."""
    await place.take(*[place.record(number) for number in range(1, 151)])
    before = await place.registry.some(most=1000)
    done = await place.take(place.record(7, title="another"), at=LATER)
    place.registry.close()
    async with place.engine.begin() as connection:  # as if it had been killed before the commit, or more was lost
        await connection.execute(delete(identifiers).where(identifiers.c.code > code(100)))
        await connection.execute(delete(statements))
        await connection.execute(update(state).values(applied=100, records=100))
    place.new()
    await place.open()
    assert (place.registry.standing.applied, place.registry.standing.records) == (151, 150)
    assert [r for r in await place.registry.some(most=1000) if r.code != code(7)] == [
        r for r in before if r.code != code(7)
    ]
    known = await place.registry.get(parse(code(7)))
    assert known is not None
    assert json.loads(known.dump)["title"] == "another"
    assert (await place.take(place.record(7, title="another"), at=LATER)) == replace(done, again=True)


async def test_a_failed_commit_is_made_good_by_the_next_request(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database fails after the log was written, the same registration again finds itself registered."""
    from provisioning.registry import rows

    async def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "keep_statement", fail)
        with pytest.raises(RuntimeError):
            await place.take(place.record(1))
    assert (await place.take(place.record(1))).again
    assert place.registry.standing.applied == place.registry.ledger.size == 1


async def test_a_log_that_was_rewound_is_told(place: Place) -> None:
    """A database ahead of its log shows that the log was taken back: the registry does not start."""
    await place.take(place.record(1))
    place.registry.close()
    async with place.engine.begin() as connection:
        await connection.execute(update(state).values(applied=2))
    place.new()
    with pytest.raises(Corrupt, match="rewound"):
        await place.registry.open()


async def test_judging_alone_registers_nothing(place: Place) -> None:
    """A dry run tells what would become of it."""
    done = await place.registry.register(place.signed(place.record(1)), NOW, dry=True)
    assert (done.changed, place.registry.ledger.size) == (1, 0)


async def test_codes_of_a_full_disk_are_not_registered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log takes nothing, the database has nothing either."""

    def full(_: object) -> range:
        raise Refused("journal-full", "the disk is full", 507)

    monkeypatch.setattr(place.registry.ledger, "append", full)
    with pytest.raises(Refused, match="the disk is full"):
        await place.take(place.record(1))
    assert await place.registry.get(parse(code(1))) is None
