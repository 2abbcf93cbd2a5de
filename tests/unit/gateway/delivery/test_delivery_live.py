"""Live files as delivery keeps them in mind: for as long as the exchange said, and no longer."""

import asyncio
import hashlib

import pytest

from appliance.runtime.errors import Corrupt
from gateway.delivery.live import Channels, longest
from gateway.release.manifest import Live
from gateway.serving.exchange import LiveFile
from gateway.store.live import LiveObjects


class Exchange:
    """Gives what it was told to, and counts."""

    def __init__(self):
        self.asked, self.data, self.fresh = 0, b"one", 1.0

    async def live(self, code, path, wanted=None):
        self.asked += 1
        return LiveFile(
            sha256=hashlib.sha256(self.data).hexdigest(), size=len(self.data), type="video/mp2t", fresh=self.fresh
        )


@pytest.fixture
def store(tmp_path):
    store = LiveObjects(tmp_path)
    store.prepare()
    return store


def put(store, tmp_path, data):
    (tmp_path / "came").write_bytes(data)
    store.adopt(tmp_path / "came", hashlib.sha256(data).hexdigest())


async def test_a_file_is_asked_for_again_when_it_is_no_longer_fresh(store, tmp_path):
    """And many who ask at once ask once."""
    exchange, now = Exchange(), 0.0
    put(store, tmp_path, b"one")
    async with asyncio.TaskGroup() as tasks:
        channels = Channels(store, exchange, tasks, lambda: now)

        async def read():
            _, opened, cache = await channels.open("c", "1.ts")
            with opened:
                return opened.read(), cache

        assert {data for data, _ in await asyncio.gather(*(read() for _ in range(5)))} == {b"one"}
        assert exchange.asked == 1
        now = 0.9
        assert await read() == (b"one", "hit")
        now, exchange.data = 1.0, b"two"
        put(store, tmp_path, b"two")
        assert await read() == (b"two", "miss")
        store.remove(hashlib.sha256(b"two").hexdigest())
        with pytest.raises(Corrupt):
            await read()


async def test_a_segment_is_known_while_nobody_need_be_asked(store, tmp_path):
    """What nginx in front may be told of; a playlist never is."""
    now = 0.0
    put(store, tmp_path, b"one")
    async with asyncio.TaskGroup() as tasks:
        channels = Channels(store, Exchange(), tasks, lambda: now)
        assert channels.known("c", "1.ts") is None
        for path in ("1.ts", "index.m3u8"):
            (await channels.open("c", path))[1].close()
        now = 0.75
        known = channels.known("c", "1.ts")
        assert known is not None
        assert (known[0].size, known[1].read_bytes(), known[2]) == (3, b"one", 0.25)
        assert channels.known("c", "index.m3u8") is None
        now = 1.0
        assert channels.known("c", "1.ts") is None
        now = 0.5
        store.remove(hashlib.sha256(b"one").hexdigest())
        assert channels.known("c", "1.ts") is None


def test_a_writer_that_begins_keeps_the_folder_that_others_have_mounted(store, tmp_path):
    before = (tmp_path / "live").stat().st_ino
    put(store, tmp_path, b"one")
    store.prepare()
    assert (tmp_path / "live").stat().st_ino == before
    assert not list((tmp_path / "live").rglob("*/*"))


def test_a_player_keeps_a_playlist_for_half_a_segment():
    """And a segment for a window."""
    live = Live(key="ed25519:" + "A" * 43 + "=", segment=4.0, window=6)
    assert (longest(live, "live/index.m3u8"), longest(live, "live/1.ts")) == (2, 24)
