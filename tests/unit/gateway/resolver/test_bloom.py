"""A filter passes every code that it was made of, and few others."""

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.resolver.bloom import bloom, hashed, perhaps
from tests.registries import code

CODES = st.lists(st.binary(max_size=40), max_size=40)


@given(CODES, CODES)
def test_no_code_that_is_there_is_missed(there: list[bytes], others: list[bytes]) -> None:
    """Whatever else is asked with it, and however few or many there are."""
    asked = there + others
    passed = {asked[at] for at in perhaps(bloom([hashed(one) for one in there]), asked)}
    assert passed.issuperset(there)
    assert there or not passed


def test_hardly_any_code_passes_that_is_not_there() -> None:
    """Of codes as registries number them: one in after another, or anywhere, at most 3 in 100."""
    for numbers in (range(20_000), random.Random(1).sample(range(10_000_000), 20_000)):
        bits = bloom([hashed(code(n).encode()) for n in numbers])
        assert len(bits) <= 16 * len(numbers)
        others = [code(n).encode() for n in random.Random(2).sample(range(20_000_000, 30_000_000), 5_000)]
        assert len(perhaps(bits, others)) < 150
