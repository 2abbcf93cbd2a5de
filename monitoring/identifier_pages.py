"""The pages about identifiers: JSON values as the API tells them -> HTML, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from appliance.runtime.languages import Language
from gateway.resolver.vocabulary import KINDS
from monitoring import pages
from monitoring.content_pages import link
from monitoring.graph import HIGH, WIDE, draw
from monitoring.words import word

SCHEMES = {  # what people know a scheme by
    "isli": "ISLI", "hdl": "Handle", "doi": "DOI", "isbn": "ISBN", "issn": "ISSN", "ismn": "ISMN", "isrc": "ISRC", "isan": "ISAN",
    "isni": "ISNI", "eidr": "EIDR", "grid": "GRid", "gtin": "GTIN", "gs1": "GS1 Digital Link", "oid": "OID", "isil": "ISIL",
    "dci": "DCI", "dfi": "DFI",
}  # fmt: skip
PARTS = {  # of a code, as the schemes call them -> Chinese
    "service code": "服务编码", "link code": "关联编码", "check digit": "校验码", "check character": "校验码",
    "prefix": "前缀", "suffix": "后缀",
    "digits": "数字", "group": "组区号", "publisher": "出版者号", "title": "出版序号", "registrant": "登记者", "year": "年份",
    "designation": "序号", "library": "图书馆", "organisation code": "组织机构代码", "indicator": "包装指示符",
}  # fmt: skip
REASONS = {  # why a text is no code, in Chinese; the sentence beside it says more
    "wrong-check-digit": "校验码不对，有一位写错了。", "not-a-code": "这不是一个标识。", "wrong-length": "长度不对。",
    "too-long": "太长了。",
    "unknown-scheme": "未知的标识体系。", "ambiguous-code": "可能属于多个标识体系，请写明是哪一个。",
}  # fmt: skip
DEPTHS = (1, 2, 3)
SHORTEST = 11  # characters of a title that fit a box of the drawing
PLACE = "/identifiers"


def render(
    page: str, told: Mapping[str, Any], lang: Language, *, path: str, query: Mapping[str, str], live: bool = False
) -> str:
    """Return the ``page`` (``identifiers`` or ``identifier``) that shows ``told``, or only the part of it that changes (``live``)."""
    part = {"identifiers": "identifiers_list.html", "identifier": "identifier_one.html"}[page]
    kept = {name: value for name, value in query.items() if name not in ("lang", "part") and value}
    heading = word("place_identifiers", lang)
    if page == "identifier":
        record = told.get("record") or {}
        heading = record.get("title") or told.get("display") or told["asked"]
    return pages.render(
        part if live else "content.html",
        lang,
        told=told,
        part=part,
        place=PLACE,
        heading=heading,
        api=f"/api{quote(path)}",
        link=partial(link, lang),
        here=lambda other: f"?{urlencode({**kept, 'lang': other})}",
        scheme=lambda name: SCHEMES.get(name, "统一社会信用代码" if lang == "zh" else "USCC") if name else "",
        type_of=partial(type_of, lang),
        short=short,
        part_name=lambda name: PARTS.get(name, name) if lang == "zh" else name,
        why=lambda reason: REASONS.get(reason, "") if lang == "zh" else "",
        drawing=draw(told["graph"]) if told.get("graph") else None,
        depths=DEPTHS,
        wide=WIDE,
        high=HIGH,
    )


def type_of(lang: Language, name: str) -> str:
    """Return a type of link as people read it; one that the vocabulary lacks is its own name."""
    return KINDS[name].word(lang) if name in KINDS else name


def short(title: str) -> str:
    """Return as much of ``title`` as fits a box; wide characters count double."""
    room, kept = 2 * SHORTEST, ""
    for character in title:
        room -= 2 if ord(character) >= 0x2E80 else 1
        if room < 0:
            return kept.rstrip() + "…"
        kept += character
    return kept
