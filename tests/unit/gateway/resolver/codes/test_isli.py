"""ISLI codes: the check digit, and what it catches."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resolver.codes import Code, WrongCode, check_digit, parse

VECTORS = json.loads(Path(__file__).with_name("isli_vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_code_is_accepted_and_no_single_wrong_digit_is(vector: str) -> None:
    """Each vector parses to itself, and every one-digit slip of it is refused."""
    assert parse(f"ISLI {vector}").text == vector
    for index, digit in enumerate(vector):
        for other in "0123456789":
            if digit == "-" or other == digit:
                continue
            with pytest.raises(WrongCode) as refused:
                parse("isli:" + vector[:index] + other + vector[index + 1 :])
            assert refused.value.reason == "wrong-check-digit"


@pytest.mark.parametrize("vector", VECTORS)
def test_swapped_neighbours_are_caught_but_for_09_and_90(vector: str) -> None:
    """Of all swaps of neighbouring digits only 09 <-> 90 passes the check digit: its known weakness."""
    payload, check = vector[:-2].replace("-", ""), int(vector[-1])
    for left, right, index in zip(payload, payload[1:], range(len(payload)), strict=False):
        if left != right:
            swapped = payload[:index] + right + left + payload[index + 2 :]
            assert (check_digit(swapped) == check) == ({left, right} == {"0", "9"})


@given(st.integers(0, 999999), st.integers(1, 64).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n)))
def test_a_made_code_parses(service: int, link: str) -> None:
    """Any service and link code with its computed check digit is the code that was meant."""
    payload = f"{service:06}{link}"
    text = f"{service:06}-{link}-{check_digit(payload)}"
    assert parse("isli:" + text) == Code("isli", text)


def test_a_service_whose_link_codes_have_a_length_refuses_others() -> None:
    """With the service's record at hand a code with a missing digit is told, and services without a record are not judged."""
    digits = "99999912345678901234"
    short = f"isli:{digits[:6]}-{digits[6:]}-{check_digit(digits)}"
    assert parse(short) == parse(short, {"999998": 24})
    with pytest.raises(WrongCode) as refused:
        parse(short, {"999999": 15})
    assert refused.value.reason == "wrong-length"
    assert "15 digits, here are 14" in str(refused.value)
