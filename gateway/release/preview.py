"""A draft -> the page that shows people what it would look like: one file of HTML that needs nothing else and runs no script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from appliance.runtime.errors import Corrupt, Fault
from gateway.release import grants, media, paths
from gateway.release.amounts import bits, clock, size_of
from gateway.release.draft import Draft
from gateway.release.folder import bounded
from gateway.release.manifest import Source
from gateway.release.pictures import Picture
from gateway.release.playlists import Rendition
from gateway.release.preview_words import Language, said, word, words

MOST_TEXTS = 3
LONGEST_TEXT = 600  # characters of an excerpt
MOST_LADDERS = 6
_KINDS = (
    ("playlists", ("application/vnd.apple.mpegurl", "application/dash+xml")),
    ("video", ("video/",)),
    ("audio", ("audio/",)),
    ("subtitles", ("text/vtt", "application/x-subrip", "application/ttml+xml")),
    ("images", ("image/",)),
    ("models", ("model/",)),
    ("pages", ("text/html", "text/css", "text/javascript", "application/wasm")),
    ("texts_kind", ("text/", "application/pdf", "application/epub+zip", "application/json", "application/xml")),
)
_READ = ("text/plain", "text/markdown")


@dataclass(frozen=True)
class Kind:
    """All files of one kind."""

    name: str
    count: int
    bytes: int
    largest: str
    largest_bytes: int


@dataclass(frozen=True)
class Ladder:
    """The renditions of one master playlist or presentation."""

    name: str
    seconds: float
    renditions: tuple[Rendition, ...]

    @property
    def widest(self) -> int:
        """The highest bandwidth, in bits a second."""
        return max([each.bandwidth for each in self.renditions] or [0]) or 1


@dataclass(frozen=True)
class Told:
    """A fault or a warning, as the page says it."""

    place: str
    message: str
    hint: str


@dataclass(frozen=True)
class Excerpt:
    """How a text begins."""

    name: str
    text: str


@dataclass(frozen=True)
class Used:
    """A source, and how its grant stands."""

    act: str
    release: str
    body: str
    grant: str


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    title: str
    description: str
    identifier: str
    body: str
    entry: str
    labels: tuple[str, ...]
    rights: tuple[str, ...]
    sources: tuple[Used, ...]
    seconds: float
    files: int
    bytes: int
    kinds: tuple[Kind, ...]
    ladders: tuple[Ladder, ...]
    pictures: tuple[Picture, ...]
    more_pictures: int
    texts: tuple[Excerpt, ...]
    faults: tuple[Told, ...]
    warnings: tuple[Told, ...]
    made: str


def page(
    draft: Draft,
    pictures: tuple[Picture, ...],
    read: Callable[[str, int], bytes],
    language: Language,
    now: datetime,
) -> Page:
    """Return what the page of ``draft`` shows, with thumbnails ``pictures``; ``read`` gives a file's first bytes."""
    written = draft.description.written
    ladders = ladders_of(draft)
    images = sum(media.type_of(path).startswith("image/") for path in draft.sizes)
    return Page(
        title=written.title or "",
        description=written.description,
        identifier=written.identifier or "",
        body=written.body or "",
        entry=draft.entry,
        labels=written.labels,
        rights=tuple(rights_of(draft, language)),
        sources=tuple(_used(source, language) for source in draft.description.sources),
        seconds=max([each.seconds for each in ladders] or [0.0]),
        files=len(draft.sizes),
        bytes=sum(draft.sizes.values()),
        kinds=kinds_of(draft.sizes),
        ladders=ladders,
        pictures=pictures,
        more_pictures=images - len(pictures),
        texts=tuple(_excerpts(draft.sizes, read)),
        faults=tuple(_told(draft, fault, language) for fault in bounded(list(draft.faults))),
        warnings=tuple(_told(draft, fault, language) for fault in draft.warnings),
        made=now.isoformat(timespec="minutes"),
    )


