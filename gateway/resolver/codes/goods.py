"""What is traded: GTIN of 8, 12, 13 and 14 digits."""

from __future__ import annotations

import re

from stdnum import ean

from gateway.resolver.codes.books import read_isbn
from gateway.resolver.codes.checked import DIGITS, misshapen, verify
from gateway.resolver.codes.code import Code, made
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.written import compact

SHAPE = "a GTIN has 8, 12, 13 or 14 digits"
LENGTHS = (8, 12, 13, 14)
BOOKLAND = ("0978", "0979")


def read(written: str) -> Code:
    """Return the GTIN (of 14 digits, or the ISBN or ISMN that it is) that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    if len(text) not in LENGTHS or any(c not in DIGITS for c in text):
        length = min(LENGTHS, key=lambda one: abs(one - len(text)))
        raise misshapen(text, SHAPE, length, holds, _canonical)
    expected = str(ean.calc_check_digit(text[:-1]))
    verify("GTIN", text, expected, holds, _canonical)
    whole = text.zfill(14)
    if whole.startswith(BOOKLAND):  # one thing has one canonical form
        return read_isbn(whole[1:])
    return made("gtin", whole)


def holds(text: str) -> bool:
    """Return whether this is a GTIN of one of the lengths, with its check digit."""
    return (
        len(text) in LENGTHS and text.isascii() and text.isdigit() and str(ean.calc_check_digit(text[:-1])) == text[-1]
    )


def _canonical(text: str) -> str:
    return read(text).canonical


def short(text: str) -> str:
    """Return the 14 digits as people print them: without the zeros that only fill them up."""
    kept = text.lstrip("0")
    return next((text[-length:] for length in LENGTHS if len(kept) <= length), text)


GTIN = Scheme(
    name="gtin",
    title="Global Trade Item Number (EAN, UPC)",
    chinese="全球贸易项目代码（商品条码）",
    standard="GS1 General Specifications",
    check="modulo 10 with the weights 1, 3",
    example="gtin:06901234567892",
    read=read,
    show=lambda text: f"GTIN {short(text)}",
    parts=lambda text: {"indicator": text[0], "digits": text[1:-1], "check digit": text[-1]},
    uri=lambda text: f"https://id.gs1.org/01/{text}",
    bare=re.compile(r"(?!97[89][0-9]{10}$)(?:[0-9]{8}|[0-9]{12,14})"),
)
