"""What a catalogue says of one thing: fields as they are written -> ``Entry``, with everything that is wrong in them; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.runtime.errors import Refused
from gateway.resolver import codes
from gateway.resolver.vocabulary import kind_of

LONGEST_TITLE = 400  # characters, as a record's
LONGEST_KEY = 200  # characters
MOST_NAMES = 32  # of one entry
MOST_IDENTIFIERS = 32
MOST_LINKS = 256

# What a catalogue calls the kind of a thing -> the few that tell whether one may be the other's multimedia.
KINDS = {
    "text": "text book books 图书 书 圖書 期刊 serial journal article 文献 古籍 manuscript 手稿 论文 languagematerial",
    "film": "film video movie movingimage 电影 電影 视频 影视 录像 动画 电视剧 纪录片",
    "sound": "sound audio music soundrecording 音频 音乐 录音 歌曲",
    "score": "score notatedmusic 乐谱 曲谱",
    "image": "image stillimage picture photo photograph 图片 照片 图像 年画 绘画",
    "map": "map cartographic 地图",
    "object": "object physicalobject 实物 文物 器物 展品",
}
_KINDS = {word: kind for kind, words in KINDS.items() for word in words.split()}
_YEAR = re.compile(r"(?<!\d)(1[0-9]{3}|20[0-9]{2})(?!\d)")
_TAIL = re.compile(r"[(（:：;；,，].*", re.DOTALL)  # 978-7-... (平装) : CNY 35.00
OPAQUE = ("doi", "hdl", "eidr", "dci", "oid")  # schemes in which such a tail may be part of the code
PERHAPS = "?"  # the scheme of what may be an identifier, or a number of the catalogue's own


@dataclass(frozen=True)
class Raw:
    """One row or record, as its file has it; nothing is checked yet."""

    key: str = ""  # the catalogue's own number of it
    code: str = ""  # the identifier that its institution gave it
    title: str = ""
    kind: str = ""
    year: str = ""
    names: tuple[str, ...] = ()  # who made it
    identifiers: tuple[tuple[str, str], ...] = ()  # (scheme, "" or PERHAPS, text)
    links: tuple[tuple[str, str], ...] = ()  # (type of link, code)


@dataclass(frozen=True)
class Entry:
    """One thing of a catalogue."""

    key: str
    code: str | None  # canonical; without one nothing can be registered from it
    title: str
    kind: str = ""  # a key of KINDS
    year: int | None = None
    names: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()  # canonical, without its own code
    links: tuple[tuple[str, str], ...] = ()  # (type, canonical target): what the catalogue itself says


@dataclass(frozen=True)
class RowFault:
    """One fault of one row (or record) of a file, counted from 1; ``whole``: the row was left out for it."""

    row: int
    reason: str
    sentence: str
    whole: bool = True


@dataclass
class Reader:
    """Turns rows into entries and keeps what is wrong with the row at hand."""

    wrong: list[RowFault] = field(default_factory=list)

    def entry(self, row: int, raw: Raw) -> Entry | None:
        """Return the entry of ``raw``, or None where it is of no use; ``wrong`` has every fault of it."""
        self.wrong = []
        title = line(raw.title)
        if not title:
            self._add(row, "no-title", "there is no title", whole=True)
        if len(title) > LONGEST_TITLE:
            title = title[: LONGEST_TITLE - 1] + "…"
            self._add(row, "too-long", f"the title has more than {LONGEST_TITLE} characters: the rest is left out")
        code = self._code(row, "", raw.code, whole=True) if raw.code.strip() else None
        others = [self._code(row, scheme, text) for scheme, text in raw.identifiers[:MOST_IDENTIFIERS] if text.strip()]
        if len(raw.identifiers) > MOST_IDENTIFIERS:
            self._add(row, "too-many", f"more than {MOST_IDENTIFIERS} identifiers: the rest is left out")
        links = [found for link in raw.links[:MOST_LINKS] if (found := self._link(row, *link))]
        if len(raw.links) > MOST_LINKS:
            self._add(row, "too-many", f"more than {MOST_LINKS} links: the rest is left out")
        if any(wrong.whole for wrong in self.wrong):
            return None
        year = _YEAR.search(raw.year[:100])
        names = tuple(dict.fromkeys(name for name in map(line, raw.names[:MOST_NAMES]) if name))
        return Entry(
            key=line(raw.key)[:LONGEST_KEY] or code or f"#{row}",
            code=code,
            title=title,
            kind=kind(raw.kind),
            year=int(year[1]) if year else None,
            names=tuple(name[:LONGEST_KEY] for name in names),
            identifiers=tuple(dict.fromkeys(other for other in others if other and other != code)),
            links=tuple(dict.fromkeys(link for link in links if link[1] != code)),
        )

    def _code(self, row: int, scheme: str, text: str, *, whole: bool = False) -> str | None:
        written = text.strip() if scheme in ("", PERHAPS, *OPAQUE) else _TAIL.sub("", text.strip())
        try:
            return codes.parse(f"{scheme}:{written}" if scheme not in ("", PERHAPS) else written).canonical
        except codes.WrongCode as error:
            if scheme == PERHAPS and error.reason in ("not-a-code", "unknown-scheme", "too-long"):
                return None
            self._add(row, error.reason, f"{text.strip()[:80]!a}: {error}", whole=whole)
            return None

    def _link(self, row: int, name: str, text: str) -> tuple[str, str] | None:
        try:
            kind = kind_of(name).name
        except Refused as error:
            self._add(row, error.reason, str(error))
            return None
        code = self._code(row, "", text)
        return (kind, code) if code else None

    def _add(self, row: int, reason: str, sentence: str, *, whole: bool = False) -> None:
        self.wrong.append(RowFault(row, reason, sentence, whole))


def line(text: str) -> str:
    """Return ``text`` as one printable line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:4000]).split())


def kind(text: str) -> str:
    """Return which of KINDS ``text`` means, or ``""``."""
    return _KINDS.get("".join(text[:60].lower().split()), "")


def split(text: str) -> Iterable[str]:
    """Return the parts of a cell that holds several values, separated by semicolons or bars."""
    return (part.strip() for part in re.split(r"[;；|]", text) if part.strip())
