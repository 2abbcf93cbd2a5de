"""Handle (RFC 3651) and its daughters: DOI (ISO 26324) and EIDR, which is a DOI with a check character."""

from __future__ import annotations

import re
from urllib.parse import quote

from stdnum.iso7064 import mod_37_36

from gateway.resolver.codes.checked import ALPHANUMERIC, HEXADECIMAL, misshapen, verify
from gateway.resolver.codes.code import Code, WrongCode, made
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.written import compact, plain

EIDR_PREFIX = "10.5240"
EIDR_SHAPE = "an EIDR is 10.5240/, 20 hexadecimal digits in five groups and a check character"

DOI_FORM = re.compile(r"10\.\d{4,9}(?:\.\d{1,9}){0,4}/(.+)", re.ASCII)  # directory indicator 10, registrant, suffix
HANDLE_FORM = re.compile(r"([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*)/(.+)", re.ASCII)  # naming authority / local name
HANDLE_BARE = re.compile(r"\d+(?:\.\d+)*/", re.ASCII)


def read_doi(written: str) -> Code:
    """Return the DOI (or the EIDR that it is) that is written.

    Raises:
        WrongCode: it is none.
    """
    found = DOI_FORM.fullmatch(written)
    if not found:
        raise WrongCode(
            "not-a-code", "a DOI is 10., the registrant's number, a slash and a suffix, such as 10.1000/182"
        )
    if written.startswith(EIDR_PREFIX + "/"):  # one thing has one canonical form
        return read_eidr(written)
    _opaque(found[1])
    # DOI Handbook 2.4: case-insensitive in ASCII alone
    return made("doi", "".join(c.lower() if c.isascii() else c for c in written))


def read_handle(written: str) -> Code:
    """Return the Handle (or the DOI that it is) that is written.

    Raises:
        WrongCode: it is none.
    """
    found = HANDLE_FORM.fullmatch(written)
    if not found:
        raise WrongCode("not-a-code", "a Handle is a prefix, a slash and a local name, such as 20.500.12345/film")
    if DOI_FORM.fullmatch(written):  # every DOI is a Handle
        return read_doi(written)
    _opaque(found[2])
    return made("hdl", f"{found[1].lower()}/{found[2]}")  # naming authorities are case-insensitive, local names are not


def read_eidr(written: str) -> Code:
    """Return the EIDR that is written, with or without its DOI prefix.

    Raises:
        WrongCode: it is none.
    """
    text = plain(written).replace(" ", "").removeprefix(EIDR_PREFIX + "/")
    if "/" in text:
        raise WrongCode("not-a-code", EIDR_SHAPE)
    found = compact(text)
    if len(found) != 21 or any(c not in HEXADECIMAL for c in found[:-1]) or found[-1] not in ALPHANUMERIC:
        raise misshapen(found, EIDR_SHAPE, 21, _eidr_holds, lambda t: f"eidr:{_eidr(t)}", HEXADECIMAL, ALPHANUMERIC)
    expected = str(mod_37_36.calc_check_digit(found[:-1]))
    verify("EIDR", found, expected, _eidr_holds, lambda t: f"eidr:{_eidr(t)}", HEXADECIMAL, ALPHANUMERIC)
    return made("eidr", _eidr(found))


def _eidr(text: str) -> str:
    return f"{EIDR_PREFIX}/" + "-".join(text[i : i + 4] for i in range(0, 21, 4))


def _eidr_holds(text: str) -> bool:
    return len(text) == 21 and all(c in HEXADECIMAL for c in text[:-1]) and bool(mod_37_36.is_valid(text))


def _opaque(suffix: str) -> None:
    if any(c.isspace() for c in suffix):
        raise WrongCode("not-a-code", "there is a space in the suffix")
    if any(segment in ("", ".", "..") for segment in suffix.split("/")):
        raise WrongCode(
            "not-a-code", "a suffix may not hold empty, '.' or '..' parts: HTTP clients would fold them away"
        )


def _parts(text: str) -> dict[str, str]:
    prefix, _, suffix = text.partition("/")
    return {"prefix": prefix, "suffix": suffix}


def _eidr_parts(text: str) -> dict[str, str]:
    prefix, _, suffix = text.partition("/")
    return {"prefix": prefix, "suffix": suffix[:-2], "check character": suffix[-1]}


DOI = Scheme(
    name="doi",
    title="Digital Object Identifier",
    chinese="数字对象标识符",
    standard="ISO 26324",
    check="none",
    example="doi:10.1000/182",
    read=read_doi,
    show=lambda text: f"doi:{text}",
    parts=_parts,
    uri=lambda text: f"https://doi.org/{quote(text)}",
    raw=True,
)
HANDLE = Scheme(
    name="hdl",
    title="Handle",
    chinese="Handle 标识符",
    standard="RFC 3651, DO-IRP 3.0",
    check="none",
    example="hdl:20.500.12345/film",
    read=read_handle,
    show=lambda text: f"hdl:{text}",
    parts=_parts,
    uri=lambda text: f"https://hdl.handle.net/{quote(text)}",
    raw=True,
)
EIDR = Scheme(
    name="eidr",
    title="Entertainment Identifier Registry",
    chinese="影视娱乐标识符",
    standard="a DOI: ISO 26324",
    check="ISO 7064 MOD 37,36",
    example="eidr:10.5240/7791-8534-2C23-9030-8610-5",
    read=read_eidr,
    show=lambda text: f"EIDR {text}",
    parts=_eidr_parts,
    uri=lambda text: f"https://doi.org/{text}",
)
