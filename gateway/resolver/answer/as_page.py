"""The page a person sees who follows a QR code or opens an identifier in a browser, in Chinese and English. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import segno
from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

from gateway.resolver.answer.as_json import address, visible
from gateway.resolver.answer.outcome import Document, Source
from gateway.resolver.answer.words import FIELDS, OTHER, STATES, Word
from gateway.resolver.codes import SCHEMES, Code, parse
from gateway.resolver.vocabulary import KINDS
from gateway.resolver.walk_formats import About

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"  # the page loads nothing
LONGEST_PICTURE = 300  # bytes of an address that a QR code holds and a telephone still reads


@dataclass(frozen=True)
class Row:
    """One thing that is known."""

    zh: str
    en: str
    text: str


@dataclass(frozen=True)
class Item:
    """Something to go on to."""

    href: str
    text: str
    small: str = ""


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    title: str
    state: Word
    sentences: Sequence[str] = ()
    play: str | None = None
    likely: Sequence[Item] = ()
    rows: Sequence[Row] = ()
    lists: Sequence[tuple[str, Sequence[Item]]] = ()
    picture: Markup | None = None
    display: str = ""
    stale: bool = False
    footer: str = ""
    json: str = ""

    def __str__(self) -> str:
        return str(_template().render(page=self))


def of_document(
    code: Code, found: Document, source: Source, now: datetime, hidden: Collection[str], about: About, host: str | None
) -> Page:
    """Return the page of what is known; ``host`` (``http://10.20.0.11:8080``) is how the asker reached the resolver."""
    known, scheme = found.known, SCHEMES[code.scheme]
    rows = [
        Row("标识", "identifier", code.display),
        Row("体系", "scheme", f"{scheme.chinese} · {scheme.title}"),
        Row("主体", "body", known.body),
        *(Row(FIELDS.get(name, ""), name, text) for name, text in known.metadata.items()),
    ]
    links = [
        Item(
            address(link["target"]),
            str(about.get(link["target"], {}).get("title") or _display(link["target"])),
            f"{_kind(link['type'])} · {_display(link['target'])}",
        )
        for link in visible(known.links, hidden)
    ]
    others = [
        Item(place.url, place.url, "" if place.fits else "为另一种屏幕制作 · made for other screens")
        for place in found.places
        if place.url and place.url != found.playable
    ]
    successor = [Item(address(known.successor), _display(known.successor))] if known.successor else []
    return Page(
        title=known.title,
        state=STATES[known.status],
        play=found.playable,
        rows=rows,
        lists=[("取而代之 · Superseded by", successor), ("关联 · Links", links), ("其他位置 · Other places", others)],
        picture=picture(f"{host}{address(code.canonical)}") if host else None,
        display=code.display,
        stale=source.stale(now),
        footer=f"{source.registry} · {source.made.isoformat(timespec='seconds')} ·",
        json=f"{address(code.canonical)}?format=json",
    )


def of_failure(
    reason: str, sentence: str, title: str = "", likely: Sequence[tuple[str, str]] = (), code: Code | None = None
) -> Page:
    """Return the page that tells why there is nothing; ``likely`` are (canonical code, title) that may have been meant."""
    state = STATES.get(reason, OTHER)
    return Page(
        title=title or (code.display if code else str(state)),
        state=state,
        sentences=[sentence],
        likely=[Item(address(one), _display(one), name) for one, name in likely],
        rows=[Row("标识", "identifier", code.display), Row("体系", "scheme", str(SCHEMES[code.scheme].chinese))]
        if code
        else (),
    )


@lru_cache(maxsize=256)
def picture(url: str) -> Markup | None:
    """Return the QR code of ``url`` as SVG, None where it would be too fine to be read."""
    if len(url.encode()) > LONGEST_PICTURE:
        return None
    drawn = segno.make(url, error="m", micro=False).svg_inline(scale=4, omitsize=True, svgclass=None, lineclass=None)
    return Markup(drawn)  # noqa: S704 (segno's own; it holds numbers alone)


def _kind(name: str) -> str:
    kind = KINDS.get(name)
    return f"{kind.zh} · {kind.en}" if kind else name


def _display(code: str) -> str:
    return parse(code).display


@lru_cache(maxsize=1)
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=loader, autoescape=True, keep_trailing_newline=True).get_template("identifier.html")
