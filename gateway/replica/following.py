"""Changes of the registry's log, in order -> a head that is proved, and the records to lay down. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from appliance.journal.proofs import leaf_hash
from appliance.journal.verify import WIDTH, Damaged, unpack
from appliance.runtime.errors import Corrupt, HeadgateError
from gateway.replica.decide import Follow, Hashes, check_goes_on, frontier_of
from gateway.resolver.change import is_first, record_in
from gateway.resolver.level import code_of
from gateway.resolver.levels import Head, Info
from gateway.resolver.published import Head as Told


@dataclass(frozen=True)
class Followed:
    """The head of a table with these changes, which are of the codes that are taken here; ``fresh`` of them are new ones."""

    head: Head
    changes: tuple[tuple[bytes, bytes], ...]
    fresh: int


class Doubtful(Corrupt):
    """The changes do not lead to the head: either they are damaged, or the log is another one; tiles of hashes tell which."""


def follow(here: Info | None, told: Told, plan: Follow, bundles: Sequence[bytes], hashes: Hashes) -> Followed:
    """Return what the entry ``bundles`` of ``plan`` lead to.

    Raises:
        Doubtful: they do not lead to the head that was told.
        Corrupt: they are no changes, or the tiles do not fit.
    """
    ranges = here.ranges if here is not None else ()
    subtrees = () if plan.anew or here is None else here.subtrees
    frontier = frontier_of(plan.start, [bytes.fromhex(one) for one in subtrees])
    entries = _entries(plan, bundles)
    frontier.add_many([leaf_hash(entry) for entry in entries])
    try:
        if plan.end == told.size:
            if frontier.root.hex() != told.root:
                raise Doubtful("the changes do not lead to the root that the registry signed")
        else:
            check_goes_on(plan.end, frontier.root, told, hashes)
    except HeadgateError as error:
        raise Doubtful(str(error)) from error
    made = told.made if plan.end == told.size or here is None else here.made
    roots = tuple(root.hex() for root in frontier.subtrees)
    head = Head(told.registry, plan.end, frontier.root.hex(), made, roots)
    fresh = sum(1 for _ in taken(map(record_in, filter(is_first, entries)), ranges))
    return Followed(head, tuple(taken(map(record_in, entries), ranges)), fresh)


def ranged(here: Info | None, ranges: Sequence[str]) -> Info | None:
    """Return what is here as a table that takes ``ranges``."""
    return None if here is None else replace(here, ranges=tuple(ranges))


def taken(records: Iterable[bytes], ranges: Sequence[str]) -> Iterable[tuple[bytes, bytes]]:
    """Yield code and record of those whose code has one of these leading parts; of all where there are none.

    Raises:
        Corrupt: a record has no code.
    """
    begins = tuple(part.encode() for part in ranges)
    for record in records:
        code = code_of(record)
        if not begins or code.startswith(begins):
            yield code, record


def _entries(plan: Follow, bundles: Sequence[bytes]) -> list[bytes]:
    """Return the entries of the plan, which may begin and end inside a bundle.

    Raises:
        Corrupt: a bundle is damaged or too short.
    """
    found: list[bytes] = []
    first = plan.start // WIDTH * WIDTH
    for number, bundle in zip(plan.bundles(), bundles, strict=True):
        try:
            entries = unpack(bundle)
        except Damaged as error:
            raise Corrupt(f"a bundle of the registry's log is damaged: {error}") from error
        if len(entries) < min(WIDTH, plan.end - number * WIDTH) or len(entries) > WIDTH:
            raise Corrupt("a bundle of the registry's log has too few changes")
        found += entries
    return found[plan.start - first : plan.end - first]
