"""The kernel's whole ruleset of the namespace we are in, in one consistent dump."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.isolation.nfnl import elements
from gateway.isolation.nfnl.link import Link
from gateway.isolation.nfnl.messages import NFTABLES, attributes, nf_body, word
from gateway.isolation.nfnl.requests import FAMILIES, FAMILY_NAMES, GETRULE, GETSET, GETSETELEM, GETTABLE, named_set
from gateway.isolation.proof import legacy
from gateway.isolation.proof.dumped import ANONYMOUS, CONCAT, INTERVAL, Dump, handle_of, set_of
from gateway.isolation.proof.listed import FAMILIES as OUR_FAMILIES
from gateway.isolation.proof.listed import Chain
from gateway.isolation.ruleset import TABLE

GETCHAIN, GETOBJ, GETFLOWTABLE = 4, 19, 23
Change = tuple[bytes, bytes]  # elements added and removed, packed
MOST_TRIES = 20  # while others change the ruleset all the time


class Restless(Exception):
    """The ruleset changed each time while it was read."""


def take(link: Link | None = None, known: Dump | None = None) -> Dump:
    """Return the ruleset of the namespace that we are in, in which ``link`` was opened; ``known`` again while it has not changed.

    Raises:
        OSError: the kernel does not tell.
        Restless: others change it faster than it can be read.
    """
    if link is None:
        with Link() as own:
            return take(own, known)
    for _ in range(MOST_TRIES):
        generation = link.generation()
        if known is not None and known.generation == generation and known.legacy == legacy.rules():
            return known
        dump = _dump(link)
        if link.generation() == generation:
            return replace(dump, generation=generation)
    raise Restless


def beside(packed: Mapping[Chain, bytes], generation: int, link: Link | None = None) -> Dump:
    """Return the ruleset of which the elements of large sets were read already, while it had this generation.

    Raises:
        OSError: the kernel does not tell.
        Restless: others change it faster than it can be read.
    """
    if link is None:
        with Link() as own:
            return beside(packed, generation, own)
    if link.generation() == generation:
        dump = _dump(link, Dump(packed=packed))
        if link.generation() == generation:
            return replace(dump, generation=generation)
    return take(link)


def after(link: Link, known: Dump, changes: Mapping[Chain, Change]) -> Dump:
    """Return the ruleset after one transaction that was made on ``known`` and changed just these elements of large sets.

    Their other elements are not read again: the kernel took one transaction since, and it must say that each changed element is there or
    gone, and how many there are. Where anything else is the case, all is read.

    Raises:
        OSError: the kernel does not tell.
        Restless: others change it faster than it can be read.
    """
    sizes = {(family, name): size for family, _, name, _, size in map(set_of, known.sets)}
    if link.generation() != known.generation + 1 or not changes.keys() <= known.packed.keys():
        return take(link)
    packed = dict(known.packed)
    for key, (added, removed) in changes.items():
        packed[key] = elements.changed(packed[key], added, removed, sizes[key])
    if not all(_as_told(link, key, packed[key], changes[key], sizes[key]) for key in changes):
        return take(link)
    dump = _dump(link, replace(known, packed=packed))
    if link.generation() != known.generation + 1:
        return take(link)
    return replace(dump, generation=known.generation + 1)


def _as_told(link: Link, key: Chain, packed: bytes, change: Change, size: int) -> bool:
    """Return whether the kernel says that a set is now ``packed``, as far as its changed elements and their number go."""
    try:
        for keys, there in zip(change, (True, False), strict=True):
            for at in range(0, len(keys), size):
                if link.holds(key[0], TABLE, key[1], keys[at : at + size]) is not there:
                    return False
        return link.count(key[0], TABLE, key[1]) in (None, len(packed) // size)
    except FileNotFoundError:
        return False  # the set itself is gone


def _dump(link: Link, known: Dump | None = None) -> Dump:
    """Return what the kernel tells; the elements of large sets that are ``known``, and are still the same sets, are not asked for."""

    def all_of(kind: int, family: str = "unspec", body: bytes = b"") -> tuple[bytes, ...]:
        return tuple(bytes(told.body) for told in link.whole(NFTABLES << 8 | kind, nf_body(FAMILIES[family], body)))

    sets = all_of(GETSET)
    old = (
        {(family, name): handle_of(body) for body in known.sets for family, _, name, _, _ in [set_of(body)]}
        if known
        else {}
    )
    packed, odd, written = {}, {}, {}
    for body in sets:
        family, table, name, flags, size = set_of(body)
        key = (family, name)
        if table != TABLE or family not in OUR_FAMILIES:
            continue
        if flags & (INTERVAL | CONCAT | ANONYMOUS) or size not in (4, 16):
            written[key] = all_of(GETSETELEM, family, named_set(table, name))
        elif known is not None and key in known.packed and old.get(key, handle_of(body)) == handle_of(body):
            packed[key], odd[key] = known.packed[key], known.odd.get(key, ())
        else:
            packed[key], more = link.elements(family, table, name, size)
            odd[key] = tuple(more)
    others = _words("object", all_of(GETOBJ)) + _words("flowtable", all_of(GETFLOWTABLE))
    return Dump(all_of(GETTABLE), all_of(GETCHAIN), all_of(GETRULE), sets, others, packed, odd, written, legacy.rules())


def _words(kind: str, bodies: tuple[bytes, ...]) -> tuple[str, ...]:
    found = []
    for body in bodies:
        told = attributes(body[4:])
        found.append(f"{kind} {FAMILY_NAMES.get(body[0], str(body[0]))} {word(told.get(1))} {word(told.get(2))}")
    return tuple(found)
