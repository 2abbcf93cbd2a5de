"""What was meant by a wrong code."""

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
