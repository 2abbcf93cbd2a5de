"""GS1 Digital Links, in and out."""

import pytest

from gateway.resolver.codes import WrongCode, broader, parse

ITEM = "gtin:06901234567892"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("https://id.gs1.org/01/06901234567892", ITEM),
        ("https://shop.example.com/a/b/01/6901234567892/", ITEM),
        ("https://id.gs1.org/01/06901234567892?linkType=all", ITEM),
        ("https://id.gs1.org/01/09780471117094", "isbn:9780471117094"),
        (
            "https://h/01/06901234567892/21/12345/10/A%2F1?17=261231&x=1",
            "gs1:01/06901234567892/10/A%2F1/21/12345?17=261231",
        ),
        ("(01)06901234567892(17)261231(10)ABC(21)9", "gs1:01/06901234567892/10/ABC/21/9?17=261231"),
        ("gs1:414/9501101020016/254/32a", "gs1:414/9501101020016/254/32a"),
        ("https://h/00/106141412345678908", "gs1:00/106141412345678908"),
    ],
)
def test_a_digital_link_is_its_keys_and_qualifiers(written: str, canonical: str) -> None:
    """Host, order and foreign parameters do not matter; the address of the code leads back to it."""
    code = parse(written)
    assert code.canonical == canonical
    assert parse(str(code.uri)) == code


@pytest.mark.parametrize(
    ("written", "reason", "words"),
    [
        ("https://h/01/06901234567893", "wrong-check-digit", "should be 2"),
        ("gs1:00/106141412345678909", "wrong-check-digit", "should be 8"),
        ("gs1:01/06901234567892/99/x", "not-a-code", "(99) does not qualify (01)"),
        ("gs1:01/06901234567892/10/" + "x" * 21, "not-a-code", "no value of (10)"),
        ("gs1:01/06901234567892?17=soon", "not-a-code", "no value of (17)"),
        ("gs1:01/06901234567892?9999=1", "not-a-code", "no application identifier"),
        ("gs1:01/06901234567892/10/a/10/b", "not-a-code", "given twice"),
        ("gs1:01/06901234567892/10", "not-a-code", "pairs"),
        ("gs1:10/x", "not-a-code", "no key"),
        ("(10)x", "not-a-code", "a key such as"),
    ],
)
def test_a_wrong_link_is_refused_with_what_is_wrong(written: str, reason: str, words: str) -> None:
    """Keys have GS1's check digit, values the form of their application identifier, qualifiers their key."""
    with pytest.raises(WrongCode) as refused:
        parse(written)
    assert refused.value.reason == reason
    assert words in str(refused.value)


def test_a_serial_is_one_of_a_lot_and_a_lot_of_an_item() -> None:
    """What is not registered by its serial may be by its lot or its item."""
    code = parse("https://h/01/06901234567892/10/A/21/9?17=261231")
    assert [wider.canonical for wider in broader(code)] == [
        "gs1:01/06901234567892/10/A/21/9",
        "gs1:01/06901234567892/10/A",
        ITEM,
    ]
    assert broader(parse(ITEM)) == []
