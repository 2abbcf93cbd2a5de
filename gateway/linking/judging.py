"""Two entries -> whether one should be linked to the other, how, how surely (0 to 1) and why; pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rapidfuzz import fuzz

from gateway.linking import names
from gateway.linking.entries import Entry
from gateway.linking.proposals import Basis, Proposal, Why
from gateway.resolver.vocabulary import KINDS

ALIKE = 0.84  # titles less alike than this are different titles
LEAST = 0.6  # proposals less sure than this only tire the curator
SHORT = 3  # characters of a title that says little
COMMON = 4  # entries of one title, from which on the title says little
MEDIA = ("film", "sound", "image")
SERIES = ("issn",)  # an identifier of the series that a thing belongs to
OF_ONE_THING = ("isbn", "ismn", "isrc", "isan", "eidr", "doi", "hdl", "gtin", "grid", "isli", "dci")


@dataclass(frozen=True)
class Thing:
    """An entry with what it is compared by; ``body`` is empty for the institution's own."""

    number: int
    entry: Entry
    body: str = ""

    @property
    def ours(self) -> bool:
        """Whether its links are the institution's to register."""
        return not self.body

    @cached_property
    def key(self) -> str:
        """The title's key."""
        return names.key(self.entry.title)

    @cached_property
    def main(self) -> str:
        """The key of the title proper."""
        return names.main(self.entry.title)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The numbers in its title."""
        return names.numbers(self.entry.title)

    @cached_property
    def people(self) -> dict[str, str]:
        """Keys of who made it -> the names as written."""
        return {key: name for name in self.entry.names if (key := names.person(name))}

    @property
    def reference(self) -> str | None:
        """The code that others link to: its own, or an identifier that names just this thing."""
        if self.entry.code is not None:
            return self.entry.code
        return next((c for c in self.entry.identifiers if c.partition(":")[0] in OF_ONE_THING), None)


def by_identifier(a: Thing, b: Thing, code: str) -> Proposal | None:
    """Return the link of two things that both have the identifier ``code``."""
    alike = likeness(a, b)
    if code.partition(":")[0] in SERIES:
        return _made(a, b, "related", 0.7, "identifier", [Why("shared-series", (code,))])
    if code.partition(":")[0] not in OF_ONE_THING:
        return None
    why = [Why("shared", (code,))]
    score = 0.9 + 0.08 * alike
    if alike < 0.5:
        why.append(Why("title-differs"))
        score = 0.65
    elif alike == 1:
        why.append(Why("title-equal"))
    if a.parts != b.parts and alike < 1:
        why.append(Why("parts-differ"))
        score = min(score, 0.7)
    return _made(a, b, "is-equivalent-to", score, "identifier", why)


def by_name(a: Thing, b: Thing, same_title: int = 2) -> Proposal | None:
    """Return the link of two things whose titles are alike, or None; ``same_title``: how many entries have that very title."""
    alike, proper = likeness(a, b), a.main == b.main
    if (alike < ALIKE and not proper) or a.parts != b.parts:
        return None
    equal = alike == 1
    if equal or proper:
        why = [Why("title-equal" if equal else "main-equal")]
        alike = max(alike, 0.95)
    else:
        why = [Why("title-alike", (str(round(100 * alike)),))]
    people, year = _people(a, b, why), _year(a, b, why)
    score = 0.55 * (1 if equal else alike - 0.1) + 0.3 * people + 0.15 * year
    if min(len(a.main), len(b.main)) < SHORT and people < 1:
        why.append(Why("title-short"))
        score -= 0.2
    if same_title >= COMMON and people < 1:
        why.append(Why("title-common", (str(same_title),)))
        score -= 0.15
    kinds = (a.entry.kind, b.entry.kind)
    kind = "is-equivalent-to"
    if "" not in kinds and kinds[0] != kinds[1]:
        score -= 0.05
        kind = "multimedia" if (kinds[0] in MEDIA) != (kinds[1] in MEDIA) else "related"
    if kind == "multimedia" and kinds[0] in MEDIA:  # a multimedia link leads from the thing to its film, sound or image
        a, b = b, a
    if kind == "multimedia" and not a.ours:
        kind = "related"
    if kind != "is-equivalent-to":
        why.append(Why("kinds", (a.entry.kind, b.entry.kind)))
    return _made(a, b, kind, min(score, 0.95), "name", why)


def own_identifiers(thing: Thing) -> list[Proposal]:
    """Return the links from a thing to the identifiers that its catalogue gives it."""
    if not thing.ours or thing.entry.code is None:
        return []
    source, title = thing.entry.code, thing.entry.title
    return [
        Proposal(source, "identification", code, 0.99, "identifier", (Why("has-identifier", (code,)),), title)
        for code in thing.entry.identifiers
    ]


def stated(thing: Thing, titles: dict[str, tuple[str, str]]) -> list[Proposal]:
    """Return the links that the catalogue itself states; ``titles`` has code -> (title, body) of what is known here."""
    if not thing.ours or thing.entry.code is None:
        return []
    found = []
    for kind, target in thing.entry.links:
        title, body = titles.get(target, ("", ""))
        why = (Why("stated", (kind,)),)
        found.append(Proposal(thing.entry.code, kind, target, 0.97, "stated", why, thing.entry.title, title, body))
    return found


def likeness(a: Thing, b: Thing) -> float:
    """Return how alike the titles are, 1 for the same."""
    if a.key == b.key:
        return 1.0
    return min(0.99, max(fuzz.ratio(a.key, b.key), fuzz.token_sort_ratio(a.key, b.key)) / 100)


def _people(a: Thing, b: Thing, why: list[Why]) -> float:
    if not a.people or not b.people:
        return 0.5
    shared = [name for key, name in a.people.items() if key in b.people]
    if shared:
        why.append(Why("names-shared", (", ".join(shared[:3]),)))
        return 1.0
    why.append(Why("names-differ"))
    return 0.0


def _year(a: Thing, b: Thing, why: list[Why]) -> float:
    one, other = a.entry.year, b.entry.year
    if one is None or other is None:
        return 0.5
    if one == other:
        why.append(Why("year-equal", (str(one),)))
        return 1.0
    why.append(Why("year-differs", (str(one), str(other))))
    return 0.3 if abs(one - other) == 1 else 0.0


def _made(a: Thing, b: Thing, kind: str, score: float, basis: Basis, why: list[Why]) -> Proposal | None:
    """Return the proposal from that of both which is the institution's own and has a code; of a symmetric type either may be the source."""
    if KINDS[kind].symmetric and (not a.ours or a.entry.code is None or (b.ours and _lower(b, a))):
        a, b = b, a
    source, target = a.entry.code, b.reference
    if not a.ours or source is None or target is None or source == target:
        return None
    if target in a.entry.identifiers:  # an identification says that already
        return None
    score = round(max(0.0, min(1.0, score)), 3)
    return Proposal(source, kind, target, score, basis, tuple(why), a.entry.title, b.entry.title, b.body)


def _lower(one: Thing, other: Thing) -> bool:
    return one.entry.code is not None and (other.entry.code is None or one.entry.code < other.entry.code)
