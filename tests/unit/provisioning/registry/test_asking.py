"""What a code meant on a day: proved by the registry, verified offline by whoever holds its verifier key alone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver.codes import parse
from gateway.resolver.proof import Proof, Proven, open_lookup, parse_key, parse_proof, verify_proof
from provisioning.registry.asking import Asking
from tests.unit.provisioning.registry.conftest import NOW, Place, code

DAY = timedelta(days=1)
ONE = parse(code(1))


@pytest.fixture
async def asking(place: Place) -> Asking:
    """One code that changed after ten days and was withdrawn after twenty, among others."""
    await place.take(*[place.record(number) for number in (2, 1, 3)])
    await place.take(place.record(1, title="second"), at=NOW + 10 * DAY)
    gone = place.record(1, title="second", status="withdrawn", reason="版权到期")
    await place.take(place.record(4), gone, place.record(6, body="film"), mode="good", at=NOW + 11 * DAY)
    await place.take(gone, act="withdraw", at=NOW + 20 * DAY)
    return Asking(place.registry, place.publication)


def verified(place: Place, proof: Proof) -> Proven:
    return verify_proof(parse_proof(proof.dump()), parse_key(place.registry.ledger.verifier), [place.library.public])


MEANT: list[tuple[int, str | None, int | None]] = [  # at the day NOW + n, until the day NOW + m
    (-1, None, 0),
    (0, "registered 刘三姐", 10),
    (5, "registered 刘三姐", 10),
    (12, "registered second", 20),
    (30, "withdrawn second", None),
]


async def test_what_a_code_meant_on_a_day_is_proved(place: Place, asking: Asking) -> None:
    """Before, between and after its changes: the proof tells what held, since when, and until when or up to when at least."""
    now = NOW + 40 * DAY
    for day, meant, until in MEANT:
        proven = verified(place, await asking.prove(ONE, NOW + day * DAY, now))
        record = proven.record
        assert (f"{record.status} {record.title}" if record else None) == meant
        assert (proven.until, proven.seen) == ((NOW + until * DAY, None) if until is not None else (None, now))
        assert proven.size == place.registry.ledger.size


async def test_a_code_that_never_was_is_proved_to_be_none(place: Place, asking: Asking) -> None:
    """The registry's signed word says that nothing of this code is in its log."""
    proven = verified(place, await asking.prove(parse(code(77)), NOW + DAY, NOW + DAY))
    assert (proven.record, proven.seen) == (None, NOW + DAY)


async def test_the_record_is_shown_to_be_in_its_bodys_statement(place: Place, asking: Asking) -> None:
    """Also where not all of the statement's records went into the log; another body's key did not sign it."""
    proof = await asking.prove(parse(code(4)), NOW + 12 * DAY, NOW + 12 * DAY)
    assert verified(place, proof).signed == NOW + 11 * DAY
    with pytest.raises(Refused, match="none of the keys"):
        verify_proof(proof, parse_key(place.registry.ledger.verifier), [place.film.public])


ALTERED: list[tuple[dict[str, object], str]] = [
    ({"on": (NOW + 10 * DAY).isoformat()}, "held already"),
    ({"on": (NOW - DAY).isoformat()}, "later than"),
    ({"code": code(2)}, "not of"),
    ({"change": None}, "not the next one"),
    ({"next": None}, "nothing shows"),
    ({"statement": None}, "envelope"),
    ({"statement_path": []}, "statement"),
]


async def test_a_proof_that_was_altered_proves_nothing(place: Place, asking: Asking) -> None:
    """Another day, another code, a change left out: each is noticed."""
    proof = await asking.prove(ONE, NOW + 5 * DAY, NOW + 40 * DAY)
    key = parse_key(place.registry.ledger.verifier)
    for changes, words in ALTERED:
        told = json.loads(proof.dump()) | changes
        with pytest.raises(Corrupt, match=words):
            verify_proof(parse_proof(json.dumps(told).encode()), key)


