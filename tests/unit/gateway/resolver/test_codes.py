"""Identifiers as people write them."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.resolver.codes import Code, WrongCode, check_digit, parse

VECTORS = json.loads(Path(__file__).with_name("isli_vectors.json").read_text())
ONE = "isli:999999-100000000000001-4"


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


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("ISLI 999999-100000000000001-4", ONE),
        ("isli:999999-100000000000001-4", ONE),
        ("isli：９９９９９９－１０００００００００００００１－４", ONE),
        ("ISLI999999–100000000000001–4", ONE),
        ("9999991000000000000014", ONE),
        ("isli: 999999 10000 00000 00001 4", ONE),
        ("  999999-100000000000001-4 ", ONE),
        ("isli:123456-1-5", "isli:123456-1-5"),
        ("ISLI　９９９９９９ 100000000000001 4", ONE),
        ("doi:10.1000/182", "doi:10.1000/182"),
        ("10.5240/7791-8534-2C23-9030-8610-5", "doi:10.5240/7791-8534-2c23-9030-8610-5"),
        ("https://doi.org/10.1000/ABC", "doi:10.1000/abc"),
        ("hdl:10.1000/182", "doi:10.1000/182"),
        ("hdl:20.500.12345/Film", "hdl:20.500.12345/Film"),
        ("handle:20.500.12345/a/b", "hdl:20.500.12345/a/b"),
        ("20.500.12345/电影", "hdl:20.500.12345/电影"),
        ("978-0-471-11709-4", "isbn:9780471117094"),
        ("ISBN 0-306-40615-2", "isbn:9780306406157"),
        ("isbn:080442957X", "isbn:9780804429573"),
    ],
)
def test_one_thing_has_one_spelling(written: str, canonical: str) -> None:
    """Whatever way a code is written, the canonical form is the same, and parses to itself."""
    assert parse(written).canonical == canonical
    assert parse(canonical).canonical == canonical


@pytest.mark.parametrize(
    ("written", "reason", "words"),
    [
        ("isli:999999-100000000000001-5", "wrong-check-digit", "should be 4, not 5"),
        ("isbn:9780471117093", "wrong-check-digit", "should be 4, not 3"),
        ("isbn:0306406153", "wrong-check-digit", "should be 2, not 3"),
        ("isli:99999-9100000000000001-4", "not-a-code", "service code of an ISLI code has 6 digits, here are 5"),
        ("isli:999999-10000000000000-14", "not-a-code", "one check digit, here are 2"),
        ("isli:999999-1-0000-4", "not-a-code", "three groups"),
        ("isli:999999--4", "not-a-code", "three groups"),
        ("isli:99999", "not-a-code", "at least 8 digits"),
        ("isli:999999-1000o0000000001-4", "not-a-code", "'o' does not belong"),
        ("isli:" + "9" * 80, "too-long", "at most 64 digits"),
        ("isli:", "not-a-code", "there is nothing"),
        ("", "not-a-code", "there is nothing"),
        ("12345678", "not-a-code", "write the scheme"),
        ("x" * 257, "too-long", "256 bytes"),
        ("电" * 100, "too-long", "256 bytes"),
        ("urn:isbn:9780471117094", "unknown-scheme", "'urn' is not a scheme"),
        ("doi:11.1000/182", "not-a-code", "a DOI is 10."),
        ("hdl:20.500/../etc/passwd", "not-a-code", "'..'"),
        ("hdl:nothing", "not-a-code", "a Handle is"),
        ("isli:999999-1\x00-4", "not-a-code", "control characters"),
        ("isli:\udcff", "not-a-code", "no text"),
        ("isli:٩٩٩٩٩٩-١-٤", "not-a-code", "does not belong"),
    ],
)
def test_a_wrong_code_is_refused_with_what_is_wrong(written: str, reason: str, words: str) -> None:
    """The refusal's reason is a fixed word and its sentence names the fault."""
    with pytest.raises(WrongCode) as refused:
        parse(written)
    assert refused.value.reason == reason
    assert words in str(refused.value)
    assert refused.value.status == 400


@settings(max_examples=300)
@given(
    st.text(max_size=300)
    | st.binary(max_size=300).map(lambda b: b.decode(errors="surrogateescape"))
    | st.from_regex(r"(isli|isbn|doi|hdl)?[ :]?[0-9 .X-]{0,30}(/.{0,9})?", fullmatch=True)
)
@example("isbn:９７８")
@example("doi：10.1000/x")
def test_any_text_is_a_code_or_a_refusal(text: str) -> None:
    """Any text gives a code whose canonical form parses to itself, or a WrongCode."""
    outcome: Code | WrongCode
    try:
        outcome = parse(text)
    except WrongCode as error:
        outcome = error
    if isinstance(outcome, WrongCode):
        assert outcome.reason in {"not-a-code", "wrong-check-digit", "too-long", "unknown-scheme"}
    else:
        code = outcome
        assert parse(code.canonical) == code
        assert "/" not in code.quoted
        assert len(code.canonical.encode()) < 511
        assert "".join(code.parts.values()).isprintable()


@given(st.integers(0, 999999), st.integers(1, 64).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n)))
def test_a_made_code_parses(service: int, link: str) -> None:
    """Any service and link code with its computed check digit is the code that was meant."""
    payload = f"{service:06}{link}"
    text = f"{service:06}-{link}-{check_digit(payload)}"
    assert parse("isli:" + text) == Code("isli", text)
