"""All entries -> all links that are worth a curator's look; pure but for the things it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.linking import blocks, judging
from gateway.linking.judging import LEAST, Thing
from gateway.linking.proposals import Proposal

STEP = 10_000  # pairs between two words of progress


@dataclass
class Tally:
    """What was looked at."""

    things: int = 0
    without_code: int = 0  # of the institution's own: nothing can be registered from them
    pairs: int = 0
    common: dict[str, int] = field(default_factory=dict)  # what too many share to say anything, and how many


def propose(
    things: Sequence[Thing],
    *,
    least: float = LEAST,
    tally: Tally,
    progress: Callable[[int], None] = lambda _pairs: None,
) -> Iterator[Proposal]:
    """Yield the links proposed between ``things``, each at least ``least`` sure; the same link may come more than once."""
    tally.things = len(things)
    tally.without_code = sum(thing.ours and thing.entry.code is None for thing in things)
    titles = {thing.entry.code: (thing.entry.title, thing.body) for thing in things if thing.entry.code is not None}
    for thing in things:
        yield from (p for p in judging.own_identifiers(thing) if p.score >= least)
        yield from (p for p in judging.stated(thing, titles) if p.score >= least)

    def count() -> None:
        tally.pairs += 1
        if tally.pairs % STEP == 0:
            progress(tally.pairs)

    told = tally.common.__setitem__
    joined = set[tuple[int, int]]()
    for a, b, code in blocks.by_identifier(things, told):
        count()
        proposal = judging.by_identifier(a, b, code)
        if proposal is not None and proposal.score >= least:
            if proposal.type == "is-equivalent-to":
                joined.add((a.number, b.number))  # their names need not say it again
            yield proposal
    titled: dict[str, int] = {}
    for thing in things:
        titled[thing.key] = titled.get(thing.key, 0) + 1
    for a, b in blocks.by_name(things, told):
        count()
        if (a.number, b.number) in joined:
            continue
        proposal = judging.by_name(a, b, titled[a.key] if a.key == b.key else 2)
        if proposal is not None and proposal.score >= least:
            yield proposal
