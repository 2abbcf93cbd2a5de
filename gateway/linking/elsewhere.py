"""What the network's table knows of our things: records of other institutions that name the same identifier -> proposals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.linking import judging
from gateway.linking.entries import Entry, kind
from gateway.linking.judging import LEAST, OF_ONE_THING, Thing
from gateway.linking.proposals import Proposal
from gateway.resolver.records import Record
from gateway.resolver.table import Table

NAMING = (
    "identification",
    "is-equivalent-to",
    "same-as",
)  # types by which a record says what a thing is called elsewhere
MOST = 20  # records that name one identifier; of more it says nothing
_MAKERS = ("creator", "author", "director")  # keys of a record's metadata
_KINDS, _YEARS = ("kind", "type"), ("year", "date")


def propose(things: Sequence[Thing], table: Table, *, least: float = LEAST) -> Iterator[Proposal]:
    """Yield the links from our things to records that name one of their identifiers; our own records are left out.

    Raises:
        Corrupt: the table is damaged.
    """
    ours = {thing.entry.code for thing in things if thing.ours}
    for thing in things:
        if not thing.ours or thing.entry.code is None:
            continue
        for code in thing.entry.identifiers:
            if code.partition(":")[0] not in OF_ONE_THING:
                continue
            naming = table.backward(code, most=MOST + 1, types=NAMING).edges
            if len(naming) > MOST:
                continue
            for edge in naming:
                record = table.get(edge.source) if edge.source not in ours else None
                if record is None or record.status not in ("registered", "reserved"):
                    continue
                found = judging.by_identifier(thing, thing_of(record), code)
                if found is not None and found.score >= least:
                    yield found


def thing_of(record: Record) -> Thing:
    """Return a record as proposals compare it."""

    def of(names: Sequence[str]) -> str:
        return next((record.metadata[name] for name in names if name in record.metadata), "")

    year = of(_YEARS)[:4]
    entry = Entry(
        key=record.code,
        code=record.code,
        title=record.title,
        kind=kind(of(_KINDS)),
        year=int(year) if year.isascii() and year.isdigit() and len(year) == 4 else None,
        names=tuple(record.metadata[name] for name in _MAKERS if name in record.metadata),
    )
    return Thing(0, entry, record.body)
