"""What is printed and sold: ISBN (ISO 2108), ISSN (ISO 3297), ISMN (ISO 10957)."""

from __future__ import annotations

import re

from stdnum import ean, isbn, ismn, issn

from gateway.resolver.codes.checked import DIGITS, misshapen, verify
from gateway.resolver.codes.code import Code, made
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.written import compact

ISBN_SHAPE = "an ISBN is 13 digits that begin with 978 or 979, or the older 10"
ISMN_SHAPE = "an ISMN is 13 digits that begin with 9790, or the older M and 9 digits"
ISSN_SHAPE = "an ISSN is 7 digits and a check digit, which may be X"

_OLD = 10  # characters of an ISBN or ISMN before 2007
_ISBN10 = re.compile(r"[0-9]{9}[0-9X]")
_ISBN13 = re.compile(r"97(?:8[0-9]|9[1-9])[0-9]{9}")
_ISMN = re.compile(r"9790[0-9]{9}")
_ISSN = re.compile(r"[0-9]{7}[0-9X]")


def read_isbn(written: str) -> Code:
    """Return the ISBN (of 13 digits, or the ISMN that it is) that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    if text.startswith("9790") and _ISMN.fullmatch(text):  # 979-0 is music: one thing has one canonical form
        return read_ismn(text)
    if _ISBN10.fullmatch(text):
        verify("ISBN", text, _check10(text), _holds10, lambda t: f"isbn:{isbn.to_isbn13(t)}", last=DIGITS + "X")
        return made("isbn", str(isbn.to_isbn13(text)))
    if not _ISBN13.fullmatch(text):
        if len(text) <= _OLD + 1:
            raise misshapen(text, ISBN_SHAPE, _OLD, _holds10, lambda t: f"isbn:{isbn.to_isbn13(t)}", last=DIGITS + "X")
        raise misshapen(text, ISBN_SHAPE, 13, _holds, _canonical)
    verify("ISBN", text, str(ean.calc_check_digit(text[:-1])), _holds, _canonical)
    return made("isbn", text)


def read_ismn(written: str) -> Code:
    """Return the ISMN (of 13 digits) that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    text = "9790" + text[1:] if len(text) == _OLD and text[0] == "M" else text
    if not _ISMN.fullmatch(text):
        raise misshapen(text, ISMN_SHAPE, 13, _holds, _canonical)
    verify("ISMN", text, str(ean.calc_check_digit(text[:-1])), _holds, _canonical)
    return made("ismn", text)


def read_issn(written: str) -> Code:
    """Return the ISSN that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    if not _ISSN.fullmatch(text):
        raise misshapen(text, ISSN_SHAPE, 8, _holds_issn, lambda t: f"issn:{_hyphened(t)}", last=DIGITS + "X")
    expected = str(issn.calc_check_digit(text[:-1]))
    verify("ISSN", text, expected, _holds_issn, lambda t: f"issn:{_hyphened(t)}", last=DIGITS + "X")
    return made("issn", _hyphened(text))


def _check10(text: str) -> str:
    rest = sum((index + 1) * int(digit) for index, digit in enumerate(text[:-1])) % 11
    return "X" if rest == 10 else str(rest)


def _holds10(text: str) -> bool:
    return _ISBN10.fullmatch(text) is not None and _check10(text) == text[-1]


def _holds_issn(text: str) -> bool:
    return _ISSN.fullmatch(text) is not None and bool(issn.is_valid(text))


def _holds(text: str) -> bool:
    return (_ISBN13.fullmatch(text) or _ISMN.fullmatch(text)) is not None and bool(ean.is_valid(text))


def _canonical(text: str) -> str:
    return f"ismn:{text}" if _ISMN.fullmatch(text) else f"isbn:{text}"


def _hyphened(text: str) -> str:
    return f"{text[:4]}-{text[4:]}"


def _parts(text: str) -> dict[str, str]:
    return {"digits": text[:-1], "check digit": text[-1]}


def _isbn_parts(text: str) -> dict[str, str]:
    prefix, group, publisher, item, check = isbn.split(text)
    named = {"prefix": prefix, "group": group, "publisher": publisher, "title": item, "check digit": check}
    return {name: part for name, part in named.items() if part}  # a publisher's range may not be known yet


ISBN = Scheme(
    name="isbn",
    title="International Standard Book Number",
    chinese="国际标准书号",
    standard="ISO 2108",
    check="modulo 10 with the weights 1, 3",
    example="isbn:9780471117094",
    read=read_isbn,
    show=lambda text: f"ISBN {isbn.format(text)}",
    parts=_isbn_parts,
    uri=lambda text: f"urn:isbn:{text}",
    bare=re.compile(r"97[89]-?[0-9](?:-?[0-9]){9}|[0-9](?:-?[0-9]){8}-?[0-9X]"),
)
ISSN = Scheme(
    name="issn",
    title="International Standard Serial Number",
    chinese="国际标准连续出版物号",
    standard="ISO 3297",
    check="modulo 11 with the weights 8 to 2",
    example="issn:0317-8471",
    read=read_issn,
    show=lambda text: f"ISSN {text}",
    parts=_parts,
    uri=lambda text: f"urn:issn:{text}",
    bare=re.compile(r"[0-9]{4}-?[0-9]{3}[0-9X]"),
)
ISMN = Scheme(
    name="ismn",
    title="International Standard Music Number",
    chinese="国际标准音乐编号",
    standard="ISO 10957",
    check="modulo 10 with the weights 1, 3",
    example="ismn:9790060115615",
    read=read_ismn,
    show=lambda text: f"ISMN {ismn.format(text)}",
    parts=_parts,
    bare=re.compile(r"M(?:-?[0-9]){9}"),
)
