"""The kernel's whole ruleset of the namespace we are in, in one consistent dump."""

from __future__ import annotations

from dataclasses import replace

from gateway.isolation.nfnl.link import Link
from gateway.isolation.nfnl.messages import NFTABLES, attributes, nf_body, word
from gateway.isolation.nfnl.requests import FAMILIES, FAMILY_NAMES, GETRULE, GETSET, GETSETELEM, GETTABLE, named_set
from gateway.isolation.proof.dumped import CONCAT, INTERVAL, Dump, set_of
from gateway.isolation.ruleset import TABLE

GETCHAIN, GETOBJ, GETFLOWTABLE = 4, 19, 23
MOST_TRIES = 20  # while others change the ruleset all the time


class Restless(Exception):
    """The ruleset changed each time while it was read."""


def take(link: Link | None = None, known: Dump | None = None) -> Dump:
    """Return the ruleset of the namespace in which ``link`` was opened, or ours; ``known`` is returned again while it has not changed.

    Raises:
        OSError: the kernel does not tell.
        Restless: others change it faster than it can be read.
    """
    if link is None:
        with Link() as own:
            return take(own, known)
    for _ in range(MOST_TRIES):
        generation = link.generation()
        if known is not None and known.generation == generation:
            return known
        dump = _dump(link)
        if link.generation() == generation:
            return replace(dump, generation=generation)
    raise Restless


def _dump(link: Link) -> Dump:
    def all_of(kind: int, family: str = "unspec", body: bytes = b"") -> tuple[bytes, ...]:
        return tuple(bytes(told.body) for told in link.whole(NFTABLES << 8 | kind, nf_body(FAMILIES[family], body)))

    sets = all_of(GETSET)
    packed, odd, written = {}, {}, {}
    for body in sets:
        family, table, name, flags, size = set_of(body)
        if table != TABLE or family not in FAMILIES:
            continue
        if flags & INTERVAL or flags & CONCAT or size not in (4, 16):
            written[family, name] = all_of(GETSETELEM, family, named_set(table, name))
        else:
            packed[family, name], more = link.elements(family, table, name, size)
            odd[family, name] = tuple(more)
    others = _words("object", all_of(GETOBJ)) + _words("flowtable", all_of(GETFLOWTABLE))
    return Dump(all_of(GETTABLE), all_of(GETCHAIN), all_of(GETRULE), sets, others, packed, odd, written)


def _words(kind: str, bodies: tuple[bytes, ...]) -> tuple[str, ...]:
    found = []
    for body in bodies:
        told = attributes(body[4:])
        found.append(f"{kind} {FAMILY_NAMES.get(body[0], str(body[0]))} {word(told.get(1))} {word(told.get(2))}")
    return tuple(found)
