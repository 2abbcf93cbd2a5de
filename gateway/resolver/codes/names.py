"""Who made, holds or publishes it: ISNI (ISO 27729), ISIL (ISO 15511), USCC (GB 32100-2015)."""

from __future__ import annotations

import re

from stdnum import isni, numdb
from stdnum.cn import uscc
from stdnum.isin import _iso_3116_1_country_codes
from stdnum.iso7064 import mod_11_2

from gateway.resolver.codes.checked import DIGITS, misshapen, verify
from gateway.resolver.codes.code import Code, WrongCode, made
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.written import compact, plain

ISNI_SHAPE = "an ISNI is 15 digits and a check digit, which may be X"
ISIL_SHAPE = "an ISIL is a country or another known prefix, a hyphen and at most 11 characters"
USCC_SHAPE = "a unified social credit code has 18 digits and capital letters, the third to the eighth digits"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015: no I, O, S, V, Z
LONGEST_ISIL = 16  # characters, ISO 15511

_ISNI = re.compile(r"[0-9]{15}[0-9X]")
_ISIL = re.compile(r"([A-Za-z]{1,4})-([A-Za-z0-9/:-]{1,11})")
_USCC = re.compile(rf"[{USCC_ALPHABET}]{{2}}[0-9]{{6}}[{USCC_ALPHABET}]{{10}}")
# The list of agencies in python-stdnum has no China, so that it rejects every CN- code: any country may lead here.
_COUNTRIES = frozenset(_iso_3116_1_country_codes)


def read_isni(written: str) -> Code:
    """Return the ISNI that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    if not _ISNI.fullmatch(text):
        raise misshapen(text, ISNI_SHAPE, 16, _holds_isni, lambda t: f"isni:{t}", last=DIGITS + "X")
    expected = str(mod_11_2.calc_check_digit(text[:-1]))
    verify("ISNI", text, expected, _holds_isni, lambda t: f"isni:{t}", last=DIGITS + "X")
    return made("isni", text)


def read_isil(written: str) -> Code:
    """Return the ISIL that is written; the case of what follows the prefix stays.

    Raises:
        WrongCode: it is none.
    """
    text = plain(written).strip()
    found = _ISIL.fullmatch(text)
    if not found or len(text) > LONGEST_ISIL:
        raise WrongCode("not-a-code", f"{ISIL_SHAPE}, such as CN-110000-A1")
    prefix = found[1].upper()
    if prefix not in _COUNTRIES and not _agency(prefix):
        raise WrongCode("not-a-code", f"'{prefix}' is neither a country nor another prefix that libraries' codes have")
    return made("isil", f"{prefix}-{found[2]}")


def read_uscc(written: str) -> Code:
    """Return the unified social credit code (统一社会信用代码) that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    if not _USCC.fullmatch(text):
        raise misshapen(text, USCC_SHAPE, 18, _holds_uscc, lambda t: f"uscc:{t}", USCC_ALPHABET)
    expected = str(uscc.calc_check_digit(text[:-1]))
    verify("unified social credit code", text, expected, _holds_uscc, lambda t: f"uscc:{t}", USCC_ALPHABET)
    return made("uscc", text)


def _holds_isni(text: str) -> bool:
    return _ISNI.fullmatch(text) is not None and bool(mod_11_2.is_valid(text))


def _holds_uscc(text: str) -> bool:
    return _USCC.fullmatch(text) is not None and uscc.calc_check_digit(text[:-1]) == text[-1]


def _agency(prefix: str) -> bool:
    results = numdb.get("isil").info(prefix + "$")
    return len(results) == 1 and bool(results[0][1])


def _isni_parts(text: str) -> dict[str, str]:
    return {"digits": text[:-1], "check digit": text[-1]}


def _isil_parts(text: str) -> dict[str, str]:
    prefix, _, library = text.partition("-")
    return {"prefix": prefix, "library": library}


def _uscc_parts(text: str) -> dict[str, str]:
    return {
        "registering authority": text[0],
        "kind of body": text[1],
        "region": text[2:8],
        "organisation code": text[8:17],
        "check digit": text[17],
    }


ISNI = Scheme(
    name="isni",
    title="International Standard Name Identifier",
    chinese="国际标准名称标识符",
    standard="ISO 27729",
    check="ISO 7064 MOD 11-2",
    example="isni:000000012281955X",
    read=read_isni,
    show=lambda text: f"ISNI {isni.format(text)}",
    parts=_isni_parts,
    uri=lambda text: f"https://isni.org/isni/{text}",
    bare=re.compile(r"(?:[0-9]{4}-?){3}[0-9]{3}[0-9X]"),
)
ISIL = Scheme(
    name="isil",
    title="International Standard Identifier for Libraries",
    chinese="图书馆及相关组织机构国际标识符",
    standard="ISO 15511",
    check="none; the prefix is known",
    example="isil:CN-110000-A1",
    read=read_isil,
    show=lambda text: f"ISIL {text}",
    parts=_isil_parts,
    bare=re.compile(r"(?!A1-|[A-Z]{2}-[A-Z0-9]{3}-[0-9]{2}-[0-9]{5}$)[A-Z]{1,4}-[A-Z0-9/:-]{1,11}"),
)
USCC = Scheme(
    name="uscc",
    title="Unified Social Credit Code",
    chinese="统一社会信用代码",
    standard="GB 32100-2015",
    check="modulo 31",
    example="uscc:91110000600037341L",
    read=read_uscc,
    show=lambda text: f"USCC {text}",
    parts=_uscc_parts,
    bare=re.compile(_USCC.pattern),
)
