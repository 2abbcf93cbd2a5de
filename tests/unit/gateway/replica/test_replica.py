"""Towards what the registry says, step by step, and never back."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.replica import decide
from gateway.replica.replica import Replica
from gateway.resolver import published
from gateway.resolver.table import Table
from tests.registries import Registry, code, dump

KEY = PrivateKey.generate()


class Box:
    """A replica, and what an exchange does for it."""

    def __init__(self, base: Path, tasks: asyncio.TaskGroup) -> None:
        self.base, self._tasks = base, tasks
        self.asked: Counter[str] = Counter()
        self.stop_after = 10_000  # files: the line breaks after so many
        self.ranges: tuple[str, ...] = ()
        self.start()

    def start(self) -> None:
        """Start the replica, also after it was killed."""
        self.replica = Replica(self.base / "identifiers", self.base / "coming", self._tasks)
        self.replica.prepare()
        self.replica.keys = (KEY.public,)

    async def follow(self, registry: Registry) -> bool:
        """Bring what is wanted until nothing is; return whether the table is what the registry says."""
        self.replica.ranges = self.ranges
        told = await self.replica.step({}, begin=True)
        for _ in range(200):
            if told.busy:
                await asyncio.wait({self.replica._job})  # type: ignore[arg-type]
            elif not told.paths:
                return told.fresh
            files = {path: registry.read(path) for path in told.paths}
            self.asked.update(list(files))
            if self.asked.total() > self.stop_after:
                return False
            told = await self.replica.step(files, begin=False)
        raise AssertionError("the replica never has enough")

    def table(self) -> Table:
        return Table.open(self.base / "identifiers")

    def same_as(self, registry: Registry) -> bool:
        """Return whether the table holds what the registry's does, of the codes it takes."""
        table, ranges = self.table(), tuple(part.encode() for part in self.ranges)
        rows = {k: v for k, v in registry.table.items() if not ranges or k.startswith(ranges)}
        info = table.info()
        assert info is not None
        everything = {k for level in table.levels() for k, _ in level.records()}
        return (
            (info.size, info.root, info.count) == (registry.size, registry.root(), len(rows))
            and everything == set(rows)
            and table.many(list(rows)) == list(rows.values())
        )


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with asyncio.TaskGroup() as tasks:
        yield Box(tmp_path / "box", tasks)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = Registry(tmp_path / "registry", KEY)
    made.change(dump(n, "one", [n + 1]) for n in range(300))
    return made


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices and distances of a hundredth, so that tests need few changes."""
    monkeypatch.setattr(decide, "SLICE", 2)
    monkeypatch.setattr(decide, "FEW", 600)


async def test_changes_are_followed_in_order(box: Box, registry: Registry) -> None:
    """From nothing and from anywhere on, the table is what the log says; what is here already is not asked for again."""
    assert await box.follow(registry)
    assert box.same_as(registry)
    assert box.table().backward(code(5)).edges[0].source == code(4)
    registry.change([dump(3, "two"), dump(999, "new"), dump(3, "three", [7])])
    box.asked.clear()
    assert await box.follow(registry)
    assert box.same_as(registry)
    assert set(box.asked) == {"head.json", "tile/entries/001.p/47"}
    box.asked.clear()
    assert await box.follow(registry)
    assert set(box.asked) == {"head.json"}


async def test_an_empty_registry_makes_an_empty_table(box: Box, tmp_path: Path) -> None:
    """A registry that has nothing yet is followed too, and its first change later."""
    registry = Registry(tmp_path / "new", KEY)
    registry.publish()
    assert await box.follow(registry)
    assert box.same_as(registry)
    registry.change([dump(1)])
    assert await box.follow(registry)
    assert box.same_as(registry)


@pytest.mark.usefixtures("small")
async def test_many_changes_are_followed_slice_by_slice(box: Box, registry: Registry) -> None:
    """Each slice is proved against the head by itself and stays, so that a box that is cut off goes on from there."""
    registry.change((dump(n, "x") for n in range(1500)), publish=False)
    registry.publish()
    box.stop_after = 8  # the head, that there is no snapshot, three bundles and some tiles
    assert not await box.follow(registry)
    info = box.replica._writer.info()
    assert info is not None
    assert 0 < info.size < 1800
    assert info.size % 512 == 0
    box.stop_after = 10_000
    box.start()
    assert await box.follow(registry)
    assert box.same_as(registry)
    assert box.asked["tile/entries/000"] == 1


@pytest.mark.usefixtures("small")
async def test_a_box_that_was_away_begins_from_the_snapshot_and_resumes(box: Box, registry: Registry) -> None:
    """Behind by much, the box takes the chunks that it lacks, also after it was killed, and then the changes since."""
    assert await box.follow(registry)
    registry.change((dump(n, "month") for n in range(2000)), publish=False)
    registry.publish()
    registry.snapshot(each=200)
    registry.change(dump(n, "since") for n in range(100))
    box.asked.clear()
    box.stop_after = 11  # cut off among the chunks
    assert not await box.follow(registry)
    came = {path for path in box.asked if path.startswith("snapshot/")}
    assert 0 < len(came) < 10
    box.stop_after = 10_000
    box.start()
    assert await box.follow(registry)
    assert box.same_as(registry)
    chunks = [number for path, number in box.asked.items() if path.startswith("snapshot/")]
    assert len(chunks) == 10
    assert sum(chunks) <= 10 + 4  # at most those that were under way came twice
    assert "tile/entries/003" not in box.asked
    assert not list((box.base / "coming").iterdir())


@pytest.mark.usefixtures("small")
async def test_a_box_takes_the_ranges_of_its_policy(box: Box, registry: Registry) -> None:
    """Of chunks and changes only the codes in range are taken, and other ranges begin anew."""
    registry.change((dump(n, "other", service="888888") for n in range(900)), publish=False)
    registry.publish()
    registry.snapshot(each=100)
    registry.change([dump(1, "since"), dump(1, "since", service="888888")])
    box.ranges = ("isli:888888",)
    assert await box.follow(registry)
    assert box.same_as(registry)
    assert sum(path.startswith("snapshot/") for path in box.asked) == 9
    box.ranges = ("isli:888888-00000000000000", "isli:999999")
    assert await box.follow(registry)
    assert box.same_as(registry)
    assert box.table().raw(code(7)) is not None
    assert box.table().raw(code(700, "888888")) is None


async def refusal(box: Box, registry: Registry) -> str:
    """Return why what the registry says is refused; the table is not touched."""
    before = box.replica._writer.info()
    with pytest.raises(HeadgateError) as refused:
        await box.follow(registry)
    assert box.replica._writer.info() == before
    return refused.value.reason if isinstance(refused.value, Refused) else "corrupt"


async def test_a_log_that_goes_back_or_forks_is_refused(box: Box, registry: Registry, tmp_path: Path) -> None:
    """Whatever the registry's own key signs: another past, a shorter one, an older word are refused, and the table stays."""
    assert await box.follow(registry)
    other = Registry(tmp_path / "other", KEY)
    other.change([dump(n, "one", [n + 1]) for n in range(299)])
    assert await refusal(box, other) == "rewound-log"
    other.change([dump(299, "another")])
    assert await refusal(box, other) == "forked-log"
    for number in (1, 300, 600):  # at whatever size it shows itself
        other.change(dump(n, "more") for n in range(number))
        assert await refusal(box, other) == "forked-log"
    registry.made -= timedelta(seconds=1)
    registry.head()
    assert await refusal(box, registry) == "rewound-log"
    stranger = Registry(tmp_path / "stranger", KEY, "elsewhere")
    stranger.change([dump(n) for n in range(400)])
    assert await refusal(box, stranger) == "other-registry"
    assert box.table().raw(code(7)) is not None


