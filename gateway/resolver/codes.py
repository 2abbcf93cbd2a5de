"""What people and programs write as an identifier -> ``Code``: one canonical spelling of each, check digit verified.

Schemes: ``isli`` (ISO 17316, GB/T 32867-2016), ``doi`` (ISO 26324), ``hdl`` (Handle, RFC 3651), ``isbn`` (ISO 2108).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from stdnum import ean, isbn

from appliance.runtime.errors import Refused

LONGEST = 256  # bytes of UTF-8 of what is written; also keeps the canonical form below LMDB's 511 byte keys
SERVICE = 6  # digits of an ISLI service code (ISO 17316 clause 4.1)
LONGEST_LINK = 64  # digits; a service fixes its own length, 15 to 25 were seen, so this is only a bound
SHORTEST_BARE = 22  # digits: the shortest ISLI seen (6 + 15 + 1); fewer digits without a scheme could be anything
SCHEMES = ("isli", "doi", "hdl", "isbn")

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-"))
_NAMED = re.compile(r"\s*([A-Za-z]{3,10})(?:\s*[:：]\s*|\s+|(?=\d))(.*)", re.DOTALL)
_URL = re.compile(r"https?://(?:dx\.|www\.)?(doi\.org|hdl\.handle\.net)/(.*)", re.IGNORECASE | re.DOTALL)
_DOI = re.compile(
    r"10\.\d{4,9}(?:\.\d{1,9}){0,4}/(.+)", re.ASCII
)  # ISO 26324: directory indicator 10, registrant, suffix
_HANDLE = re.compile(
    r"[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*/(.+)", re.ASCII
)  # RFC 3651 section 2: naming authority / local name
_HANDLE_BARE = re.compile(r"\d+(?:\.\d+)*/")
_ISBN_BARE = re.compile(r"97[89][0-9]{10}|[0-9]{9}[0-9Xx]")


class WrongCode(Refused):
    """The text is no identifier; ``reason`` is ``not-a-code``, ``wrong-check-digit``, ``too-long`` or ``unknown-scheme``."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(reason, sentence, 400)


@dataclass(frozen=True, order=True)
class Code:
    """One identifier; made by ``parse`` alone, so that the same thing is always spelt the same."""

    scheme: str  # one of SCHEMES
    text: str  # the part after the scheme, such as 999999-100000000000001-4

    @property
    def canonical(self) -> str:
        """The one spelling, such as ``isli:999999-100000000000001-4``."""
        return f"{self.scheme}:{self.text}"

    @property
    def quoted(self) -> str:
        """The canonical form as one segment of a URL's path, safe as a file's name too."""
        return quote(self.canonical, safe=":")

    @property
    def parts(self) -> dict[str, str]:
        """The named parts, as ``headgate id check`` shows them."""
        match self.scheme:
            case "isli":
                service, link, check = self.text.split("-")
                return {"service code": service, "link code": link, "check digit": check}
            case "isbn":
                return {"digits": self.text[:-1], "check digit": self.text[-1]}
            case _:
                prefix, _, suffix = self.text.partition("/")
                return {"prefix": prefix, "suffix": suffix}

    def __str__(self) -> str:
        return self.canonical


def check_digit(payload: str) -> int:
    """Return the check digit of an ISLI payload (service code and link code, every leading zero kept).

    Double-add-double modulo 10 with the weights 1, 2, 1, 2, ... anchored at the LEFT: for a payload of odd length an ordinary Luhn
    library gives another digit. Annex D of ISO 17316 was not at hand; the rule fits all of the 16 published codes that were found.
    It catches every wrong digit and every swap of neighbours but 09 <-> 90.
    """
    total = 0
    for index, digit in enumerate(payload):
        product = int(digit) * (1 + index % 2)
        total += product // 10 + product % 10
    return (10 - total % 10) % 10


def parse(text: str) -> Code:
    """Return the identifier written as ``text`` (percent-decoded): ``ISLI 999999-1...-4``, ``doi:10.1000/182``, ``isbn:978...``.

    Full-width digits, other dashes, spaces between digits and missing hyphens of ISLI and ISBN are taken as meant.

    Raises:
        WrongCode: it is not an identifier that is known here; the sentence names what is wrong.
    """
    if len(text) > LONGEST or len(text.encode(errors="surrogatepass")) > LONGEST:
        raise WrongCode("too-long", f"an identifier has at most {LONGEST} bytes")
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text).strip()  # also the full-width space
    if not text.isprintable():
        raise WrongCode("not-a-code", "it holds control characters or bytes that are no text")
    if url := _URL.fullmatch(text):
        return _BY_SCHEME["doi" if url[1].lower() == "doi.org" else "hdl"](url[2])
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES)
    named = _NAMED.fullmatch(plain)
    if named and "/" not in named[1]:
        scheme = {"handle": "hdl"}.get(named[1].lower(), named[1].lower())
        if scheme not in _BY_SCHEME:
            raise WrongCode("unknown-scheme", f"'{scheme}' is not a scheme known here: {', '.join(SCHEMES)}")
        if scheme in ("doi", "hdl"):  # their suffixes are opaque: no folding of characters beyond the scheme's own rule
            raw = _NAMED.fullmatch(text)
            return _BY_SCHEME[scheme](raw[2] if raw else named[2])
        return _BY_SCHEME[scheme](named[2])
    if _DOI.fullmatch(text):
        return _doi(text)
    if _HANDLE_BARE.match(text):
        return _handle(text)
    return _bare(plain)


