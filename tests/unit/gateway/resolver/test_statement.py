"""What a body signs, from the wire and back."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver import statement
from gateway.resolver.records import Record
from gateway.resolver.statement import Statement, canonical, claimed, leaves_of, open_statement, root_of, sign

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = [
    Record(code="isli:999999-100000000000001-4", title="刘三姐", body="library"),
    Record(code="isli:999999-000000000000001-5", title="漓江", body="library"),
]


def test_a_statement_covers_its_records_in_their_order() -> None:
    """One signature over the root of all records; another order, another record or another number has another root."""
    made = sign("register", "library", RECORDS, KEY, NOW)
    told = open_statement(made.envelope, [OTHER.public, KEY.public])
    assert told == Statement(act="register", body="library", count=2, root=root_of(leaves_of(made.dumps)), time=NOW)
    assert claimed(made.envelope) == told
    for other in (made.dumps[::-1], made.dumps[:1], (*made.dumps, made.dumps[0])):
        assert root_of(leaves_of(other)) != told.root
    assert json.loads(made.dump())["records"] == [json.loads(one) for one in made.dumps]


def test_a_statement_of_another_key_is_refused() -> None:
    """What none of the keys signed is 'not-signed'."""
    with pytest.raises(Refused) as refused:
        open_statement(sign("register", "library", RECORDS, KEY, NOW).envelope, [OTHER.public])
    assert refused.value.reason == "not-signed"


def test_one_statement_has_one_digest_however_it_is_written() -> None:
    """Blanks, order and unknown keys of the envelope do not make another statement of it."""
    made = sign("register", "library", RECORDS, KEY, NOW)
    loose = json.dumps(dict(reversed(json.loads(made.envelope).items())) | {"more": 1}, indent=2).encode()
    assert canonical(loose) == made.envelope


@pytest.mark.parametrize("count", [0, statement.MOST + 1])
def test_a_statement_has_some_records_and_not_too_many(count: int) -> None:
    """Nothing, and more than fit one statement, cannot be signed."""
    with pytest.raises(ValueError, match="covers 1 to"):
        sign("register", "library", [b"x"] * count, KEY, NOW)


@settings(max_examples=100)
@given(
    st.binary(max_size=200)
    | st.just(b'{"payload":"e30=","payloadType":"%s","signatures":[]}' % statement.KIND.encode())
)
def test_any_bytes_are_a_statement_or_corrupt(data: bytes) -> None:
    """Any bytes give a Statement or Corrupt, and nothing else."""
    for parser in (claimed, canonical):
        try:
            found: object = parser(data)
        except Corrupt:
            continue
        assert isinstance(found, Statement | bytes)
