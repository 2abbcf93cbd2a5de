"""What is fetched ahead of live DASH channels: what follows, when it is there, in the bounds of all that is fetched ahead."""

import asyncio
import hashlib
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Refused
from gateway.delivery import ahead_live, metrics
from gateway.delivery.ahead import KEPT, Ahead
from gateway.delivery.ahead_live import AheadLive
from tests.unit.gateway.playlists.test_order import channel

COUNTED = channel('media="$RepresentationID$/$Number$.m4s" duration="2000"')
ZONE = "ahead-live"


def listed(last):
    inner = f'<SegmentTimeline><S t="0" d="2000" r="{last}"/></SegmentTimeline>'
    return channel('media="$RepresentationID$/$Time$.m4s"', inner=inner)


class Channels:
    """A live channel's files; the MPD can be exchanged."""

    def __init__(self, root, mpd):
        self.root, self.mpd, self.asked, self.hit = root, mpd, [], set()
        self.late = 10**6  # questions after which the segment 404 is there

    async def open(self, _code, path):
        self.asked.append(path)
        data = self.mpd if path.endswith(".mpd") else b"x" * 500
        if path.endswith("404.m4s") and self.asked.count(path) <= self.late:
            raise Refused("unknown-path", "no such file", 404)
        (self.root / "file").write_bytes(data)
        file = SimpleNamespace(sha256=hashlib.sha256(data).hexdigest(), size=len(data), came="origin")
        return file, (self.root / "file").open("rb"), "hit" if path in self.hit else "miss"


class Zone:
    """One zone, with a clock for each purpose."""

    def __init__(self, root, tasks, mpd=COUNTED):
        self.clock, self.now = 0.0, 1030.0
        self.channels = Channels(root, mpd)
        self.ahead = Ahead(ZONE, None, None, tasks, lambda: self.clock)
        self.live = AheadLive(self.ahead, self.channels, tasks, lambda: self.now)
        self.manifest = SimpleNamespace(digest="d", live=SimpleNamespace(largest=1000), files={})

    async def serves(self, *paths):
        for path in paths:
            self.live.served(self.manifest, "c", f"live/{path}")
            for _ in range(10):
                await asyncio.sleep(0)
        return [path for path in self.channels.asked if not path.endswith(".mpd")]


def counted(outcome):
    return metrics.AHEAD.labels(ZONE, outcome)._value.get(), metrics.AHEAD_BYTES.labels(ZONE, outcome)._value.get()


@pytest.fixture
def slept(monkeypatch):
    """What is waited for, in seconds, without waiting."""
    slept = []

    async def sleep(seconds, real=asyncio.sleep):
        slept.extend([round(seconds, 2)] if seconds else [])
        await real(0)

    monkeypatch.setattr(ahead_live.asyncio, "sleep", sleep)
    return slept


async def test_what_follows_is_fetched_once_and_counted(tmp_path, slept):
    before = [counted(outcome)[0] for outcome in ("fetched", "used", "wasted")]
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        assert await zone.serves("a/3.m4s", "index.mpd") == ["a/4.m4s"]  # also what was served before the MPD was known
        assert await zone.serves("a/3.m4s", "b/7.m4s", "init.mp4") == ["a/4.m4s", "b/8.m4s"]
        zone.ahead.asked(zone.manifest, "live/a/4.m4s")
        zone.clock = KEPT + 1
        assert await zone.serves("a/403.m4s") == ["a/4.m4s", "b/8.m4s"]  # 404 is not there yet by the clock
        zone.now = 9999.0
        assert (await zone.serves("a/403.m4s"))[:3] == ["a/4.m4s", "b/8.m4s", "a/404.m4s"]  # and not at the origin
    after = [counted(outcome)[0] for outcome in ("fetched", "used", "wasted")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1, 1]


@pytest.mark.parametrize(("late", "asked", "fetched"), [(3, 4, 1), (10**6, ahead_live.TRIES, 0)])
async def test_what_a_packager_is_late_with_is_asked_for_again_for_a_while(tmp_path, slept, late, asked, fetched):
    """By the clock it is whole, and its packager has yet to write and sign it."""
    before = counted("fetched")[0]
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        zone.now, zone.channels.late = 9999.0, late
        await zone.serves("index.mpd", "a/403.m4s")
    assert zone.channels.asked.count("a/404.m4s") == asked
    assert slept == [ahead_live.AGAIN] * (asked - 1)
    assert counted("fetched")[0] - before == fetched


async def test_what_is_not_whole_yet_is_waited_for(tmp_path, slept):
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        zone.now = 1006.5
        assert await zone.serves("index.mpd", "a/3.m4s") == ["a/4.m4s"]
        assert slept == [1.5]
        zone.now = 900.0
        assert await zone.serves("a/5.m4s") == ["a/4.m4s"]  # too long to wait for


async def test_the_next_mpd_tells_what_follows_the_last_segment(tmp_path):
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks, listed(3))
        assert await zone.serves("index.mpd", "a/6000.m4s") == []
        assert await zone.serves("index.mpd") == []  # the same one
        zone.channels.mpd = listed(4)
        assert await zone.serves("index.mpd") == ["a/8000.m4s"]


@pytest.mark.parametrize("bound", ["MOST_EDGES", "MOST_ORDERS"])
async def test_memory_is_bounded(tmp_path, monkeypatch, bound):
    monkeypatch.setattr(ahead_live, bound, 2)
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks, listed(3))
        await zone.serves(*(f"{n}.mpd" for n in range(4)))
        await zone.serves(*(f"x/{n}.m4s" for n in range(4)))
        assert len(zone.live._edges if bound == "MOST_EDGES" else zone.live._orders) == 2
