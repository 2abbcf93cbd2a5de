"""What is fetched ahead is bounded, and counted as used or as wasted."""

import asyncio
import hashlib

import pytest

from gateway.delivery import metrics
from gateway.delivery.ahead import AT_ONCE, KEPT, Ahead
from gateway.playlists.ladder import HLS
from gateway.release.manifest import File
from gateway.serving.coming import Coming, Object
from gateway.serving.exchange import Manifest
from gateway.store.objects import Objects

COUNT = 12
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + b"".join(b"#EXTINF:2,\n%d.ts\n" % n for n in range(COUNT))


class Exchange:
    """Brings objects when it is told to."""

    def __init__(self):
        self.asked, self.go = [], asyncio.Event()

    def allows(self, _manifest, _path):
        return False

    async def object(self, manifest, path):
        self.asked.append(path)
        await self.go.wait()
        coming, file = Coming(), manifest.files[path]
        coming.began(Object(file.sha256, file.size, file.type), None, stored=False)
        coming.end(None)
        return coming


def counted(outcome):
    return metrics.AHEAD.labels("test", outcome)._value.get()


@pytest.fixture
def release(tmp_path):
    store = Objects(tmp_path / "store")
    digest = hashlib.sha256(PLAYLIST).hexdigest()
    where = store.path(digest)
    where.parent.mkdir(parents=True)
    where.write_bytes(PLAYLIST)
    files = {"index.m3u8": File(sha256=digest, size=len(PLAYLIST), type=HLS)}
    files |= {f"{n}.ts": File(sha256="0" * 64, size=1000, type="video/mp2t") for n in range(COUNT)}
    told = {"release": "c", "version": 1, "body": "b", "title": "t", "entry": "index.m3u8", "digest": "d"}
    return store, Manifest(files=files, **told)


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_next_segment_is_used_or_wasted(release):
    store, manifest = release
    exchange, now = Exchange(), 0.0
    exchange.go.set()
    before = {outcome: counted(outcome) for outcome in ("fetched", "used", "wasted")}
    async with asyncio.TaskGroup() as tasks:
        ahead = Ahead("test", store, exchange, tasks, lambda: now)
        ahead.served(manifest, "index.m3u8")
        ahead.served(manifest, "0.ts")
        ahead.served(manifest, "0.ts")  # once is enough
        await settled()
        assert exchange.asked == ["1.ts"]
        ahead.asked(manifest, "1.ts")
        ahead.served(manifest, "1.ts", ("7.ts", "../../etc/passwd"))  # the player knows better
        await settled()
        assert exchange.asked == ["1.ts", "7.ts"]
        now = KEPT + 1
        ahead.served(manifest, "11.ts")  # the last one
    assert {outcome: counted(outcome) - was for outcome, was in before.items()} == {
        "fetched": 2,
        "used": 1,
        "wasted": 1,
    }


async def test_only_some_are_fetched_at_once(release):
    store, manifest = release
    exchange = Exchange()
    async with asyncio.TaskGroup() as tasks:
        ahead = Ahead("test", store, exchange, tasks)
        ahead.served(manifest, "index.m3u8")
        for number in range(COUNT):
            ahead.served(manifest, f"{number}.ts")
        await settled()
        assert len(exchange.asked) == AT_ONCE
        exchange.go.set()
