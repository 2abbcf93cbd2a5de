"""What is not there yet is waited for once, and not for ever."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.exchange.live import Came
from gateway.exchange.ring import Entry
from gateway.exchange.waiting import Waiting
from gateway.playlists.blocking import Wanted
from gateway.release.live.signing import Claim

HELD = SimpleNamespace(admitted=SimpleNamespace(release=SimpleNamespace(code="c")))
LIVE = SimpleNamespace(key="key", segment=1.0)
HEAD = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"
)
HINT = b'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p2.0.m4s"\n'
PART = b'#EXT-X-PART:DURATION=0.2,URI="p2.0.m4s"\n'
BEFORE = HEAD + b"#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:1,\ns1.m4s\n"


class Files:
    """An origin's files; each look at a signature takes a tenth of a second."""

    def __init__(self):
        self.now, self.data, self.away, self.renewals = 0.0, {"index.m3u8": BEFORE + HINT}, False, 0
        self.fetched, self.looks, self.done = set(), [], defaultdict(asyncio.Event)

    def here(self, _held, _live, path):
        return self._came(path) if path in self.fetched else None

    async def get(self, _held, _live, path):
        if path not in self.data:
            raise Refused("unknown-path", "no such file", 404)
        self.fetched.add(path)
        self.done["fetch", path].set()
        return self._came(path)

    def _came(self, path):
        data = self.data[path]
        claim = Claim(str(len(data)), len(data), 1, 0, 100)
        return Came(Entry(claim, 100.0, self.now, "key", "", "centre"), "origin", 1.0)

    async def renewed(self, held, live, path):
        self.renewals += 1
        return await self.get(held, live, path)

    async def signature(self, _held, _live, path):
        self.now += 0.1
        self.looks.append(path)
        self.done["look", path].set()
        if self.away:
            raise Unreachable("away")
        if path not in self.data:
            raise Refused("unknown-path", "no such file", 404)
        return b"signed" + self.data[path]

    def read(self, came):
        return next(data for data in self.data.values() if len(data) == came.entry.claim.size)


async def test_who_waits_shares_one_question():
    files = Files()
    async with asyncio.TaskGroup() as tasks:
        waiting = Waiting(tasks, files, lambda: files.now)
        screens = [tasks.create_task(waiting.get(HELD, LIVE, "index.m3u8", Wanted(2, 0))) for _ in range(50)]
        for _ in range(5):
            await asyncio.sleep(0)
        files.data["index.m3u8"] = BEFORE + PART
        assert {files.read(await screen) for screen in screens} == {BEFORE + PART}
    assert files.renewals <= 2


@pytest.mark.parametrize("away", [False, True])
async def test_a_playlist_that_does_not_go_on_is_shown_as_it_is(away):
    """After three target durations, whether its packager stopped or its origin is away."""
    files = Files()
    files.away = away
    async with asyncio.TaskGroup() as tasks:
        came = await Waiting(tasks, files, lambda: files.now).get(HELD, LIVE, "index.m3u8", Wanted(2, 0))
    assert files.read(came) == BEFORE + HINT
    assert 3.0 <= files.now < 3.5


async def test_a_hinted_part_that_does_not_come_is_unknown_in_the_end():
    files = Files()
    async with asyncio.TaskGroup() as tasks:
        waiting = Waiting(tasks, files, lambda: files.now)
        await waiting.get(HELD, LIVE, "index.m3u8", None)
        with pytest.raises(Refused, match="no such file"):
            await waiting.get(HELD, LIVE, "p2.0.m4s", None)
        assert files.now >= 2.9
        before = files.now
        with pytest.raises(Refused, match="no such file"):  # nobody hints at it any more
            await waiting.get(HELD, LIVE, "p2.0.m4s", None)
        assert files.now == before


async def test_what_is_too_far_ahead_is_not_waited_for():
    files = Files()
    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(Refused) as refused:
            await Waiting(tasks, files, lambda: files.now).get(HELD, LIVE, "index.m3u8", Wanted(4))
    assert (refused.value.status, files.now) == (400, 0.0)


async def test_the_part_is_fetched_while_its_playlist_is_waited_for():
    """So that it is here when the playlist names it; nobody asks the origin for it again."""
    files = Files()
    async with asyncio.TaskGroup() as tasks:
        waiting = Waiting(tasks, files, lambda: files.now)
        screen = tasks.create_task(waiting.get(HELD, LIVE, "index.m3u8", Wanted(2, 0)))
        await files.done["look", "p2.0.m4s"].wait()
        files.data["p2.0.m4s"] = b"part"
        await files.done["fetch", "p2.0.m4s"].wait()
        assert not screen.done()
        files.data["index.m3u8"] = BEFORE + PART
        await screen
        looks = files.looks.count("p2.0.m4s")
        assert files.read(await waiting.get(HELD, LIVE, "p2.0.m4s", None)) == b"part"
        assert files.looks.count("p2.0.m4s") == looks


async def test_who_only_reads_the_playlist_has_nothing_fetched():
    files = Files()
    async with asyncio.TaskGroup() as tasks:
        await Waiting(tasks, files, lambda: files.now).get(HELD, LIVE, "index.m3u8", Wanted(1))
    assert files.looks == []


async def test_a_part_that_came_is_not_waited_for_again():
    """Also where another screen is shown the playlist that hinted at it once more."""
    files = Files()
    async with asyncio.TaskGroup() as tasks:
        waiting = Waiting(tasks, files, lambda: files.now)
        for _ in range(2):
            await waiting.get(HELD, LIVE, "index.m3u8", None)
            files.data["p2.0.m4s"] = b"part"
            assert files.read(await waiting.get(HELD, LIVE, "p2.0.m4s", None)) == b"part"
            files.fetched.discard("p2.0.m4s")  # it is to be asked for again
    assert files.now < 0.5
