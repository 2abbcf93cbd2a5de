"""Live files on their way: asked for once for all, shown while they hold, and shown on while origins are away or show nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.exchange.holding_back import HoldingBack
from gateway.exchange.live import Channels
from gateway.exchange.metrics import LIVE
from gateway.release.live import freshness
from gateway.release.live.signing import SUFFIX, Claim
from gateway.release.manifest import Live
from gateway.store.live import Incoming, LiveObjects
from gateway.store.quarantine import Quarantine

CODE = "999999-100000000000001-4"
LIVE_KEY = f"ed25519:{'A' * 43}="
CHANNEL = Live(key=LIVE_KEY, segment=2.0, window=5)
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n7.ts\n#EXTINF:2,\n8.ts\n"


class Site:
    """Two origins with files, a filter that reads the claim out of the fields, and a clock."""

    def __init__(self, root):
        self.now, self.asked, self.floors, self.refusals = 1000.0, [], [], []
        self.files = {"centre": {}, "second": {}}
        self.etags, self.away, self.hold = {}, set(), asyncio.Event()
        self.hold.set()
        self.store, self.incoming = LiveObjects(root), Incoming(root)
        self.quarantine = Quarantine(root, 1 << 20)
        for each in (self.store, self.incoming, self.quarantine):
            each.prepare()
        roles = {"centre": "origin", "second": "origin", "elder": "parent"}
        self.held = SimpleNamespace(
            admitted=SimpleNamespace(release=SimpleNamespace(code=CODE)),
            policy=SimpleNamespace(origins={name: SimpleNamespace(role=role) for name, role in roles.items()}),
        )

    def put(self, path, data, sequence, origin="centre", **told):
        fields = f"{sequence} {told.get('created', self.now)} {told.get('expires', self.now + 3600)}"
        self.files[origin] |= {path: data, path + SUFFIX: fields.encode()}

    @contextlib.asynccontextmanager
    async def ask(self, origin, where, largest, etag=""):
        path = where.rpartition("/live/")[2]
        self.asked.append((origin, path))
        await self.hold.wait()
        if origin in self.away:
            raise Unreachable(f"{origin} is away")
        if path not in self.files[origin]:
            raise Refused("unknown-path", "not there", 404)

        async def chunks():
            yield self.files[origin][path]

        here = self.etags.get(path, "")
        yield SimpleNamespace(unchanged=bool(etag) and etag == here, etag=here, chunks=chunks)

    async def pass_live(self, _, path, content, fields, floor):
        data = self.incoming.path(content).read_bytes()
        sequence, created, expires = map(float, self.incoming.path(fields).read_text().split())
        self.floors.append((path, floor))
        claim = Claim(hashlib.sha256(data).hexdigest(), len(data), int(sequence), int(created), int(expires))
        freshness.check(claim, CHANNEL, path, self.now, floor)
        return claim

    def allowed(self, _):
        pass

    async def refused(self, refusal, _, **told):
        self.refusals.append((refusal.reason, told["origin"]))

    async def get(self, path):
        return await self.channels.get(self.held, CHANNEL, path)


@pytest.fixture
async def site(tmp_path):
    made = Site(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        made.channels = Channels(
            tasks,
            made,
            made.store,
            made.incoming,
            made,
            made,
            HoldingBack(made.quarantine),
            made.allowed,
            lambda: made.now,
        )
        yield made


def body(site, came):
    return site.store.path(came.entry.claim.sha256).read_bytes()


async def until(condition):
    """Let the box's own tasks run until it is so."""
    while not condition():  # noqa: ASYNC110 (they tell nobody)
        await asyncio.sleep(0)


def counted(word):
    return LIVE.labels(word)._value.get()


async def test_many_screens_make_one_request(site):
    """The file and its fields are asked for once, whoever asks meanwhile."""
    site.put("7.ts", b"seven", 1)
    site.hold.clear()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(site.get("7.ts")) for _ in range(20)]
        await until(lambda: len(site.asked) == 2)
        site.hold.set()
    assert {body(site, task.result()) for task in asking} == {b"seven"}
    assert sorted(site.asked) == [("centre", "7.ts"), ("centre", "7.ts.sig")]
    assert not list(site.incoming.folder.iterdir())


async def test_what_is_here_is_shown_while_it_is_fresh(site):
    """A playlist for half a segment, a segment for a whole one; then its origin is asked, by its ETag where it gave one."""
    site.put("7.ts", b"seven", 1)
    site.etags["7.ts.sig"] = '"1"'
    assert ((await site.get("7.ts")).came, len(site.asked)) == ("origin", 2)
    site.now += CHANNEL.segment - 0.1
    assert ((await site.get("7.ts")).came, len(site.asked)) == ("store", 2)
    site.now += 0.2
    came = await site.get("7.ts")
    assert (came.came, came.fresh, site.asked[2:]) == ("store", CHANNEL.segment, [("centre", "7.ts.sig")])


