"""When two names are the same: NFKC, traditional as simplified Chinese, case and punctuation folded; and what sets volumes apart; pure."""

from __future__ import annotations

import functools
import re
import unicodedata

from opencc import OpenCC

_CHINESE = re.compile("[㐀-鿿]")
_ROLE = re.compile(r"(?<=..)(?:主编|编著|编剧|导演|著|编|译|绘|摄|口述|整理)$")
_QUOTED = re.compile(r"《([^《》]+)》")
_ARTICLE = re.compile(r"^(?:the|an?|le|la|les|der|die|das)\s+")
_NUMERALS = {c: n for n, c in enumerate("零一二三四五六七八九十")} | {"〇": 0, "两": 2, "百": 100}
_PARTS = {"上": "1", "中": "中", "下": "下", "前": "1", "后": "下"}
# 第十二集, 卷三, vol. 4, (上), 上册, 12; what stands in a title by itself, such as 三 of 刘三姐, is no number of a part.
_NUMBER = re.compile(
    r"第\s*([零〇一二两三四五六七八九十百]+|\d+)"
    r"|[卷集册辑部回章期季]\s*([零〇一二两三四五六七八九十百]+|\d+)"
    r"|[(（]\s*([零〇一二两三四五六七八九十百]+|[上中下])\s*[)）]"
    r"|([上中下前后])[册集部卷编篇辑]"
    r"|(\d+)"
)
_ROMAN = re.compile(r"\b(?=[ivx])(x{0,3})(ix|iv|v?i{0,3})\b")
_ROMAN_DIGITS = {"": 0, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9}


@functools.cache
def _simplified() -> OpenCC:
    return OpenCC("t2s")


def plain(text: str) -> str:
    """Return ``text`` in one spelling: compatibility forms folded, simplified Chinese, lower case; punctuation is still there."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return _simplified().convert(text) if _CHINESE.search(text) else text


def key(text: str) -> str:
    """Return what two spellings of one name have in common: ``plain`` without punctuation and leading article."""
    words = "".join(c if c.isalnum() else " " for c in plain(text))
    return _ARTICLE.sub("", " ".join(words.split()))


def main(text: str) -> str:
    """Return the key of the title proper: what stands in 《》 (电影《刘三姐》), or before a colon (刘三姐：电影文学剧本)."""
    told = plain(text)
    if quoted := _QUOTED.search(told):
        return key(quoted[1]) or key(told)
    return key(re.split(r"\s*[:=]\s*", told, maxsplit=1)[0]) or key(told)


def person(text: str) -> str:
    """Return the key of a person's or body's name; ``Zhang, San`` and ``San Zhang`` are one, dates and roles behind are left out."""
    bare = re.sub(r"[(（\[【].*?[)）\]】]", " ", plain(text))  # (1931- ), [美]
    bare = re.sub(r"\d{3,4}\s*-?\s*(?:\d{3,4})?", " ", bare)
    words = "".join(c if c.isalnum() else " " for c in bare).split()
    joined = ("" if _CHINESE.search(bare) else " ").join(sorted(words) if not _CHINESE.search(bare) else words)
    return _ROLE.sub("", joined) if len(joined) > 2 else joined


def numbers(text: str) -> tuple[str, ...]:
    """Return the numbers of volumes, parts and years in a title, in order: titles that differ in these are siblings, not the same."""
    told = plain(text)
    found = [_number(next(group for group in match.groups() if group)) for match in _NUMBER.finditer(told)]
    roman = (10 * len(match[1]) + _ROMAN_DIGITS[match[2]] for match in _ROMAN.finditer(told))
    return (*found, *(str(number) for number in roman if number))


def _number(text: str) -> str:
    if text.isdigit():
        return str(int(text))
    if text in _PARTS:
        return _PARTS[text]
    total, last = 0, 0
    for c in text:
        value = _NUMERALS[c]
        if value >= 10:
            total, last = total + (last or 1) * value, 0
        else:
            last = value
    return str(total + last)


def grams(name: str) -> frozenset[str]:
    """Return the pieces of a key by which near spellings find each other: two characters of Chinese, three of other scripts."""
    joined = name.replace(" ", "")
    size = 2 if _CHINESE.search(joined) else 3
    return frozenset(joined[i : i + size] for i in range(max(1, len(joined) - size + 1)))
