"""The file that names the levels, and which of them are merged."""

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.resolver import levels
from gateway.resolver.level import Built
from gateway.resolver.levels import MOST, Info

INFO = Info("centre", 7, datetime(2026, 1, 1, tzinfo=UTC), 9, "ab", (Built("7-ab", 9, 2, 4096),), ("isli:999999-1",))


def test_it_reads_what_it_writes() -> None:
    """parse(dump(x)) == x, and what it holds is told by the leading parts."""
    assert levels.parse(INFO.dump()) == INFO
    assert INFO.holds("isli:999999-100000000000001-4")
    assert not INFO.holds("isli:999999-000000000000001-5")


@given(st.binary(max_size=300) | st.integers(0, len(INFO.dump())).map(lambda n: INFO.dump()[:n]))
def test_any_bytes_give_a_value_or_corrupt(data: bytes) -> None:
    """Whatever lies there, it is understood or called damaged."""
    with contextlib.suppress(Corrupt):
        assert isinstance(levels.parse(data), Info)


@pytest.mark.parametrize("name", ["../x", "", "a/b", 3, "é", "x" * 100])
def test_a_level_has_a_plain_name(name: object) -> None:
    """No name of a level leads elsewhere."""
    told = INFO.dump().replace(b'"7-ab"', json.dumps(name).encode())
    with pytest.raises(Corrupt):
        levels.parse(told)


@pytest.mark.parametrize(
    ("records", "number"),
    [([5], 1), ([5, 100], 1), ([5, 19], 2), ([5, 20], 1), ([5, 19, 95], 3), ([5, 19, 96], 2), ([1, 1000, 1], 1)],
)
def test_small_levels_are_merged_into_those_not_much_larger(records: list[int], number: int) -> None:
    """A level goes into the next while that has less than four times as many records."""
    assert levels.merging(records) == number


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=40))
def test_there_are_never_many_levels(records: list[int]) -> None:
    """After a merge there are at most so many."""
    number = levels.merging(records)
    assert 1 <= number <= len(records)
    assert len(records) - number + 1 <= max(MOST, 1)
