"""GS1 Digital Link: application identifiers (AI) in the path of an address, in and out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from stdnum import ean, numdb

from gateway.resolver.codes import goods
from gateway.resolver.codes.checked import misshapen, verify
from gateway.resolver.codes.code import Code, WrongCode, made
from gateway.resolver.codes.scheme import Scheme

HOST = "https://id.gs1.org"
MOST_PAIRS = 12  # application identifiers in one code
# Primary keys and the qualifiers that may follow them, in this order (GS1 Digital Link: URI Syntax, section 5).
QUALIFIERS = {
    "00": (),
    "01": ("22", "10", "21", "235"),
    "253": (),
    "255": (),
    "401": (),
    "402": (),
    "414": ("254", "7040"),
    "417": ("7040",),
    "8003": (),
    "8004": ("7040",),
    "8006": ("22", "10", "21"),
    "8010": ("8011",),
    "8013": (),
    "8017": ("8019",),
    "8018": ("8019",),
}
# Digits from the left that end with GS1's check digit.
CHECKED = {
    "00": 18,
    "01": 14,
    "253": 13,
    "255": 13,
    "402": 17,
    "414": 13,
    "417": 13,
    "8003": 14,
    "8006": 14,
    "8017": 18,
    "8018": 18,
}

_SETS = {"N": "[0-9]", "X": r"[!\"%-?A-Z_a-z]", "Y": r"[#\-/0-9A-Z]", "Z": r"[A-Za-z0-9_=-]"}
_ELEMENT = re.compile(r"([NXYZ])(\.\.)?(\d+)")
_BRACKETS = re.compile(r"\((\d{2,4})\)([^(]*)")
_PATH = re.compile(rf"(?:^|/)((?:{'|'.join(QUALIFIERS)})/[^/]+(?:/\d{{2,4}}/[^/]+)*)/?$")


def in_address(url: str) -> str | None:
    """Return what ``url`` (encoded, http or https) holds as ``01/09506000134352/10/ABC?17=261231``, or None if it is no Digital Link."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    found = _PATH.search(parts.path)
    if not found:
        return None
    return found[1] + (f"?{parts.query}" if parts.query else "")


def read(written: str) -> Code:
    """Return the code of ``01/GTIN/10/LOT?17=DATE`` (percent-encoded) or ``(01)GTIN(10)LOT``.

    Without lot and serial it is the GTIN, ISBN or ISMN itself.

    Raises:
        WrongCode: it is none.
    """
    text = written.strip()
    pairs, attributes = _in_brackets(text) if text.startswith("(") else _in_path(text)
    if not pairs:
        raise WrongCode("not-a-code", "a GS1 code is a key such as 01/GTIN, perhaps with /10/LOT and /21/SERIAL")
    if len(pairs) + len(attributes) > MOST_PAIRS:
        raise WrongCode("too-long", f"a GS1 code has at most {MOST_PAIRS} application identifiers here")
    (key, value), qualifiers = pairs[0], pairs[1:]
    if key not in QUALIFIERS:
        raise WrongCode("not-a-code", f"({key}) is no key that a GS1 Digital Link begins with")
    if key == "01" and value.isascii() and value.isdigit() and len(value) in goods.LENGTHS:
        value = value.zfill(14)
    for name, of in (*qualifiers, *attributes):
        if name in QUALIFIERS[key] or (name, of) in attributes:
            _verify(name, of)
        else:
            raise WrongCode(
                "not-a-code", f"({name}) does not qualify ({key}): {', '.join(QUALIFIERS[key]) or 'nothing does'}"
            )
    for listed, what in ((qualifiers, "qualifier"), (attributes, "attribute")):
        if len({name for name, _ in listed}) != len(listed):
            raise WrongCode("not-a-code", f"a {what} is given twice")
    ordered = sorted(qualifiers, key=lambda pair: QUALIFIERS[key].index(pair[0]))
    _verify(key, value, lambda right: read(_spelled([(key, right), *ordered], sorted(attributes))).canonical)
    if key == "01" and not qualifiers and not attributes:
        return goods.read(value)
    return made("gs1", _spelled([(key, value), *ordered], sorted(attributes)))


def broader(text: str) -> Iterable[Code]:
    """Yield the codes of what the thing is one of: without attributes, without serial, without lot, the GTIN itself."""
    path, _, query = text.partition("?")
    pairs, _ = _in_path(path)
    if query:
        yield read(path)
    for count in range(len(pairs) - 1, 0, -1):
        yield read(_spelled(pairs[:count], []))