@pytest.mark.usefixtures("small")
async def test_a_fork_with_a_snapshot_is_refused(box: Box, registry: Registry, tmp_path: Path) -> None:
    """A snapshot does not help another past in, nor one that is not of the head's log."""
    assert await box.follow(registry)
    other = Registry(tmp_path / "other", KEY)
    other.change((dump(n, "other") for n in range(2000)), publish=False)
    other.publish()
    other.snapshot()
    assert await refusal(box, other) == "forked-log"
    registry.change((dump(n, "x") for n in range(2000)), publish=False)
    registry.publish()
    registry.write(published.SNAPSHOT, other.read(published.SNAPSHOT) or b"")
    for chunk in (other.folder / "snapshot").iterdir():
        registry.write(f"snapshot/{chunk.name}", chunk.read_bytes())
    assert await refusal(box, registry) == "forked-log"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("what", ["head.json", "snapshot.json", "chunk", "content", "bundle", "tile"])
async def test_what_was_damaged_on_the_way_is_refused_and_healed(box: Box, registry: Registry, what: str) -> None:
    """Damage anywhere is refused in words that are not 'fork'; once the right bytes come, the box goes on."""
    registry.change((dump(n, "x") for n in range(200)), publish=False)
    if what != "bundle":
        assert await box.follow(registry)
        registry.change((dump(n, "y") for n in range(1500)), publish=False)
        registry.publish()
        snapshot = registry.snapshot(each=500)
        registry.change([dump(1, "z")])
    else:
        registry.publish()
    good = registry.folder.parent / "good"
    shutil.copytree(registry.folder, good)
    if what in ("head.json", "snapshot.json"):
        told = json.loads(registry.read(what) or b"")
        told["signatures"][0]["sig"] = "A" * 86 + "=="
        registry.write(what, json.dumps(told).encode())
    elif what == "content":  # signed, but not what it says
        registry.snapshot(chunks=[snapshot.chunks[0].model_copy(update={"records": 499})])
    else:
        pattern = {"chunk": "snapshot/*.gz", "bundle": "tile/entries/000", "tile": "tile/[01]/**/*"}[what]
        for path in [path for path in registry.folder.glob(pattern) if path.is_file()]:
            data = bytearray(path.read_bytes())
            data[min(40, len(data) - 1)] ^= 1
            path.write_bytes(data)
    expected = {"chunk": "digest-mismatch", "head.json": "not-signed", "snapshot.json": "not-signed"}
    assert await refusal(box, registry) == expected.get(what, "corrupt")
    shutil.rmtree(registry.folder)
    shutil.copytree(good, registry.folder)
    assert await box.follow(registry)
    assert box.same_as(registry)