def _bare(plain: str) -> Code:
    """Return the code of digits that came without a scheme's name."""
    digits = re.sub(r"[ -]", "", plain)
    if re.fullmatch(r"[0-9]{6}-[0-9 ]+-[0-9]", plain):
        return _isli(plain)
    if _ISBN_BARE.fullmatch(digits):
        return _isbn(plain)
    if re.fullmatch(r"[0-9]+", digits) and len(digits) < SHORTEST_BARE and "-" not in plain:
        raise WrongCode(
            "not-a-code", f"{len(digits)} digits may be many things: write the scheme before them, such as isli:"
        )
    return _isli(plain)


def _isli(written: str) -> Code:
    compact = unicodedata.normalize("NFKC", written).translate(_DASHES).replace(" ", "")
    if not re.fullmatch(r"[0-9-]+", compact):
        wrong = next((c for c in compact if c not in "0123456789-"), "")
        told = f"'{wrong}' does not belong into an ISLI code" if wrong else "there is nothing"
        raise WrongCode("not-a-code", f"{told}: it is 6 digits, the link code and a check digit")
    groups = compact.split("-")
    digits = "".join(groups)
    if len(groups) not in (1, 3) or "" in groups:
        raise WrongCode("not-a-code", "an ISLI code has three groups: service code, link code, check digit")
    if len(groups) == 3 and len(groups[0]) != SERVICE:
        raise WrongCode(
            "not-a-code", f"the service code of an ISLI code has {SERVICE} digits, here are {len(groups[0])}"
        )
    if len(groups) == 3 and len(groups[2]) != 1:
        raise WrongCode("not-a-code", f"an ISLI code ends with one check digit, here are {len(groups[2])}")
    if len(digits) < SERVICE + 2:
        raise WrongCode("not-a-code", f"an ISLI code has at least {SERVICE + 2} digits, here are {len(digits)}")
    if len(digits) > SERVICE + LONGEST_LINK + 1:
        raise WrongCode("too-long", f"the link code of an ISLI code has at most {LONGEST_LINK} digits here")
    payload, check = digits[:-1], digits[-1]
    expected = check_digit(payload)
    if int(check) != expected:
        raise WrongCode(
            "wrong-check-digit",
            f"the check digit of this ISLI code should be {expected}, not {check}: a digit is wrong",
        )
    return Code("isli", f"{payload[:SERVICE]}-{payload[SERVICE:]}-{check}")


def _isbn(written: str) -> Code:
    digits = re.sub(r"[ -]", "", unicodedata.normalize("NFKC", written).translate(_DASHES)).upper()
    if not re.fullmatch(r"97[89][0-9]{10}|[0-9]{9}[0-9X]", digits):
        raise WrongCode("not-a-code", "an ISBN is 13 digits that begin with 978 or 979, or the older 10")
    expected = ean.calc_check_digit(digits[:-1]) if len(digits) == 13 else isbn._calc_isbn10_check_digit(digits[:-1])
    if digits[-1] != expected:
        raise WrongCode("wrong-check-digit", f"the check digit of this ISBN should be {expected}, not {digits[-1]}")
    return Code("isbn", str(isbn.to_isbn13(digits)) if len(digits) == 10 else digits)


def _doi(written: str) -> Code:
    found = _DOI.fullmatch(written)
    if not found:
        raise WrongCode(
            "not-a-code", "a DOI is 10., the registrant's number, a slash and a suffix, such as 10.1000/182"
        )
    _opaque(found[1])
    # DOI Handbook 2.4: case-insensitive in ASCII alone
    return Code("doi", "".join(c.lower() if c.isascii() else c for c in written))


def _handle(written: str) -> Code:
    found = _HANDLE.fullmatch(written)
    if not found:
        raise WrongCode("not-a-code", "a Handle is a prefix, a slash and a local name, such as 20.500.12345/film")
    if _DOI.fullmatch(written):  # every DOI is a Handle: one thing has one canonical form
        return _doi(written)
    _opaque(found[1])
    return Code("hdl", written)


def _opaque(suffix: str) -> None:
    if any(c.isspace() for c in suffix):
        raise WrongCode("not-a-code", "there is a space in the suffix")
    if any(segment in ("", ".", "..") for segment in suffix.split("/")):
        raise WrongCode(
            "not-a-code", "a suffix may not hold empty, '.' or '..' parts: HTTP clients would fold them away"
        )


_BY_SCHEME: dict[str, Callable[[str], Code]] = {"isli": _isli, "doi": _doi, "hdl": _handle, "isbn": _isbn}
