"""What the origin serves: a head at each change, and snapshots of which only what changed is written anew."""

from __future__ import annotations

import gzip
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resolver.published import HEAD, SNAPSHOT, Chunk, Head, Snapshot, chunk_name, unseal
from provisioning.registry import publishing
from provisioning.registry.publishing import Span, plan, sizes, snapshot_is_due
from tests.unit.provisioning.registry.conftest import NOW, Place, code

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def read(place: Place, name: str, model: type[Head | Snapshot]) -> Head | Snapshot:
    return unseal(model, (place.folder / name).read_bytes(), [place.key.public])[0]


def records_in(folder: Path, chunk: Chunk) -> list[bytes]:
    return gzip.decompress((folder / chunk.name).read_bytes()).splitlines()


async def test_a_head_follows_each_change_and_is_renewed(place: Place) -> None:
    """The head says how far the log goes; unchanged it is signed anew each hour, so that boxes can tell a stale one."""
    assert (await place.publication.publish(NOW)).size == 0
    await place.take(place.record(1))
    head = await place.publication.publish(NOW)
    assert read(place, HEAD, Head) == head
    assert (head.size, head.root) == (1, place.registry.ledger.reading.root(1).hex())
    assert place.registry.ledger.reading.head().size == 1
    assert (await place.publication.publish(NOW + HOUR / 2)).made == NOW
    assert (await place.publication.publish(NOW + HOUR)).made == NOW + HOUR


async def test_a_snapshot_holds_the_table_as_of_its_size(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks hold every record in the order of codes, under the log's root; only changed chunks are written anew."""
    monkeypatch.setattr(publishing, "CHUNK", 3)
    monkeypatch.setattr(publishing, "LARGEST", 6)
    monkeypatch.setattr(publishing, "FEW", 2)
    numbers = range(1, 11)
    await place.take(*[place.record(number) for number in numbers])
    first = await place.publication.take_snapshot(NOW)
    assert first is not None
    assert first == read(place, SNAPSHOT, Snapshot)
    assert (first.size, first.count, first.root) == (10, 10, place.registry.ledger.reading.root(10).hex())
    assert [one for chunk in first.chunks for one in records_in(place.folder, chunk)] == [
        place.record(number).dump() for number in numbers
    ]
    assert await place.publication.take_snapshot(NOW + DAY) is None

    await place.take(place.record(5, title="changed"), place.record(11), at=NOW + HOUR)
    second = await place.publication.take_snapshot(NOW + HOUR)
    assert second is not None
    kept = {chunk.name for chunk in first.chunks} & {chunk.name for chunk in second.chunks}
    assert (second.size, second.count, len(kept)) == (12, 11, len(first.chunks) - 2)
    assert all((place.folder / chunk.name).exists() for chunk in first.chunks), "old chunks stay for boxes that resume"

    for path in (place.folder / "snapshot").iterdir():
        os.utime(path, (time.time() - publishing.KEPT - 1,) * 2)
    await place.take(place.record(12), place.record(13), at=NOW + 2 * HOUR)
    third = await place.publication.take_snapshot(NOW + 2 * HOUR)
    assert third is not None
    left = {f"snapshot/{path.name}" for path in (place.folder / "snapshot").iterdir()}
    assert left == {chunk.name for chunk in [*second.chunks, *third.chunks]}


async def test_a_new_process_goes_on_from_what_is_published(place: Place) -> None:
    """A start does not sign what is signed already, and a damaged head is made anew."""
    await place.take(place.record(1))
    head, snapshot = await place.publication.publish(NOW), await place.publication.take_snapshot(NOW)
    place.registry.close()
    place.new()
    await place.open()
    assert (place.publication.head, place.publication.snapshot) == (head, snapshot)
    (place.folder / HEAD).write_bytes(b"{")
    await place.publication.open()
    assert (await place.publication.publish(NOW)).size == 1


def chunk(first: int, last: int) -> Chunk:
    digest = f"{first:064x}"
    told = {"name": chunk_name(digest), "sha256": digest, "bytes": 1, "records": 1}
    return Chunk(**told, first=code(first), last=code(last))  # type: ignore[arg-type]


def test_only_chunks_with_changes_are_written_anew() -> None:
    """A change touches its chunk; what lies between two belongs to the latter, what is behind all to the last."""
    one, two, three = chunk(10, 19), chunk(30, 39), chunk(50, 59)
    assert plan([], [code(1)]) == [Span("", None)]
    assert plan([one, two, three], []) == [one, two, three]
    assert plan([one, two, three], [code(5)]) == [Span("", code(19)), two, three]
    assert plan([one, two, three], [code(25)]) == [one, Span(code(19), code(39)), three]
    assert plan([one, two, three], [code(99), code(55)]) == [one, two, Span(code(39), None)]


@given(st.integers(0, 10 * publishing.CHUNK))
def test_a_span_is_cut_into_chunks_of_a_fair_size(records: int) -> None:
    """No record is lost, and no chunk is larger than the largest."""
    found = sizes(records)
    assert sum(found) == records
    assert all(0 < size <= publishing.LARGEST for size in found)


def test_a_snapshot_is_due_when_a_good_part_changed() -> None:
    """A tenth of a large table, some hundreds of a small one, or a day with any change."""
    last = Snapshot(registry="centre", size=100, root="ab" * 32, made=NOW, count=0)
    assert snapshot_is_due(None, 1, NOW)
    assert not snapshot_is_due(None, 0, NOW)
    assert not snapshot_is_due(last, 100 + publishing.FEW - 1, NOW)
    assert snapshot_is_due(last, 100 + publishing.FEW, NOW)
    assert snapshot_is_due(last, 101, NOW + DAY)
    assert not snapshot_is_due(last, 100, NOW + DAY)
