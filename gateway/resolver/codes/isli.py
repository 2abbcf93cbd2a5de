"""ISLI (ISO 17316, GB/T 32867-2016): service code, link code, check digit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.resolver.codes.checked import DIGITS, misshapen, verify
from gateway.resolver.codes.code import Code, WrongCode, made
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.written import plain

SERVICE = 6  # digits of a service code (ISO 17316 clause 4.1)
LONGEST_LINK = 64  # digits; a service fixes its own length, 15 to 25 were seen, so this is only a bound
LONGEST_DIGITS = SERVICE + LONGEST_LINK + 1
SHAPE = "an ISLI code is 6 digits, the link code and a check digit"

_DOUBLED = bytes(b // 10 + b % 10 for b in range(0, 20, 2))
_TABLE = bytes(_DOUBLED[b - 48] if 48 <= b < 58 else 0 for b in range(256))


def check_digit(payload: str) -> int:
    """Return the check digit of an ISLI payload (service code and link code, every leading zero kept).

    Double-add-double modulo 10 with the weights 1, 2, 1, 2, ... anchored at the LEFT: for a payload of odd length an ordinary Luhn
    library gives another digit. Annex D of ISO 17316 was not at hand; the rule fits all of the 16 published codes that were found.
    It catches every wrong digit and every swap of neighbours but 09 <-> 90.
    """
    digits = payload.encode()
    single = digits[::2]
    return -(sum(single) - 48 * len(single) + sum(digits[1::2].translate(_TABLE))) % 10


def read(written: str) -> Code:
    """Return the ISLI code that is written.

    Raises:
        WrongCode: it is none.
    """
    text = plain(written).replace(" ", "")
    groups = text.split("-")
    digits = "".join(groups)
    if not digits:
        raise WrongCode("not-a-code", f"there is nothing: {SHAPE}")
    if len(digits) <= LONGEST_DIGITS and any(c not in DIGITS for c in digits):
        raise misshapen(digits, SHAPE, len(digits), _holds, _canonical)
    if told := _misgrouped(groups):
        # A hyphen that changed places with a digit: the digits are right.
        raise WrongCode("not-a-code", told, lambda: [_canonical(digits)] if _holds(digits) else [])
    return _joined(digits)


def _misgrouped(groups: list[str]) -> str:
    """Return what is wrong with the places of the hyphens, if anything is."""
    if len(groups) not in (1, 3) or "" in groups:
        return "an ISLI code has three groups: service code, link code, check digit"
    if len(groups) == 3 and len(groups[0]) != SERVICE:
        return f"the service code of an ISLI code has {SERVICE} digits, here are {len(groups[0])}"
    if len(groups) == 3 and len(groups[2]) != 1:
        return f"an ISLI code ends with one check digit, here are {len(groups[2])}"
    return ""


def check_length(code: Code, lengths: Mapping[str, int]) -> None:
    """Do nothing if the link code is as long as its service's record in ``lengths`` (service code -> digits) says, or has none.

    Raises:
        WrongCode: it is longer or shorter.
    """
    service, link, _ = code.text.split("-")
    wanted = lengths.get(service)
    if wanted is not None and len(link) != wanted:
        raise WrongCode("wrong-length", f"the link code of service {service} has {wanted} digits, here are {len(link)}")


def _joined(digits: str) -> Code:
    if any(c not in DIGITS for c in digits):
        raise WrongCode("not-a-code", f"there are other characters than digits: {SHAPE}")
    if len(digits) < SERVICE + 2:
        raise WrongCode("not-a-code", f"an ISLI code has at least {SERVICE + 2} digits, here are {len(digits)}")
    if len(digits) > LONGEST_DIGITS:
        raise WrongCode("too-long", f"the link code of an ISLI code has at most {LONGEST_LINK} digits here")
    verify("ISLI code", digits, str(check_digit(digits[:-1])), _holds, _canonical)
    return made("isli", _grouped(digits))


def _grouped(digits: str) -> str:
    return f"{digits[:SERVICE]}-{digits[SERVICE:-1]}-{digits[-1]}"


def _canonical(digits: str) -> str:
    return f"isli:{_grouped(digits)}"


def _holds(digits: str) -> bool:
    if not (SERVICE + 2 <= len(digits) <= LONGEST_DIGITS and digits.isascii() and digits.isdigit()):
        return False
    return check_digit(digits[:-1]) == int(digits[-1])


def _parts(text: str) -> dict[str, str]:
    service, link, check = text.split("-")
    return {"service code": service, "link code": link, "check digit": check}


ISLI = Scheme(
    name="isli",
    title="International Standard Link Identifier",
    chinese="国际标准关联标识符",
    standard="ISO 17316, GB/T 32867-2016",
    check="double-add-double modulo 10, from the left",
    example="isli:999999-100000000000001-4",
    read=read,
    show=lambda text: f"ISLI {text}",
    parts=_parts,
    bare=re.compile(r"[0-9]{6}-[0-9]+-[0-9]|[0-9]{22,71}"),  # the shortest seen has 22 digits; fewer may be anything
)
