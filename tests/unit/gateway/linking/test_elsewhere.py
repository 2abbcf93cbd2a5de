"""Links to what other institutions registered, found in the box's own table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.linking.elsewhere import propose, thing_of
from gateway.linking.entries import Entry
from gateway.linking.judging import Thing
from gateway.resolver.levels import Head
from gateway.resolver.records import Link, Record
from gateway.resolver.table import Table
from gateway.resolver.writing import Writer

ISBN, OURS, MINE = "isbn:9780306406157", "isli:999999-100000000000001-4", "isli:999999-123456789012345-8"
THEIRS, GONE, OTHER = (
    "isli:999998-000000000000000000000001-6", "isli:999998-000000000000000900000042-1", "isli:999999-000000000000001-5",
)  # fmt: skip


def record(code: str, title: str, kind: str = "identification", **more: object) -> Record:
    return Record(code=code, title=title, body="museum", links=[Link(type=kind, target=ISBN)], **more)  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path):
    records = [
        record(THEIRS, "劉三姐", metadata={"year": "1961-08", "creator": "乔羽", "type": "电影"}),
        record(GONE, "刘三姐", status="withdrawn"),
        record(OTHER, "刘三姐", kind="related"),
        record(MINE, "刘三姐"),
    ]
    writer = Writer(tmp_path)
    writer.prepare()
    head = Head("centre", 4, "0" * 64, datetime.now(UTC))
    writer.replace(head, sorted((one.code.encode(), one.dump()) for one in records))
    opened = Table.open(tmp_path)
    yield opened
    opened.close()


def test_who_names_the_same_identifier_elsewhere_is_proposed(table: Table):
    """Not what only relates to it, not what was withdrawn, not our own; from things without a code or identifier nothing."""
    film = Thing(1, Entry("1", OURS, "刘三姐", identifiers=(ISBN, "isni:000000012281955X")))
    things = [film, Thing(2, Entry("2", MINE, "刘三姐")), Thing(3, Entry("3", None, "刘三姐", identifiers=(ISBN,)))]

    (found,) = propose(things, table)
    assert (found.source, found.type, found.target, found.target_body) == (OURS, "is-equivalent-to", THEIRS, "museum")
    assert found.score == 0.98
    assert list(propose([Thing(1, film.entry, "museum")], table)) == []
    assert list(propose(things, table, least=0.99)) == []


def test_a_record_is_compared_by_its_metadata(table: Table):
    """Year, kind and makers are read where a record has them."""
    known = table.get(THEIRS)
    assert known is not None
    entry = thing_of(known).entry
    assert (entry.year, entry.kind, entry.names) == (1961, "film", ("乔羽",))
