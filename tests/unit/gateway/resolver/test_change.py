"""Entries of the registry's log."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.resolver.change import Change, entry, parse_change, record_in
from gateway.resolver.records import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORD = Record(code="isli:999999-100000000000001-4", title='"},"statement":"', body="library")


@pytest.mark.parametrize("previous", [None, 7])
def test_an_entry_reads_back_and_holds_the_record_byte_for_byte(previous: int | None) -> None:
    """An entry is what ``dump`` writes, and the record in it is as it was signed, whatever its title tries."""
    change = Change(record=RECORD, statement="ab" * 32, index=3, time=NOW, previous=previous)
    data = entry(RECORD.dump(), "ab" * 32, 3, NOW.isoformat(), previous)
    assert change.dump() == data
    assert parse_change(data) == change
    assert record_in(data) == RECORD.dump()


def test_an_entry_in_another_form_is_corrupt() -> None:
    """The log holds one form of a change alone."""
    data = Change(record=RECORD, statement="ab" * 32, index=0, time=NOW).dump()
    with pytest.raises(Corrupt, match="canonical"):
        parse_change(data.replace(b'"index":0,', b'"index": 0,'))


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_change_or_corrupt(data: bytes) -> None:
    """Any bytes give a Change or Corrupt, and nothing else."""
    for parser in (parse_change, record_in):
        with pytest.raises(Corrupt):
            parser(data)
