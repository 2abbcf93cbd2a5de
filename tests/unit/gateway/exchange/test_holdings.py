"""What the controller is told of how much of a release the store holds: only what changed, and what is there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from appliance.telemetry.records import Record
from gateway.exchange import holdings as holding
from gateway.exchange.holdings import AGAIN, Holdings, Told
from gateway.exchange.register import Register
from gateway.release import manifest, signed
from gateway.release.manifest import File, Release, Rights
from gateway.store.disk import Disk
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects

CODE, OTHER = "999999-100000000000001-4", "999999-100000000000002-3"
KEY = PrivateKey.generate()
A, B, C = b"a" * 10, b"b" * 20, b"c" * 30


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Box:
    """A store with kept manifests, whose records are kept in a list."""

    def __init__(self, base: Path) -> None:
        self.base, self.now, self.full = base, 0.0, False
        self.objects, self.kept = Objects(base), Manifests(base)
        self.objects.prepare()
        self.kept.prepare()
        self.register = Register(base / "orders.db")
        self.told = list[list[list[object]]]()
        self.start()

    def start(self) -> None:
        told = Told(self.base / "holdings.db")
        self.holdings = Holdings(told, self.register, self.kept, Disk(self.base), self._tell, lambda: self.now)
        self.kept.told = self.holdings.touch

    async def _tell(self, record: Record) -> None:
        if self.full:
            raise Refused("spool-full", "full", 507)
        self.told.append(record.body["releases"])

    def publish(self, code: str, *parts: bytes, version: int = 1) -> None:
        files = {f"{n}.txt": File(sha256=digest(d), size=len(d), type="text/plain") for n, d in enumerate(parts)}
        release = Release(
            identifier=f"isli:{code}",
            version=version,
            body="library",
            title="刘三姐",
            rights=Rights(zones=("bigscreen",)),
            entry="0.txt",
            files=files,
        )
        self.register.learn(release, manifest.digest(release))
        self.kept.put(code, signed.seal(release, KEY))

    def put(self, *parts: bytes) -> None:
        for data in parts:
            path = self.objects.path(digest(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self.holdings.note([digest(data)])

    async def round(self) -> list[list[object]]:
        self.told.clear()
        self.now += AGAIN + 1
        await self.holdings.round()
        return sorted((row for rows in self.told for row in rows), key=str)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


async def test_it_is_told_as_it_comes_and_goes_and_not_again(box: Box) -> None:
    """Part, whole, a shared object, another version, gone: each change once, nothing where nothing changed."""
    box.publish(CODE, A, B, B)
    assert await box.round() == [[CODE, 1, 0, 2, 0, 30]]
    assert await box.round() == []
    box.put(A)
    assert await box.round() == [[CODE, 1, 1, 2, 10, 30]]
    box.publish(OTHER, B, C)
    box.put(B)
    assert await box.round() == [[CODE, 1, 2, 2, 30, 30], [OTHER, 1, 1, 2, 20, 50]]
    box.publish(CODE, A, C, version=2)
    assert await box.round() == [[CODE, 2, 1, 2, 10, 40]]
    box.objects.path(digest(B)).unlink()
    box.holdings.note([digest(B)], False)
    assert await box.round() == [[OTHER, 1, 0, 2, 0, 50]]


async def test_a_restart_tells_what_changed_while_nobody_looked(box: Box) -> None:
    box.publish(CODE, A)
    box.publish(OTHER, B)
    box.put(A, B)
    assert len(await box.round()) == 2
    box.objects.path(digest(B)).unlink()  # nobody was told
    box.start()
    assert await box.round() == [[OTHER, 1, 0, 1, 0, 20]]


async def test_what_could_not_be_told_is_told_later(box: Box) -> None:
    box.publish(CODE, A)
    box.full = True
    with pytest.raises(Refused):
        await box.round()
    box.full = False
    assert await box.round() == [[CODE, 1, 0, 1, 0, 10]]


async def test_many_are_told_together_and_a_damaged_memory_tells_all_once_more(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "TOGETHER", 1)
    box.publish(CODE, A)
    box.publish(OTHER, A)
    assert len(await box.round()) == len(box.told) == 2
    (box.base / "holdings.db").write_bytes(b"damaged" * 1000)
    box.start()
    assert len(await box.round()) == 2


async def test_one_that_is_dear_to_count_waits_longer(box: Box) -> None:
    """A release of many files is counted at most a twentieth of the time."""
    box.publish(CODE, A)
    await box.round()
    box.put(A)
    box.told.clear()
    await box.holdings.round()
    assert box.told == [], "counted a moment ago"
    assert await box.round() == [[CODE, 1, 1, 1, 10, 10]]
