"""Which pairs of many things are worth a comparison: those that share an identifier, or rare pieces of their titles; pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

from gateway.linking import names
from gateway.linking.judging import Thing

MOST_OF_ONE = 200  # things that share an identifier or a piece; of more, the piece says nothing, and is told
SHARED = 0.5  # part of their pieces that near titles share (Jaccard); less is no near title


def by_identifier(things: Iterable[Thing], common: Callable[[str, int], None]) -> Iterator[tuple[Thing, Thing, str]]:
    """Yield the pairs that share an identifier, with it, each once; ``common`` is told what too many share."""
    holders: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        own = (thing.entry.code,) if thing.entry.code else ()
        for code in (*own, *thing.entry.identifiers):
            holders[code].append(thing)
    seen: set[tuple[int, int]] = set()
    for code, group in holders.items():
        if len(group) > MOST_OF_ONE:
            common(code, len(group))
            continue
        for a, b in combinations(group, 2):
            if (a.ours or b.ours) and (a.number, b.number) not in seen:
                seen.add((a.number, b.number))
                yield a, b, code


def by_name(things: Sequence[Thing], common: Callable[[str, int], None]) -> Iterator[tuple[Thing, Thing]]:
    """Yield the pairs whose titles may be alike, each once.

    Two titles that share half of their pieces share one of each other's rarest (the prefix filter of set similarity joins), so only
    the holders of a title's rarest pieces are compared, never all with all.
    """
    same: dict[str, list[int]] = defaultdict(list)
    proper: dict[str, list[int]] = defaultdict(list)
    for index, thing in enumerate(things):
        same[thing.key].append(index)
        proper[thing.main].append(index)
    same.pop("", None)
    proper.pop("", None)
    keys = list(same)
    pieces = [names.grams(key) for key in keys]
    count = Counter(piece for some in pieces for piece in some)
    blocks: dict[str, list[int]] = defaultdict(list)
    for number, some in enumerate(pieces):
        rarest = sorted(some, key=lambda piece: (count[piece], piece))
        for piece in rarest[: len(some) - math.ceil(SHARED * len(some)) + 1]:
            blocks[piece].append(number)
    for group in same.values():
        if len(group) > MOST_OF_ONE:
            common(things[group[0]].entry.title, len(group))
            continue
        yield from _pairs(things, combinations(group, 2))
    for group in proper.values():
        if len(group) <= MOST_OF_ONE:
            yield from _pairs(things, (p for p in combinations(group, 2) if things[p[0]].key != things[p[1]].key))
    seen: set[tuple[int, int]] = set()
    for piece, group in blocks.items():
        if len(group) > MOST_OF_ONE:
            common(piece, len(group))
            continue
        for one, other in combinations(group, 2):
            if (one, other) in seen or not _near(pieces[one], pieces[other]):
                continue
            seen.add((one, other))
            if len(same[keys[one]]) * len(same[keys[other]]) <= MOST_OF_ONE:
                yield from _pairs(things, _across(things, same[keys[one]], same[keys[other]]))


def _near(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return shared >= SHARED * (len(one) + len(other) - shared)


def _across(things: Sequence[Thing], one: list[int], other: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of two groups that do not meet by their title proper."""
    return ((i, j) for i in one for j in other if things[i].main != things[j].main)


def _pairs(things: Sequence[Thing], pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[Thing, Thing]]:
    for i, j in pairs:
        if things[i].ours or things[j].ours:
            yield things[i], things[j]
