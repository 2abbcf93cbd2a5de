"""A release whose listing the centre has not named yet: its bytes come, nothing is taken in, and it goes on by itself."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.publish import desk as desks
from gateway.publish.desk import Desk
from gateway.publish.drop import Drop
from gateway.publish.exchange import WAITS, Offered
from gateway.publish.inbox import Inbox
from gateway.release import folder as folders
from gateway.release import paths, signed
from gateway.release.manifest import Release, Rights

CODE = "999999-100000000000001-4"


class Exchange:
    """An exchange that waits for a listing until it is told that it came; then it misses everything once."""

    def __init__(self) -> None:
        self.listed, self.refusal = False, ""
        self.taken = list[str]()

    async def offer(self, code: str) -> Offered:
        if self.refusal:
            raise Refused(self.refusal, "the centre does not take it")
        if not self.listed:
            raise Refused(WAITS, "the centre has not named that listing yet")
        return Offered(release=code, version=1, missing=[] if self.taken else ["a.txt"])

    async def take(self, code: str, path: str) -> None:
        assert self.listed, "nothing is taken in before"
        self.taken.append(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "inbox" / "film"
    made.mkdir(parents=True)
    (made / "a.txt").write_bytes(b"a" * 1000)
    release = Release(
        identifier=f"isli:{CODE}",
        version=1,
        body="library",
        title="刘三姐",
        rights=Rights(zones=("bigscreen",)),
        entry="a.txt",
        files=folders.gather(made, folders.survey(made)),
    )
    (made / paths.MANIFEST).write_bytes(signed.seal(release, PrivateKey.generate()))
    (made / paths.LISTING).write_bytes(b"{}")
    return made


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "AGAIN", 0.01)


def desk_at(tmp_path: Path, exchange: Any, tasks: asyncio.TaskGroup) -> Desk:
    (tmp_path / "drop").mkdir(exist_ok=True)
    return Desk(Drop(tmp_path / "drop", 0), exchange, tasks, 1 << 20)


async def _data() -> AsyncIterator[bytes]:
    yield b"a" * 1000


async def test_it_says_so_and_goes_on_by_itself(folder: Path, tmp_path: Path) -> None:
    exchange = Exchange()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        desk = desk_at(tmp_path, exchange, tasks)
        await desk.hand_in(CODE, b"{}")
        upload = await desk.begin(CODE, (folder / paths.MANIFEST).read_bytes())
        assert (upload.state, upload.told()["waits"]) == (WAITS, "the centre has not named that listing yet")
        assert (tmp_path / "drop" / CODE / paths.LISTING).read_bytes() == b"{}"
        (part,) = upload.parts.values()
        await desk.write(upload, part, 0, 1000, _data())
        assert (upload.state, upload.told()["missing"], exchange.taken) == (WAITS, [], [])
        exchange.listed = True
        while desk.told(CODE)["state"] != "accepted":
            await desk.moved(1)
    assert exchange.taken == ["a.txt"]


async def test_what_the_centre_does_not_take_is_refused_with_its_reason(folder: Path, tmp_path: Path) -> None:
    exchange = Exchange()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        desk = desk_at(tmp_path, exchange, tasks)
        await desk.begin(CODE, (folder / paths.MANIFEST).read_bytes())
        exchange.refusal = "older-metadata"
        while desk.told(CODE)["state"] == WAITS:
            await desk.moved(1)
        assert desk.told(CODE)["reason"] == "older-metadata"


class SlowDrop(Drop):
    """A drop folder on a slow disk: it is thrown away when ``let`` is set."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, 0)
        self.let, self.begun = threading.Event(), threading.Event()

    def remove(self, code: str) -> None:
        self.begun.set()
        assert self.let.wait(10)
        super().remove(code)


@pytest.mark.parametrize("first", ["release", "listing"])
async def test_what_comes_while_what_was_refused_is_thrown_away_waits_for_that(
    folder: Path, tmp_path: Path, first: str
) -> None:
    """Who reads that a release was refused may offer it again at once: it is not ``busy``, and nothing of it is lost."""
    exchange: Any = Exchange()
    envelope = (folder / paths.MANIFEST).read_bytes()
    (tmp_path / "drop").mkdir()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        drop = SlowDrop(tmp_path / "drop")
        desk = Desk(drop, exchange, tasks, 1 << 20)
        await desk.begin(CODE, envelope)
        exchange.refusal = "older-metadata"
        await asyncio.to_thread(drop.begun.wait, 10)
        assert desk.told(CODE)["state"] == "refused"
        exchange.refusal = ""
        again = tasks.create_task(desk.hand_in(CODE, b"{}") if first == "listing" else _begin(desk, envelope))
        assert not (await asyncio.wait({again}, timeout=0.2))[0], "it waits"
        drop.let.set()
        await again
        if first == "listing":
            assert (tmp_path / "drop" / CODE / paths.LISTING).read_bytes() == b"{}"
        else:
            assert desk.find(CODE).told()["missing"][0]["path"] == "a.txt"
            assert (tmp_path / "drop" / CODE / paths.MANIFEST).read_bytes() == envelope
        desk.leave()


async def _begin(desk: Desk, envelope: bytes) -> None:
    await desk.begin(CODE, envelope)


async def test_a_restart_goes_on_with_what_waited(folder: Path, tmp_path: Path) -> None:
    exchange = Exchange()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        desk = desk_at(tmp_path, exchange, tasks)
        await desk.hand_in(CODE, b"{}")
        await desk.begin(CODE, (folder / paths.MANIFEST).read_bytes())
        desk.leave()
        again = desk_at(tmp_path, exchange, tasks)
        await again.resume()
        assert again.find(CODE).state == WAITS
        again.leave()


async def test_a_watched_folder_tells_it_once_and_others_go_on(folder: Path, tmp_path: Path) -> None:
    """The result beside the folder says that it waits; the look ends, so that other folders have their turn; then it is taken."""
    exchange, now = Exchange(), [0.0]
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        inbox = Inbox(folder.parent, desk_at(tmp_path, exchange, tasks), lambda: now[0])
        result = folder.parent / "film.result.json"
        for _ in range(3):
            await inbox.look()
            now[0] += 10
        assert json.loads(result.read_bytes())["state"] == WAITS
        told = result.stat().st_mtime_ns
        await inbox.look()
        assert result.stat().st_mtime_ns == told
        exchange.listed = True
        while json.loads(result.read_bytes())["state"] == WAITS:
            await inbox.look()
            await asyncio.sleep(0)
        assert json.loads(result.read_bytes())["state"] == "accepted"
        assert [path.name[:11] for path in folder.parent.iterdir() if path.is_dir()] == ["film.taken-"]


def test_a_long_manifest_is_offered_again_less_often() -> None:
    """Judging one of a hundred thousand files takes seconds: at most a fifth of the time goes into that."""
    assert [desks.pause(took) for took in (0.0, 2.0, 13.0, 1000.0)] == [0.01, 10.0, desks.SELDOM, desks.SELDOM]
