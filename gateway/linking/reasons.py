"""Why a link is proposed, in words that a curator reads, Chinese and English."""

from __future__ import annotations

import json
from collections.abc import Iterable

from gateway.linking.proposals import Why
from gateway.resolver.vocabulary import kind_of

WORDS: dict[str, tuple[str, str]] = {
    "has-identifier": ("馆藏目录记载它的标识是 {0}", "the catalogue gives it the identifier {0}"),
    "stated": ("目录的“{0}”字段指向它", "the catalogue names it under '{0}'"),
    "shared": ("两者都有 {0}", "both have {0}"),
    "shared-series": ("属于同一连续出版物 {0}", "both belong to the serial {0}"),
    "title-equal": ("题名相同", "the titles are the same"),
    "main-equal": ("正题名相同", "the titles proper are the same"),
    "title-alike": ("题名相似 {0}%", "the titles are {0} % alike"),
    "title-differs": ("但题名不同", "but the titles differ"),
    "title-short": ("题名很短，容易重名", "the title is short, and so easily another's too"),
    "title-common": ("同名者有 {0} 个", "{0} entries have this title"),
    "names-shared": ("责任者相同：{0}", "made by the same: {0}"),
    "names-differ": ("但责任者不同", "but made by others"),
    "year-equal": ("年份相同：{0}", "of the same year, {0}"),
    "year-differs": ("但年份不同：{0} 与 {1}", "but of different years, {0} and {1}"),
    "kinds": ("类型不同：{0} 与 {1}", "of different kinds: {0} and {1}"),
    "parts-differ": ("但卷册号不同", "but the numbers of the parts differ"),
}
KINDS = {
    "text": "图书文献", "film": "影视", "sound": "音频", "score": "乐谱", "image": "图像", "map": "地图", "object": "实物",
}  # fmt: skip
_GAPS = {"zh": "；", "en": "; "}


def told(why: Iterable[Why], language: str) -> str:
    """Return the grounds as one sentence."""
    column = 0 if language == "zh" else 1
    parts = []
    for one in why:
        blanks = one.blanks
        if one.word == "kinds" and language == "zh":
            blanks = tuple(KINDS.get(blank, blank) for blank in blanks)
        elif one.word == "stated":
            blanks = tuple(kind_of(blank).word(language) for blank in blanks)
        parts.append(WORDS[one.word][column].format(*blanks))
    return _GAPS["zh" if language == "zh" else "en"].join(parts)


def dump(why: Iterable[Why]) -> str:
    """Return the grounds as the book keeps them."""
    return json.dumps([[one.word, *one.blanks] for one in why], ensure_ascii=False, separators=(",", ":"))


def load(text: str) -> tuple[Why, ...]:
    """Return the grounds that ``dump`` wrote; words that are not known any more are left out."""
    return tuple(Why(word, tuple(blanks)) for word, *blanks in json.loads(text) if word in WORDS)
