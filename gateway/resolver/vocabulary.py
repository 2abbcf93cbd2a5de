"""The types of links between identifiers: KLSV, the vocabulary of GB/T 38378-2019 (table 1), in Chinese and English.

The standard names terms and says what each means; it gives them no URI. ``URIS`` is ours, ``also`` a common term that says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.runtime.errors import Refused

URIS = "tag:headgate,2026:klsv#"  # RFC 4151: a name for ever, that nobody needs to fetch
SKOS = "http://www.w3.org/2004/02/skos/core#"
OWL = "http://www.w3.org/2002/07/owl#"
TERMS = "http://purl.org/dc/terms/"
FOAF = "http://xmlns.com/foaf/0.1/"


@dataclass(frozen=True)
class Kind:
    """One type of link, read from source to target."""

    name: str  # as records carry it
    zh: str
    en: str  # the standard's own word
    means: str  # in Chinese, after the standard
    inverse: (
        str | None
    )  # what the same link is called when it is read from its target; None: the vocabulary has no word
    also: str | None  # URI of a common term

    @property
    def symmetric(self) -> bool:
        """Whether the link says the same from both ends."""
        return self.inverse == self.name

    @property
    def uri(self) -> str:
        """The term as JSON-LD, RDF and linksets name it."""
        return URIS + self.name

    def word(self, language: str) -> str:
        """Return the name for people, ``zh`` or ``en``."""
        return self.zh if language == "zh" else self.en


# name | Chinese | English | what the standard says | inverse ("=": symmetric, "": none) | common term
_TABLE = """
is-equivalent-to | 等同于 | is equivalent to | 两者描述相同知识 | = | skos:exactMatch
standard | 规范 | standard | 目标是经过规范的知识 | |
generic | 上位 | generic | 目标是上位知识 | specific | skos:broader
specific | 下位 | specific | 目标是下位知识 | generic | skos:narrower
related | 相关 | related | 目标是相关知识 | = | skos:related
field | 所属领域 | field | 目标是所属领域 | |
classification | 分类 | classification | 目标是所属分类类目 | | terms:subject
citation | 引文 | citation | 目标是引用的知识或文献 | |
logic | 逻辑关联 | logic | 目标在逻辑上与之关联 | |
sequence | 顺序 | sequence | 目标是时间、地点或数列的顺序 | |
multimedia | 多媒体 | multimedia | 目标是其多媒体 | |
website | 网址 | website | 目标是相关网址 | | foaf:page
source | 来源 | source | 目标是所属来源 | | terms:source
similar | 同类 | similar | 目标是同类别或相似知识 | = |
identification | 标识 | identification | 目标是关联标识符 | | terms:identifier
same-as | 相同 | same as | 两者相同或相等 | = | owl:sameAs
contain | 包含 | contain | 包含目标 | belong-to | terms:hasPart
belong-to | 隶属于 | belong to | 隶属于目标 | contain | terms:isPartOf
opposite | 相反 | opposite | 两者相对或相反 | = |
reason-is | 是其原因 | reason is | 是目标的原因 | result-is |
result-is | 是其结果 | result is | 是目标的结果 | reason-is |
cite | 引用 | cite | 引用目标 | cite-by | terms:references
cite-by | 被引用 | cite by | 被目标引用 | cite | terms:isReferencedBy
used-by | 应用 | used by | 目标应用于此 | |
effect | 影响 | effect | 对目标产生影响 | |
coexist-with | 共现 | coexist with | 两者同时出现 | = |
match | 匹配 | match | 两者相互匹配 | = |
near | 相邻 | near | 两者相邻或相近 | = |
similar-to | 相似 | similar to | 两者相似 | = | skos:closeMatch
is-concept-of | 概念 | is concept of | 目标是其概念描述 | |
cluster-of | 聚类 | cluster of | 目标是其聚类表述 | |
sequence-up | 升序 | sequence up | 依顺序升序关联 | sequence-down |
sequence-down | 降序 | sequence down | 依顺序降序关联 | sequence-up |
"""
_PREFIXES = {"skos": SKOS, "owl": OWL, "terms": TERMS, "foaf": FOAF}


def _kind(line: str) -> Kind:
    name, zh, en, means, inverse, also = (part.strip() for part in line.split("|"))
    prefix, _, term = also.partition(":")
    return Kind(
        name, zh, en, means, name if inverse == "=" else inverse or None, _PREFIXES[prefix] + term if also else None
    )


KINDS: Mapping[str, Kind] = {kind.name: kind for kind in map(_kind, _TABLE.strip().splitlines())}


def kind_of(name: str) -> Kind:
    """Return the type of link called ``name``; blanks, capitals and the term's URI are taken as meant.

    Raises:
        Refused: ``unknown-link-type``: the vocabulary has no such type.
    """
    plain = "-".join(name.removeprefix(URIS)[:64].lower().replace("_", "-").split())
    found = KINDS.get(plain) or _BY_CHINESE.get(plain)
    if found is None:
        raise Refused("unknown-link-type", f"{plain!a} is no type of link of GB/T 38378: {', '.join(KINDS)}", 400)
    return found


def types_of(names: Iterable[str]) -> frozenset[str]:
    """Return the types called ``names``, for a walk that follows these alone.

    Raises:
        Refused: ``unknown-link-type``.
    """
    return frozenset(kind_of(name).name for name in names)


_BY_CHINESE = {kind.zh: kind for kind in KINDS.values()}