async def test_a_head_that_moves_on_meanwhile_is_asked_for_again(box: Box, registry: Registry) -> None:
    """A partial tile that a wider one replaced is no fault: the newer head tells of that."""
    told = await box.replica.step({}, begin=True)
    told = await box.replica.step({"head.json": registry.read("head.json")}, begin=False)
    assert "tile/entries/001.p/44" in told.paths
    (registry.folder / "tile/entries/001.p/44").unlink()
    registry.change([dump(400)])
    told = await box.replica.step({path: registry.read(path) for path in told.paths}, begin=False)
    assert told.paths == ("head.json",)
    assert await box.follow(registry)
    assert box.same_as(registry)


async def test_the_word_on_a_single_code_is_proved(box: Box, registry: Registry) -> None:
    """A record and a "no" are told as the registry proves them; of another code, without a signature, or of before they are refused."""
    assert await box.follow(registry)
    registry.change([dump(7, "two")])
    looked = box.replica.look(registry.look(code(7)), code(7))
    assert looked.change is not None
    assert (looked.change.record.title, looked.number) == ("two", 301)
    assert box.replica.look(registry.look(code(400)), code(400)).change is None
    with pytest.raises(Corrupt):
        box.replica.look(registry.look(code(7)), code(8))
    with pytest.raises(Corrupt):
        box.replica.look(registry.look(code(7)).replace(b"two", b"2wo"), code(7))
    old = registry.made
    registry.made -= timedelta(days=1)
    with pytest.raises(Refused, match="spoke at"):
        box.replica.look(registry.look(code(7)), code(7))
    registry.made, registry.key = old, PrivateKey.generate()
    with pytest.raises(Refused, match="none of the keys"):
        box.replica.look(registry.look(code(7)), code(7))


async def test_a_newer_word_of_the_same_log_makes_the_table_newer(box: Box, registry: Registry) -> None:
    """The head that is signed anew each hour keeps the table from being stale."""
    assert await box.follow(registry)
    registry.made += timedelta(hours=1)
    registry.head()
    assert await box.follow(registry)
    info = box.table().info()
    assert info is not None
    assert info.made == registry.made
    with pytest.raises(Corrupt):
        await box.replica.step({"head.json": b"{}"}, begin=True)
