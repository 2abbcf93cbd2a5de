"""What was meant by a wrong code."""

import itertools

import pytest

from gateway.resolver.codes import SCHEMES, WrongCode, parse

CHECKED = [
    name for name, scheme in SCHEMES.items() if scheme.check.startswith(("mod", "ISO 7064", "double")) and name != "gs1"
]


def likely(written: str) -> tuple[str, ...]:
    """Return what may have been meant, nothing where ``written`` happens to be right."""
    try:
        parse(written)
    except WrongCode as error:
        return error.likely if error.reason == "wrong-check-digit" else ()
    return ()


@pytest.mark.parametrize("name", CHECKED)
def test_one_slip_or_one_swap_leads_back_to_the_right_code(name: str) -> None:
    """In every scheme with a check digit the right code is among the likely ones of each slip, and each of them is right."""
    right = SCHEMES[name].example
    start = right.index("/") + 1 if "/" in right else right.index(":") + 1
    seen = 0
    for at in range(start, len(right)):
        if not right[at].isalnum():
            continue
        slip = right[:at] + ("7" if right[at] != "7" else "1") + right[at + 1 :]
        swap = right[:at] + right[at + 1 : at + 2] + right[at] + right[at + 2 :]
        for wrong in (slip, swap):
            found = likely(wrong)
            assert all(parse(code).canonical == code for code in found)
            if found:
                seen += 1
                assert right in found, wrong
    assert seen > len(right) / 2


def test_the_likeliest_is_told_first() -> None:
    """A swap of neighbours, what fingers do most, comes before everything else."""
    assert likely("isli:999999-010000000000001-4")[0] == "isli:999999-100000000000001-4"
    assert "isbn:9780471117094" in likely("isbn:9780471171094")[:2]


def test_letters_in_place_of_digits_are_read_as_meant() -> None:
    """An O where a zero belongs is told, with the code that was meant."""
    with pytest.raises(WrongCode) as refused:
        parse("isli:999999-1O0000000000001-4")
    assert refused.value.likely == ("isli:999999-100000000000001-4",)


EXAMPLES = [SCHEMES[name].example for name in (*CHECKED, "gs1")] + [
    "isbn:9791032305690",
    "issn:2434-561X",
    "isan:0000-0001-8947-0000-8",
]


def meant(wrong: str) -> tuple[str, ...]:
    """Return what may have been meant by what is no code; of what happens to be one, every example."""
    try:
        parse(wrong)
    except WrongCode as error:
        return error.likely
    return tuple(EXAMPLES)


def shown(right: str) -> list[tuple[str, range]]:
    """Return the spellings of a code, and where in each the characters are that its check character guards."""
    found = []
    for text in (right, parse(right).display):
        start = max(text.find(mark) + len(mark) for mark in ("10.5240/", "01/", ":", " ") if mark in text)
        end = text.index("/10/") if "/10/" in text else len(text)
        found.append((text, range(start, end)))
    return found


@pytest.mark.parametrize("right", EXAMPLES)
def test_a_slip_into_what_no_code_holds_and_a_swap_across_a_hyphen_lead_back_too(right: str) -> None:
    """A letter for a digit, neighbours changed so that the form itself is wrong: the right code is told, or another that is right too."""
    for text, guarded in shown(right):
        places = [at for at in guarded if text[at].isalnum()]
        slips = [text[:at] + other + text[at + 1 :] for at in places for other in "OQ!" if other != text[at]]
        for at, after in itertools.pairwise(places):
            characters = list(text)
            characters[at], characters[after] = characters[after], characters[at]
            slips.append("".join(characters))
        for wrong in slips:
            assert right in meant(wrong), wrong


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("ISBN 987-0-471-11709-4", "isbn:9780471117094"),
        ("isbn:97804711170094", "isbn:9780471117094"),
        ("isbn:978047111704", "isbn:9780471117094"),
        ("978-O-471-11709-4", "isbn:9780471117094"),
        ("9111O000600037341L", "uscc:91110000600037341L"),
        ("issn:0317-847", "issn:0317-8471"),
        ("isli:99999-9100000000000001-4", "isli:999999-100000000000001-4"),
        ("uscc:9111OOOO600037341L", ""),
        ("uscc:9111O000600037341L", "uscc:91110000600037341L"),
        ("isrc:SURC17607839", "isrc:USRC17607839"),
        ("isrc:USRC1760783k", ""),
        ("isrc:USRC176O7839", "isrc:USRC17607839"),
        ("https://id.gs1.org/01/06901234567893/10/A1", "gs1:01/06901234567892/10/A1"),
        ("nonsense", ""),
        ("isbn:" + "O" * 900, ""),
    ],
)
def test_what_was_meant_by_a_code_of_a_wrong_form(wrong: str, right: str) -> None:
    """One character too many or too few, hyphens in the wrong place; two faults at once are nobody's guess."""
    with pytest.raises(WrongCode) as refused:
        parse(wrong)
    assert (right in refused.value.likely) if right else refused.value.likely == ()
    assert all(parse(code).canonical == code for code in refused.value.likely)