async def test_a_newer_playlist_takes_the_place_of_the_old_one(site):
    """And the filter is told which sequence was seen, so that an older one cannot come back."""
    site.put("main.m3u8", b"#EXTM3U\n", 1)
    await site.get("main.m3u8")
    site.now += CHANNEL.segment
    site.put("main.m3u8", b"#EXTM3U\n\n", 2)
    came = await site.get("main.m3u8")
    assert (came.came, body(site, came)) == ("origin", b"#EXTM3U\n\n")
    site.now += CHANNEL.segment
    site.put("main.m3u8", b"#EXTM3U\n", 1)
    assert body(site, await site.get("main.m3u8")) == b"#EXTM3U\n\n"
    assert site.floors == [("main.m3u8", 0), ("main.m3u8", 1), ("main.m3u8", 2)]
    assert site.refusals == [("stale-playlist", "centre")]


async def test_what_holds_is_shown_while_all_origins_are_away(site):
    """Screens need not suffer, until it has run out; then it is told that nobody answers."""
    site.put("main.m3u8", b"#EXTM3U\n", 1)
    await site.get("main.m3u8")
    site.away = {"centre", "second"}
    site.now += CHANNEL.segment
    assert (await site.get("main.m3u8")).came == "store"
    site.now += freshness.life(CHANNEL, "main.m3u8")
    with pytest.raises(Unreachable):
        await site.get("main.m3u8")
    assert not site.refusals


async def test_another_origin_is_asked_where_one_has_nothing_good(site):
    """Origins alone, in turn, and from then on the one that had it first; what was wrong is written down, what was lacking is not."""
    site.put("7.ts", b"wrong", 1, created=site.now - 3600, expires=site.now - 60)
    site.put("7.ts", b"seven", 1, origin="second")
    site.put("8.ts", b"eight", 1, origin="second")
    assert body(site, await site.get("7.ts")) == b"seven"
    assert body(site, await site.get("8.ts")) == b"eight"
    assert site.refusals == [("stale-segment", "centre")]
    assert "elder" not in {origin for origin, _ in site.asked}
    site.asked.clear()
    site.now += CHANNEL.segment + 1
    await site.get("8.ts")
    assert {origin for origin, _ in site.asked} == {"second"}


async def test_a_file_without_its_fields_is_not_signed(site):
    """What nobody signed is refused and held back; what nobody has is only unknown."""
    site.files["centre"]["7.ts"] = b"seven"
    site.files["second"]["7.ts"] = b"seven"
    with pytest.raises(Refused) as refused:
        await site.get("7.ts")
    assert (refused.value.reason, [reason for reason, _ in site.refusals]) == ("not-signed", ["not-signed"] * 2)
    site.refusals.clear()
    with pytest.raises(Refused) as refused:
        await site.get("9.ts")
    assert (refused.value.reason, site.refusals) == ("unknown-path", [])


async def test_an_answer_that_is_too_long_is_cut(site):
    """No byte behind the channel's largest file is written."""
    site.put("7.ts", bytes(100), 1)
    channel = CHANNEL.model_copy(update={"largest": 99})
    with pytest.raises(Refused):
        await site.channels.get(site.held, channel, "7.ts")
    assert site.refusals == [("too-large", "centre")]
    assert not list(site.incoming.folder.iterdir())


async def test_the_newest_segment_is_here_before_the_first_screen_asks(site):
    """A new playlist that names it is reason enough to fetch it; that it is not there yet hurts nobody."""
    before = counted("unknown-path")
    site.put("main.m3u8", PLAYLIST, 1)
    await site.get("main.m3u8")
    await until(lambda: counted("unknown-path") == before + 2)  # at both origins
    site.put("8.ts", b"eight", 1)
    site.now += CHANNEL.segment
    site.put("main.m3u8", PLAYLIST + b"\n", 2)
    await site.get("main.m3u8")
    await until(lambda: site.channels._present(CODE, CHANNEL, "8.ts"))
    asked = len(site.asked)
    assert ((await site.get("8.ts")).came, len(site.asked)) == ("store", asked)


async def test_what_has_run_out_is_removed(site, monkeypatch):
    """An object stays for as long as it may be shown, and not longer."""
    monkeypatch.setattr("gateway.exchange.live.SWEEP", 0)
    site.put("7.ts", b"seven", 1)
    claim = (await site.get("7.ts")).entry.claim
    sweeping = asyncio.ensure_future(site.channels.sweep())
    await asyncio.sleep(0)
    assert site.store.has(claim.sha256, claim.size)
    site.now += freshness.life(CHANNEL, "7.ts") + 1
    await until(lambda: not site.store.has(claim.sha256, claim.size))
    sweeping.cancel()
