"""The controller keeps the timestamp fresh and takes in what holders signed, over HTTP and from its folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused
from gateway.release import signed
from gateway.release.manifest import File, Release, Rights
from gateway.release.trust import carrying, drafts, kept, layout, metadata, repository, verifying
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.files import Files
from provisioning.controller.settings import Trust
from provisioning.controller.trust import Keeper, routes

CODE = "999999-100000000000001-4"
ROOT, OPERATOR, ONLINE, LIBRARY, STRANGER = (PrivateKey.generate() for _ in range(5))


def begin(folder: Path) -> None:
    """Make a repository at the operator's desk: a root, and a library that is admitted."""
    folder.mkdir()
    now = datetime.now(UTC)
    holders = drafts.Holders((ROOT.public,), 1, (OPERATOR.public,), 1, (ONLINE.public,))
    root = metadata.sign(drafts.root(holders, 1, now), ROOT)
    repository.put(folder, "1.root.json", metadata.written(root))
    library = Delegate("library", (LIBRARY.public,), ("isli:999999-1",), ("share",), 4)
    targets = metadata.sign(drafts.targets(None, [library], now), OPERATOR)
    repository.put(folder, "1.targets.json", metadata.written(targets))


def envelope() -> bytes:
    release = Release(
        identifier=f"isli:{CODE}",
        version=1,
        body="library",
        title="刘三姐",
        rights=Rights(zones=("bigscreen",)),
        entry="film.mp4",
        files={"film.mp4": File(sha256="0" * 64, size=1, type="video/mp4")},
    )
    return signed.seal(release, LIBRARY)


@asynccontextmanager
async def serving(keeper: Keeper) -> AsyncIterator[carrying.Controller]:
    app = http.application()
    app.add_routes(routes(keeper))
    async with http.serving(app, tcp=[("127.0.0.1", 0)]) as ((address, port),):
        yield carrying.Controller(f"http://{address}:{port}")


def keeper(folder: Path, root: str | None = None) -> Keeper:
    return Keeper(Trust(folder=folder, root=root, every=0.05), ONLINE)


async def test_a_desk_sends_and_a_body_works_on_a_copy(tmp_path: Path) -> None:
    """Root and targets come from the operator, a bin from a body; a box then finds the release in the centre's folder."""
    desk, body, centre = tmp_path / "desk", tmp_path / "body", tmp_path / "centre"
    begin(desk)
    pin = hashlib.sha256((desk / "1.root.json").read_bytes()).hexdigest()
    async with serving(keeper(centre, pin)) as controller:
        assert [name.file for name in await asyncio.to_thread(carrying.send, controller, desk)] == [
            "1.root.json",
            "1.targets.json",
        ]
        await asyncio.to_thread(carrying.fetch, controller, body, "library")
        repository.list_release(body, "library", CODE, envelope(), LIBRARY)
        assert len(await asyncio.to_thread(carrying.send, controller, body)) == 2
        assert await asyncio.to_thread(carrying.send, controller, body) == []
    files = Files(centre)
    chain = verifying.Chain(kept.Memory(), pin)
    found = verifying.ask(
        chain, "library", CODE, datetime.now(UTC), lambda needed: files.read(layout.parse(needed.file))
    )
    assert found.entry.sha256 == hashlib.sha256(envelope()).hexdigest()


async def test_what_is_laid_into_the_folder_is_seen_by_itself(tmp_path: Path) -> None:
    """No call is needed at the centre itself: the loop takes in what was listed, and signs."""
    begin(tmp_path / "trust")
    trust = keeper(tmp_path / "trust")
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(trust.run())
        while trust.last is None:  # noqa: ASYNC110 (with a deadline around it)
            await asyncio.sleep(0.01)
        first = trust.last.snapshot
        repository.list_release(tmp_path / "trust", "library", CODE, envelope(), LIBRARY)
        while trust.last.snapshot == first:  # noqa: ASYNC110 (the same)
            await asyncio.sleep(0.01)
        running.cancel()
    assert trust.fault == ""


@pytest.mark.parametrize("pin", [None, "0" * 64])
async def test_a_first_root_that_nobody_pinned_is_not_taken(tmp_path: Path, pin: str | None) -> None:
    begin(tmp_path / "desk")
    async with serving(keeper(tmp_path / "centre", pin)) as controller:
        with pytest.raises(Refused) as refused:
            await asyncio.to_thread(carrying.send, controller, tmp_path / "desk")
    assert refused.value.reason == "wrong-key"


@pytest.mark.parametrize(
    ("file", "data", "reason"),
    [
        ("2.targets.json", b"{}", "corrupt"),
        ("2.targets.json", b"[" * 100_000, "corrupt"),
        ("2.root.json", b" " * (1 << 20), "too-large"),
        ("2.nobody.json", b"", "corrupt"),
        ("timestamp.json", b"", "bad-request"),
        ("..%2Fx.json", b"", "bad-request"),
        (".lock", b"", "bad-request"),
    ],
)
async def test_what_no_holder_signed_is_refused(tmp_path: Path, file: str, data: bytes, reason: str) -> None:
    """Whoever reaches the API can hand over files; only what verifies is taken, and nothing else changes."""
    begin(tmp_path / "trust")
    trust = keeper(tmp_path / "trust")
    await trust.refresh()
    before = sorted(path.name for path in (tmp_path / "trust").iterdir())
    async with serving(trust) as controller:
        with pytest.raises(Refused) as refused:
            await asyncio.to_thread(controller._ask, "POST", f"/{file}", data)
    assert refused.value.reason == reason
    assert sorted(path.name for path in (tmp_path / "trust").iterdir()) == before


async def test_a_stranger_lists_nothing(tmp_path: Path) -> None:
    begin(tmp_path / "desk")
    trust = keeper(tmp_path / "trust")
    begin_files = [(path.name, path.read_bytes()) for path in (tmp_path / "desk").iterdir() if path.suffix == ".json"]
    (tmp_path / "trust").mkdir()
    for name, data in begin_files:
        (tmp_path / "trust" / name).write_bytes(data)
    found = repository.list_release(tmp_path / "desk", "library", CODE, envelope(), LIBRARY)
    async with serving(trust) as controller:
        for file in found.files:
            told = metadata.read((tmp_path / "desk" / file).read_bytes(), metadata.Targets, file)
            told.signatures.clear()
            forged = metadata.written(metadata.sign(told, STRANGER))
            with pytest.raises(Refused) as refused:
                await asyncio.to_thread(controller.post, layout.parse(file), forged)
            assert refused.value.reason == "wrong-key"


async def test_a_key_that_is_not_the_roots_is_told(tmp_path: Path) -> None:
    begin(tmp_path / "trust")
    trust = Keeper(Trust(folder=tmp_path / "trust"), STRANGER)
    with pytest.raises(Refused):
        await trust.refresh()
    assert "online key" in trust.fault
    empty = keeper(tmp_path / "nothing")
    with pytest.raises(Corrupt):
        await empty.refresh()
