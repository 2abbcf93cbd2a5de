"""What is recorded and shown: ISRC (ISO 3901), ISAN (ISO 15706), GRid."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import isan, isrc
from stdnum.iso7064 import mod_37_36

from gateway.resolver.codes.checked import ALPHANUMERIC, HEXADECIMAL, misshapen, verify
from gateway.resolver.codes.code import Code, WrongCode, made
from gateway.resolver.codes.likely import careless
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.written import compact

ISRC_SHAPE = "an ISRC is a prefix of 2 letters, 3 characters of the registrant, 2 digits of the year and 5 digits"
ISAN_SHAPE = "an ISAN is 16 hexadecimal digits and a check character, for a version 8 more and a second check character"
GRID_SHAPE = "a GRid is A1, 5 characters of the issuer, 10 of the release and a check character"

_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
_WORK, _VERSION = 16, 24  # hexadecimal digits


def read_isrc(written: str) -> Code:
    """Return the ISRC that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    if not _ISRC.fullmatch(text):
        raise WrongCode("not-a-code", f"{ISRC_SHAPE}, such as CN-A01-26-00001", lambda: _isrcs(text))
    if not _holds_isrc(text):
        told = f"'{text[:2]}' is no prefix that ISRC codes begin with"
        raise WrongCode("not-a-code", told, lambda: _isrcs(text))
    return made("isrc", text)


def _isrcs(text: str) -> Iterator[str]:
    if len(text) == 12:
        yield from (f"isrc:{found}" for found in careless(text, _holds_isrc))


def read_isan(written: str) -> Code:
    """Return the ISAN that is written, with its check characters, also where they were left out.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    checked = len(text) not in (_WORK, _VERSION)
    work, version = _halves(text) if checked else (text[:_WORK], text[_WORK:])
    if (checked and len(text) not in (_WORK + 1, _VERSION + 2)) or any(c not in HEXADECIMAL for c in work + version):
        length = _WORK + 1 if len(text) < (_WORK + _VERSION) // 2 else _VERSION + 2
        raise misshapen(text, ISAN_SHAPE, length, _holds_isan, _canonical, HEXADECIMAL, ALPHANUMERIC)
    for part in _guarded(text) if checked else ():
        expected = str(mod_37_36.calc_check_digit(part[:-1]))
        verify("ISAN", text, expected, _holds_isan, _canonical, ALPHANUMERIC, part=part)
    return made("isan", _isan(work + version).removeprefix("isan:"))


def read_grid(written: str) -> Code:
    """Return the GRid that is written.

    Raises:
        WrongCode: it is none.
    """
    text = compact(written)
    if len(text) != 18 or not text.startswith("A1") or any(c not in ALPHANUMERIC for c in text):
        raise misshapen(text, GRID_SHAPE, 18, _holds_grid, lambda t: f"grid:{t}", ALPHANUMERIC)
    expected = str(mod_37_36.calc_check_digit(text[:-1]))
    verify("GRid", text, expected, _holds_grid, lambda t: f"grid:{t}", ALPHANUMERIC)
    return made("grid", text)


def _halves(text: str) -> tuple[str, str]:
    """Return work and version of an ISAN with check characters, without these."""
    return text[:_WORK], text[_WORK + 1 : -1]


def _guarded(text: str) -> list[str]:
    """Return what each check character of an ISAN guards, with it: the work, and the work with its version."""
    work, version = _halves(text)
    return [text[: _WORK + 1], *([work + version + text[-1]] if version else [])]


def _canonical(text: str) -> str:
    return _isan("".join(_halves(text)))


def _holds_isan(text: str) -> bool:
    work, version = _halves(text)
    if len(text) not in (_WORK + 1, _VERSION + 2) or any(c not in HEXADECIMAL for c in work + version):
        return False
    return all(mod_37_36.is_valid(part) for part in _guarded(text))


def _holds_grid(text: str) -> bool:
    return len(text) == 18 and text.startswith("A1") and text.isascii() and bool(mod_37_36.is_valid(text))


def _holds_isrc(text: str) -> bool:
    return _ISRC.fullmatch(text) is not None and bool(isrc.is_valid(text))


def _isan(digits: str) -> str:
    return f"isan:{isan.format(digits)}"


def _grid(text: str) -> str:
    return f"{text[:2]}-{text[2:7]}-{text[7:17]}-{text[17:]}"


def _isrc_parts(text: str) -> dict[str, str]:
    return {"prefix": text[:2], "registrant": text[2:5], "year": text[5:7], "designation": text[7:]}


def _isan_parts(text: str) -> dict[str, str]:
    groups = text.split("-")
    told = {"root": "-".join(groups[:3]), "episode": groups[3], "check character": groups[4]}
    if len(groups) > 5:
        told |= {"version": "-".join(groups[5:7]), "check character of the version": groups[7]}
    return told


def _grid_parts(text: str) -> dict[str, str]:
    return {"scheme": text[:2], "issuer": text[2:7], "release": text[7:17], "check character": text[17:]}


ISRC = Scheme(
    name="isrc",
    title="International Standard Recording Code",
    chinese="国际标准录音制品编码",
    standard="ISO 3901",
    check="none; the prefix is known",
    example="isrc:USRC17607839",
    read=read_isrc,
    show=lambda text: f"ISRC {isrc.format(text)}",
    parts=_isrc_parts,
    bare=re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?[0-9]{2}-?[0-9]{5}"),
)
ISAN = Scheme(
    name="isan",
    title="International Standard Audiovisual Number",
    chinese="国际标准视听作品编码",
    standard="ISO 15706",
    check="ISO 7064 MOD 37,36, twice",
    example="isan:0000-0001-8947-0000-8-0000-0000-D",
    read=read_isan,
    show=lambda text: f"ISAN {text}",
    parts=_isan_parts,
    uri=lambda text: f"urn:isan:{text}",
    bare=re.compile(r"(?:[0-9A-F]{4}-?){4}[0-9A-Z](?:-?[0-9A-F]{4}-?[0-9A-F]{4}-?[0-9A-Z])?"),
)
GRID = Scheme(
    name="grid",
    title="Global Release Identifier",
    chinese="全球发行标识符",
    standard="IFPI GRid Standard",
    check="ISO 7064 MOD 37,36",
    example="grid:A12425GABC1234002M",
    read=read_grid,
    show=lambda text: f"GRid {_grid(text)}",
    parts=_grid_parts,
    bare=re.compile(r"A1-?[0-9A-Z]{5}-?[0-9A-Z]{10}-?[0-9A-Z]"),
)
