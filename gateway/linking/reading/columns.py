"""Names of columns and keys, in English and Chinese -> the fields of ``Raw``; used for CSV and JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from appliance.runtime.errors import Refused
from gateway.linking.entries import Raw, split
from gateway.resolver.vocabulary import kind_of

# field of Raw, or "identifiers:SCHEME" -> what the column may be called
_NAMES = {
    "key": "id key number 编号 控制号 序号 馆藏号 登录号",
    "code": "code 标识 标识编码 标识码 编码",
    "title": "title name 题名 标题 名称 书名 片名 正题名",
    "kind": "kind type 类型 资源类型",
    "year": "year date 年 年份 日期 出版年 出版日期",
    "names": "names creator creators author authors contributor contributors 责任者 作者 著者 创作者 导演 主创",
    "identifiers:": "identifier identifiers 标识符 其他标识",
    "identifiers:isbn": "isbn 国际标准书号",
    "identifiers:issn": "issn 国际标准刊号",
    "identifiers:ismn": "ismn",
    "identifiers:isrc": "isrc",
    "identifiers:isan": "isan",
    "identifiers:isni": "isni",
    "identifiers:eidr": "eidr",
    "identifiers:grid": "grid",
    "identifiers:gtin": "gtin ean barcode 条码",
    "identifiers:doi": "doi",
    "identifiers:hdl": "hdl handle",
    "identifiers:isli": "isli",
    "identifiers:dci": "dci",
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names.split()}
MANY = ("names", "identifiers", "links")


@cache
def field_of(column: str) -> str:
    """Return what a column called ``column`` holds: a field, ``identifiers:SCHEME``, ``links:TYPE``, or "" where it is not known."""
    plain = "-".join(column.strip().strip("\ufeff").lower().split())[:64]
    if found := _FIELDS.get(plain) or _FIELDS.get(plain.replace("-", "")):
        return found
    try:
        return f"links:{kind_of(plain).name}"
    except Refused:
        return ""


def raw(cells: Iterable[tuple[str, str]]) -> Raw:
    """Return what a row of (column, text) says; a cell of names, identifiers or links may hold several, separated by semicolons."""
    one: dict[str, str] = {}
    names: list[str] = []
    identifiers: list[tuple[str, str]] = []
    links: list[tuple[str, str]] = []
    for column, text in cells:
        field, _, scheme = field_of(column).partition(":")
        if not text or not field:
            continue
        if field == "names":
            names += split(text)
        elif field == "identifiers":
            identifiers += [(scheme, part) for part in split(text)]
        elif field == "links":
            links += [(scheme, part) for part in split(text)]
        else:
            one.setdefault(field, text)
    return Raw(**one, names=tuple(names), identifiers=tuple(identifiers), links=tuple(links))
