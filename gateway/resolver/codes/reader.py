"""A text as people and programs write it -> ``Code``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from urllib.parse import unquote

from gateway.resolver.codes import gs1, handles, isli
from gateway.resolver.codes.code import LONGEST, LONGEST_WRITTEN, Code, WrongCode
from gateway.resolver.codes.isli import check_digit
from gateway.resolver.codes.likely import careless
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.schemes import ALIASES, SCHEMES
from gateway.resolver.codes.written import plain

# The two canonical forms that tables are full of: read without the detours that people's spellings need.
_ISLI = re.compile(r"isli:([0-9]{6})-([0-9]{1,64})-([0-9])").fullmatch
_DOI = re.compile(r"doi:(10\.(?!5240/)[0-9]{4,9}(?:\.[0-9]{1,9}){0,4}/[!-.0-@\[-~]+)").fullmatch

_NAMED = re.compile(
    r"([A-Za-z]{2,12}|gs1|统一社会信用代码)(?:-?1[0-4](?=[\s:：]))?(?:\s*[:：]\s*|\s+)(.*)", re.DOTALL | re.IGNORECASE
)
_GLUED = re.compile(r"(isli|isbn|issn|ismn|isni|isan|gtin|ean|upc|uscc|oid)([0-9].*)", re.DOTALL | re.IGNORECASE)
_URN = re.compile(r"(?:urn:|info:(?=(?:doi|hdl)/))([A-Za-z]{3,4})[:/](.*)", re.DOTALL | re.IGNORECASE)
_URL = re.compile(r"https?://[^/?#\s]+/(.*)", re.DOTALL | re.IGNORECASE)
_ADDRESSES = (
    (re.compile(r"https?://(?:dx\.|www\.)?doi\.org/(.*)", re.DOTALL | re.IGNORECASE), "doi"),
    (re.compile(r"https?://(?:www\.)?hdl\.handle\.net/(.*)", re.DOTALL | re.IGNORECASE), "hdl"),
    (re.compile(r"https?://(?:www\.)?isni\.org/(?:isni/)?([^/?#]*)/?", re.DOTALL | re.IGNORECASE), "isni"),
    (re.compile(r"https?://portal\.issn\.org/resource/issn/([^/?#]*)/?", re.DOTALL | re.IGNORECASE), "issn"),
)
_LONGEST_BARE = 80  # characters of the longest code that is known by its form
_HERE = re.compile(r"https?://[^/?#\s]+/id/([^/?#]*)", re.DOTALL | re.IGNORECASE)  # a resolver's own address


def parse(text: str, lengths: Mapping[str, int] | None = None) -> Code:
    """Return the identifier written as ``text`` (percent-decoded): ``ISLI 999999-1...-4``, ``doi:10.1000/182``, ``isbn:978...``.

    Full-width digits, other dashes, spaces between digits and missing hyphens are taken as meant; addresses such as
    ``https://doi.org/...`` and GS1 Digital Links are understood. ``lengths`` are the digits of link codes by ISLI service code.

    Raises:
        WrongCode: it is not an identifier that is known here; the sentence names what is wrong.
    """
    if (found := _ISLI(text)) and len(text) <= LONGEST:
        service, link, check = found.groups()
        code = Code("isli", text[5:]) if check_digit(service + link) == int(check) else _read(text)
    elif (found := _DOI(text)) and len(text) <= LONGEST and "/." not in text:
        return Code("doi", text[4:])
    else:
        code = _read(text)
    if lengths and code.scheme == "isli":
        isli.check_length(code, lengths)
    return code


def _read(text: str) -> Code:
    if len(text) > LONGEST_WRITTEN or len(text.encode(errors="surrogatepass")) > LONGEST_WRITTEN:
        raise WrongCode("too-long", f"what is written of an identifier has at most {LONGEST_WRITTEN} bytes")
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text).strip()  # also the full-width space
    if not text.isprintable():
        raise WrongCode("not-a-code", "it holds control characters or bytes that are no text")
    if _URL.fullmatch(text):
        return _address(text)
    if urn := _URN.fullmatch(text):
        if urn[1].lower() in SCHEMES:
            return SCHEMES[urn[1].lower()].read(urn[2])
        raise WrongCode("unknown-scheme", f"'{urn[1].lower()}' is no scheme known here: {', '.join(SCHEMES)}")
    named = _NAMED.fullmatch(text) or _NAMED.fullmatch(plain(text)) or _GLUED.fullmatch(plain(text))
    if named and (_known(named[1]) or not _fitting(text)):
        return _named(named[1], named[2])
    if handles.DOI_FORM.fullmatch(text):
        return handles.read_doi(text)
    if handles.HANDLE_BARE.match(text):
        return handles.read_handle(text)
    if text.startswith("("):
        return gs1.read(text)
    return _bare(text)


def _known(name: str) -> bool:
    return name.lower() in ALIASES or name.lower() in SCHEMES


def _named(name: str, rest: str) -> Code:
    name = ALIASES.get(name.lower(), name.lower())
    if scheme := SCHEMES.get(name):
        return scheme.read(rest if scheme.raw else plain(rest))

    def likely() -> list[str]:
        found = []
        for close in get_close_matches(name, SCHEMES, n=2):
            try:
                found.append(SCHEMES[close].read(rest).canonical)
            except WrongCode:
                continue
        return found

    raise WrongCode("unknown-scheme", f"'{name[:20]}' is not a scheme known here: {', '.join(SCHEMES)}", likely)


def _address(url: str) -> Code:
    for form, scheme in _ADDRESSES:
        if found := form.fullmatch(url):
            return SCHEMES[scheme].read(unquote(found[1]))
    if found := _HERE.fullmatch(url):
        inner = unquote(found[1])
        if not _URL.fullmatch(inner):
            return parse(inner)
    if link := gs1.in_address(url):
        return gs1.read(link)
    raise WrongCode("not-a-code", "there is no identifier in this address")


def _fitting(text: str) -> list[Scheme]:
    """Return the schemes whose codes have this form."""
    shaped = re.sub(r" +", "-", plain(text).strip()).upper()
    return [scheme for scheme in SCHEMES.values() if scheme.bare and scheme.bare.fullmatch(shaped)]


def _nearly(written: str) -> Iterator[str]:
    """Yield the codes one misread character or one swap away from a text of no known form."""
    if len(written) <= _LONGEST_BARE:
        yield from map(_certain, careless(written.upper(), lambda text: bool(_certain(text))))


def _certain(text: str) -> str:
    """Return the canonical code of a text whose form is of one scheme alone; nothing of another."""
    fitting = _fitting(text)
    try:
        return fitting[0].read(text).canonical if len(fitting) == 1 else ""
    except WrongCode:
        return ""


def _bare(text: str) -> Code:
    """Return the code that came without a scheme's name; the form alone decides whose it is, never the check digit.

    A wrong digit of one scheme's code may pass another scheme's check.
    """
    written, fitting = plain(text), _fitting(text)
    if len(fitting) == 1:
        return fitting[0].read(written)
    if not fitting:
        if not written:
            raise WrongCode("not-a-code", "there is nothing")
        if re.match(r"[0-9]{6}-", written):  # one that meant to be an ISLI code
            return isli.read(written)
        told = "its form is no known scheme's: write the scheme before it, such as isli:"
        raise WrongCode("not-a-code", told, lambda: _nearly(written))

    def likely() -> list[str]:
        found = []
        for scheme in fitting:
            try:
                found.append(scheme.read(written).canonical)
            except WrongCode:
                continue
        return found

    names = tuple(scheme.name for scheme in fitting)
    raise WrongCode(
        "ambiguous-code",
        f"this may be a code of {' or '.join(names)}: write the scheme before it, such as {names[0]}:",
        likely,
        names,
    )