def render(shown: Page, language: Language) -> str:
    """Return the page as HTML."""
    templates = Environment(
        loader=PackageLoader("gateway.release"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"size": size_of, "bits": bits, "clock": clock}
    style = (resources.files("gateway.release") / "templates" / "preview.css").read_text()
    return templates.get_template("preview.html").render(
        page=shown,
        language=language,
        style=Markup(style),  # noqa: S704 (our own file)
        word=lambda name, **filled: word(language, name, **filled),
    )


def ladders_of(draft: Draft) -> tuple[Ladder, ...]:
    """Return the renditions that each master playlist and presentation of ``draft`` offers, and how long they play."""
    found = []
    for path, playlist in draft.structure.playlists.items():
        if playlist.renditions:
            named = draft.structure.names.get(path, [])
            inner = [draft.structure.playlists[each] for each in named if each in draft.structure.playlists]
            found.append(Ladder(path, max([each.seconds for each in inner] or [0.0]), playlist.renditions))
    found += [Ladder(path, each.seconds, each.renditions) for path, each in draft.structure.presentations.items()]
    if not found:
        for path, playlist in draft.structure.playlists.items():
            found.append(Ladder(path, playlist.seconds, (Rendition(path),)))
    return tuple(found[:MOST_LADDERS])


def kinds_of(sizes: Mapping[str, int]) -> tuple[Kind, ...]:
    """Return the files ``sizes`` by kind."""
    sorted_in: dict[str, list[str]] = {name: [] for name, _ in (*_KINDS, ("others", ()))}
    for path in sizes:
        kind = media.type_of(path)
        sorted_in[next((name for name, types in _KINDS if kind.startswith(types)), "others")].append(path)
    return tuple(
        Kind(name, len(each), sum(sizes[path] for path in each), largest, sizes[largest])
        for name, each in sorted_in.items()
        if each
        for largest in [max(each, key=lambda path: sizes[path])]
    )


def rights_of(draft: Draft, language: Language) -> list[str]:
    """Return the rights in words."""
    rights = draft.description.written.rights

    def say(name: str, **filled: object) -> str:
        return word(language, name, **filled)

    comma = "、" if language == "zh" else ", "
    zones = comma.join(say(zone) if zone in words() else zone for zone in rights.zones) or say("unsaid")
    lines = [say("on_zones", zones=zones)]
    lines.append(say("every_screen") if len(set(rights.screens)) != 1 else say(f"screen_{rights.screens[0]}"))
    lines.append(say("only_in", codes=comma.join(rights.territories)) if rights.territories else say("everywhere"))
    times = [
        say(name, time=moment.isoformat(sep=" ", timespec="minutes"))
        for name, moment in (("since", rights.since), ("until", rights.until))
        if moment
    ]
    lines.append(comma.join(times) or say("any_time"))
    lines.append(say("only_bodies", bodies=comma.join(rights.bodies)) if rights.bodies else say("any_body"))
    return lines


def _excerpts(sizes: Mapping[str, int], read: Callable[[str, int], bytes]) -> list[Excerpt]:
    chosen = [path for path in sizes if media.type_of(path).startswith(_READ)][:MOST_TEXTS]
    found = []
    for path in chosen:
        text = read(path, 4 * LONGEST_TEXT).decode(errors="replace")
        found.append(Excerpt(path, text[:LONGEST_TEXT] + (" …" if len(text) > LONGEST_TEXT else "")))
    return found


def _used(source: Source, language: Language) -> Used:
    told = word(language, "no_grant")
    try:
        until = grants.claimed(source.grant.encode()).until
        told = word(language, "granted")
        if until is not None:
            told += " · " + word(language, "until_grant", time=until.isoformat(sep=" ", timespec="minutes"))
    except Corrupt:
        pass
    return Used(source.act, source.release, source.body, told)


def _told(draft: Draft, fault: Fault, language: Language) -> Told:
    place = fault.file.removeprefix(f"{draft.folder}/") + (f":{fault.line}" if fault.line > 1 else "")
    message = said(fault.message, language)
    return Told(paths.shown(place), (f"{fault.path}: " if fault.path else "") + message, said(fault.hint, language))