def _in_path(text: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    path, _, query = text.partition("?")
    segments = path.strip("/").split("/")
    if len(segments) % 2:
        raise WrongCode("not-a-code", "a GS1 code is pairs of application identifier and value")
    pairs = [(name, unquote(of)) for name, of in zip(segments[::2], segments[1::2], strict=True)]
    given = parse_qsl(query, max_num_fields=MOST_PAIRS * 4) if query.count("&") < MOST_PAIRS * 4 else []
    # Other parameters, such as linkType, speak to the resolver; they are not part of the code.
    return pairs, [(name, of) for name, of in given if re.fullmatch(r"[0-9]{2,4}", name)]


def _in_brackets(text: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    if not re.fullmatch(rf"(?:{_BRACKETS.pattern})+", text):
        return [], []
    found = [(str(name), str(of).strip()) for name, of in _BRACKETS.findall(text)]
    keys = [pair for pair in found if pair[0] in QUALIFIERS]
    if len(keys) != 1:
        return [], []
    allowed = QUALIFIERS[keys[0][0]]
    return (
        keys + [pair for pair in found if pair[0] in allowed],
        [pair for pair in found if pair[0] not in allowed and pair not in keys],
    )


def _spelled(pairs: list[tuple[str, str]], attributes: list[tuple[str, str]]) -> str:
    path = "/".join(f"{name}/{quote(of, safe='')}" for name, of in pairs)
    query = "&".join(f"{name}={quote(of, safe='')}" for name, of in attributes)
    return f"{path}?{query}" if query else path


def _verify(name: str, of: str, whole: Callable[[str], str] | None = None) -> None:
    """Do nothing if ``of`` is a value of the application identifier ``name``; ``whole`` spells the code with another value of its key.

    Raises:
        WrongCode: it is none.
    """
    form, title = _form(name)
    if form is None:
        raise WrongCode("not-a-code", f"({name}) is no application identifier of GS1")
    length = CHECKED.get(name)
    head = of[:length]

    def holds(text: str) -> bool:
        right = whole is not None and form.fullmatch(text + of[length:]) is not None
        return right and str(ean.calc_check_digit(text[:-1])) == text[-1]

    def spelled(text: str) -> str:
        return whole(text + of[length:]) if whole else ""

    if not form.fullmatch(of) or of in (".", ".."):
        told = f"'{of[:60]}' is no value of ({name}) {title}"
        raise misshapen(head, told, length, holds, spelled) if length else WrongCode("not-a-code", told)
    if length:
        verify(f"({name}) {title}", head, str(ean.calc_check_digit(head[:-1])), holds, spelled)


@lru_cache(maxsize=1024)
def _form(name: str) -> tuple[re.Pattern[str] | None, str]:
    """Return the form of the application identifier's values and its title."""
    found = numdb.get("gs1_ai").info(name)
    if len(found) != 1 or found[0][0] != name or "format" not in found[0][1]:
        return None, ""
    told = found[0][1]
    pattern = "".join(_element(part) for part in str(told["format"]).replace("[+", "+[").split("+"))
    return re.compile(pattern), str(told.get("name", ""))


def _element(part: str) -> str:
    optional = part.startswith("[")
    found = _ELEMENT.fullmatch(part.strip("[]"))
    if not found:
        return r"[!-~]{1,90}"  # a form that is not known here
    kind, upto, length = found.groups()
    pattern = f"{_SETS[kind]}{{{'1,' if upto else ''}{length}}}"
    return f"(?:{pattern})?" if optional else pattern


def _parts(text: str) -> dict[str, str]:
    path, query = text.partition("?")[::2]
    pairs, attributes = _in_path(f"{path}?{query}")
    return {f"({name}) {_form(name)[1]}": of for name, of in (*pairs, *attributes)}


GS1 = Scheme(
    name="gs1",
    title="GS1 Digital Link: an item with its lot, serial and dates",
    chinese="GS1 数字链接（批次、序列号）",
    standard="GS1 Digital Link: URI Syntax",
    check="modulo 10 with the weights 1, 3 in the key",
    example="gs1:01/06901234567892/10/A1/21/12345?17=261231",
    read=read,
    show=lambda text: f"{HOST}/{text}",
    parts=_parts,
    uri=lambda text: f"{HOST}/{text}",
    raw=True,
)
