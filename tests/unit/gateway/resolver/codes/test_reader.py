"""Identifiers as people write them: whose a text is, its one spelling, and what is told of a wrong one."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.resolver.codes import LONGEST, SCHEMES, Code, WrongCode, broader, parse

ONE = "isli:999999-100000000000001-4"
REASONS = {"not-a-code", "wrong-check-digit", "wrong-length", "too-long", "unknown-scheme", "ambiguous-code"}


def _slips(text: str) -> st.SearchStrategy[str]:
    """Return texts that differ from ``text`` in one place."""
    return st.builds(
        lambda at, new: text[: at % len(text)] + new + text[at % len(text) + 1 :],
        st.integers(0, 99),
        st.text(max_size=2),
    )


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
        ("10.5240/7791-8534-2c23-9030-8610-5", "eidr:10.5240/7791-8534-2C23-9030-8610-5"),
        ("doi:10.5240/779185342C23903086105", "eidr:10.5240/7791-8534-2C23-9030-8610-5"),
        ("urn:isbn:9780471117094", "isbn:9780471117094"),
        ("info:doi/10.1000/182", "doi:10.1000/182"),
        ("https://isni.org/isni/000000012281955X", "isni:000000012281955X"),
        ("https://hdl.handle.net/20.500.12345/a%2Fb", "hdl:20.500.12345/a/b"),
        ("http://10.20.0.11:8080/id/isli%3A999999-100000000000001-4", ONE),
        ("hdl:20.500/X", "hdl:20.500/X"),
        ("HDL:ABC.1/X", "hdl:abc.1/X"),
        ("ISBN-13: 978-0-471-11709-4", "isbn:9780471117094"),
        ("EAN 9780471117094", "isbn:9780471117094"),
        ("09790060115615", "ismn:9790060115615"),
        ("isbn:9790060115615", "ismn:9790060115615"),
        ("0317-8471", "issn:0317-8471"),
        ("USRC17607839", "isrc:USRC17607839"),
        ("us rc1 76 07839", "isrc:USRC17607839"),
        ("0000 0001 2281 955X", "isni:000000012281955X"),
        ("0000-0001-8947-0000-8-0000-0000-D", "isan:0000-0001-8947-0000-8-0000-0000-D"),
        ("A1-2425G-ABC1234002-M", "grid:A12425GABC1234002M"),
        ("6901234567892", "gtin:06901234567892"),
        ("统一社会信用代码：９１１１００００６０００３７３４１Ｌ", "uscc:91110000600037341L"),
        ("91110000600037341L", "uscc:91110000600037341L"),
        ("1.2.156.10197", "oid:1.2.156.10197"),
        ("CN-110000-ZGZG", "isil:CN-110000-ZGZG"),
        ("DCI: 2026-AB/1", "dci:2026-AB/1"),
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
        ("12345678", "ambiguous-code", "issn or gtin"),
        ("0000000122819554", "wrong-check-digit", "should be X"),
        ("hello", "not-a-code", "write the scheme"),
        ("hello: 1", "unknown-scheme", "'hello' is not"),
        ("x" * 1025, "too-long", "1024 bytes"),
        ("电" * 400, "too-long", "1024 bytes"),
        ("hdl:20.500/" + "电" * 85, "too-long", "256 bytes"),
        ("urn:nbn:de:1", "unknown-scheme", "'nbn' is no"),
        ("https://example.com/x", "not-a-code", "no identifier in this address"),
        ("oid:1.40.1", "not-a-code", "39 at most"),
        ("isil:XQ-1", "not-a-code", "neither a country"),
        ("isrc:XQA012600001", "not-a-code", "'XQ' is no prefix"),
        ("dci:a b", "not-a-code", "without a space"),
        ("dci:a/../b", "not-a-code", "'..'"),
        ("eidr:10.5240/7791", "not-a-code", "here are 4 characters"),
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


@settings(max_examples=40)
@given(
    st.text(max_size=300)
    | st.binary(max_size=300).map(lambda b: b.decode(errors="surrogateescape"))
    | st.from_regex(rf"({'|'.join(SCHEMES)}|urn:isbn|https://x)?[ :/]?[0-9 .A-FX-]{{0,30}}(/.{{0,9}})?", fullmatch=True)
    | st.from_regex(
        r"(https://h|gs1:)?/?(01|00|414|8004)/[0-9]{13,18}(/[0-9]{2,4}/.{1,9}){0,3}(\?17=.{0,7})?", fullmatch=True
    )
    | st.sampled_from(sorted(SCHEMES)).flatmap(lambda name: _slips(SCHEMES[name].example))
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
        assert outcome.reason in REASONS
    else:
        code = outcome
        assert parse(code.canonical) == code
        assert "/" not in code.quoted
        assert len(code.canonical.encode()) <= LONGEST
        assert "".join(code.parts.values()).isprintable()
        assert parse(code.display) == code
        assert all(parse(wider.canonical) == wider for wider in broader(code))
        if code.uri:
            assert parse(code.uri) == code


@pytest.mark.parametrize("name", SCHEMES)
def test_each_scheme_reads_what_it_shows(name: str) -> None:
    """The example of each scheme is canonical, its display form and address lead back to it, and its parts have names."""
    code = parse(SCHEMES[name].example)
    assert (code.scheme, code.canonical) == (name, SCHEMES[name].example)
    assert parse(code.display) == code
    assert code.uri is None or parse(code.uri) == code
    assert code.parts


def test_a_code_of_two_schemes_is_told_and_what_it_may_be() -> None:
    """Eight digits may be an ISSN or a GTIN: the check digit does not decide, and both are named."""
    with pytest.raises(WrongCode) as refused:
        parse("03178471")
    assert refused.value.schemes == ("issn", "gtin")
    assert refused.value.told["likely"] == ["issn:0317-8471"]


def test_a_scheme_that_is_nearly_spelt_is_told() -> None:
    """A slip in the scheme's name leads to the code that was meant."""
    with pytest.raises(WrongCode) as refused:
        parse("ilsi:999999-100000000000001-4")
    assert refused.value.told["likely"] == [ONE]


def test_a_canonical_code_is_read_without_detours() -> None:
    """Ten million rows go through it: the short way is taken for the two forms that tables are full of, and agrees with the long one."""
    for text in (ONE, "doi:10.1000/a.b-(c)", "doi:10.1000/.a"):
        assert parse(text) == parse(f" {text}")
    for text in ("isli:999999-100000000000001-5", "doi:10.1000/../x", "doi:10.5240/x", f"doi:10.1000/{'x' * 250}"):
        with pytest.raises(WrongCode):
            parse(text)