async def test_a_change_that_is_not_in_the_log_proves_nothing(place: Place, asking: Asking) -> None:
    """Bytes of a change, its place, and the checkpoint's signature all count."""
    proof = await asking.prove(ONE, NOW + 5 * DAY, NOW + 40 * DAY)
    assert proof.change is not None
    key = parse_key(place.registry.ledger.verifier)
    forged = proof.change.model_copy(update={"entry": proof.change.entry.replace("刘三姐", "刘四姐")})
    with pytest.raises(Corrupt, match="is not number"):
        verify_proof(proof.model_copy(update={"change": forged}), key)
    stranger = note.verifier(note.log_key(key.name, PrivateKey.generate().public))
    with pytest.raises(Corrupt, match="not signed"):
        verify_proof(proof, parse_key(stranger))


async def test_an_older_word_of_the_registry_says_nothing_of_later_days(place: Place, asking: Asking) -> None:
    """Who asks what a code means now cannot be given a word of yesterday."""
    proof = await asking.prove(ONE, NOW + 30 * DAY, NOW + 30 * DAY)
    late = proof.model_copy(update={"on": NOW + 31 * DAY})
    with pytest.raises(Corrupt, match="says nothing of later days"):
        verify_proof(late, parse_key(place.registry.ledger.verifier))


async def test_the_history_of_a_code_is_told_newest_first(asking: Asking) -> None:
    """Every change of it, with its number."""
    told = [(number, change.record.status) for number, change in await asking.history(ONE, NOW + 40 * DAY)]
    assert told == [(6, "withdrawn"), (4, "registered"), (2, "registered")]
    assert await asking.history(parse(code(77)), NOW) == []


async def test_a_box_verifies_a_look_up(place: Place, asking: Asking) -> None:
    """Found or not, it is the registry's word; of another code, of another key, or altered it is none."""
    keys, now = [place.key.public], NOW + 40 * DAY
    data = (await asking.lookup(ONE, now)).model_dump_json().encode()
    looked = open_lookup(data, ONE.canonical, keys)
    assert looked.change is not None
    assert (looked.number, looked.change.record.status, looked.made) == (6, "withdrawn", now)
    none = (await asking.lookup(parse(code(77)), now)).model_dump_json().encode()
    assert open_lookup(none, code(77), keys).change is None
    with pytest.raises(Corrupt, match="not of"):
        open_lookup(none, ONE.canonical, keys)
    with pytest.raises(Refused, match="none of the keys"):
        open_lookup(data, ONE.canonical, [PrivateKey.generate().public])
    for changes in ({"number": 4}, {"change": None, "number": None}, {"proof": []}):
        with pytest.raises(Corrupt):
            open_lookup(json.dumps(json.loads(data) | changes).encode(), ONE.canonical, keys)


async def test_a_word_covers_what_is_published_while_more_is_registered(
    place: Place, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came after the checkpoint is told as of before: a signed word is never wrong."""
    await place.publication.publish(NOW)
    held = place.registry.ledger.reading.checkpoint()
    await place.take(place.record(2, title="newest"), at=NOW + 50 * DAY)
    monkeypatch.setattr(place.registry.ledger.reading, "checkpoint", lambda: held)
    data = (await asking.lookup(parse(code(2)), NOW)).model_dump_json().encode()
    assert open_lookup(data, code(2), [place.key.public]).number == 1


@pytest.mark.parametrize("text", ["", "x", "headgate.registry/centre", "ed25519:AAAA"])
def test_a_key_that_is_none_is_told(text: str) -> None:
    """A verifier key has its name, its hash and its bytes; a journal's is none of a registry."""
    with pytest.raises(Corrupt):
        parse_key(text)
    with pytest.raises(Corrupt, match="another log"):
        parse_key(note.verifier(note.log_key("headgate.journal/x", PrivateKey.generate().public)))
