"""What a zone's ladder leaves out is refused by name, whatever of the release can be read just now."""

import asyncio
import hashlib
import io
from types import SimpleNamespace

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.delivery import beyond
from gateway.delivery.beyond import AGAIN, REASON, Beyond
from gateway.playlists.ladder import HLS, Limits
from gateway.release.manifest import File
from tests.unit.gateway.playlists.test_hidden import MASTER, media

FILES = {
    "index.m3u8": MASTER,
    "1080/v.m3u8": media("1.m4s"),
    "360/v.m3u8": media("1.m4s"),
    "1080/1.m4s": b"",
    "360/1.m4s": b"",
    "other.m4s": b"",
}
SMALL = Limits(height=720)


class Opened(io.BytesIO):
    """Bytes with a descriptor, as ``os.pread`` wants one."""

    def __init__(self, path, data):
        path.write_bytes(data)
        self.file = path.open("rb")
        super().__init__(data)

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()
        super().close()


class Zone:
    """A release whose playlists come, or not."""

    def __init__(self, root, tasks, limits=SMALL):
        self.root, self.now, self.away, self.reads = root, 0.0, set(), []
        files = {
            path: File(
                sha256=hashlib.sha256(data).hexdigest(), size=len(data), type=HLS if path.endswith("8") else "video/mp4"
            )
            for path, data in FILES.items()
        }
        self.names = {file.sha256: path for path, file in files.items() if file.type == HLS}
        self.manifest = SimpleNamespace(release="c", digest="d", files=files, live=None, entry="index.m3u8")
        self.entry = ("live/index.m3u8", MASTER)
        self.beyond = Beyond(limits, self, root, self, self, tasks, lambda: self.now)

    def allows(self, _, path):
        return path not in self.away

    async def object(self, _, path):
        raise Unreachable(f"{path} does not come")

    def open(self, *told):
        if len(told) == 1 or isinstance(told[1], str):
            return self._live()
        path = self.names[told[0]]
        self.reads.append(path)
        return Opened(self.root / "f", FILES[path])

    async def _live(self):
        if "live" in self.away:
            raise Unreachable("the channel does not come")
        data = self.entry[1]
        return (
            SimpleNamespace(sha256=hashlib.sha256(data).hexdigest(), size=len(data), type=HLS),
            Opened(self.root / "l", data),
            "hit",
        )

    def grants(self, path):
        return self.beyond.grants(self.manifest, path)

    async def refuses(self, path):
        try:
            await self.beyond.check(self.manifest, "c", path)
        except Refused as error:
            return (error.reason, error.status) == (REASON, 403)
        return False


async def test_a_release_is_read_once_however_many_ask(tmp_path):
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        told = await asyncio.gather(*(zone.refuses(path) for path in FILES))
        assert [path for path, refused in zip(FILES, told, strict=True) if refused] == ["1080/v.m3u8", "1080/1.m4s"]
        assert len(zone.reads) == 3


async def test_nginx_is_given_only_what_is_known_to_be_shown(tmp_path):
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        assert not zone.beyond.grants(zone.manifest, "360/1.m4s")  # nothing was read yet
        await zone.refuses("360/1.m4s")
        assert zone.beyond.grants(zone.manifest, "360/1.m4s")
        assert not zone.beyond.grants(zone.manifest, "1080/1.m4s")


async def test_what_shown_renditions_use_is_served_although_others_do_not_come(tmp_path):
    """What nothing is known of is not, until the playlists are there; they are asked for again after a while."""
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        zone.away.add("1080/v.m3u8")
        assert not await zone.refuses("360/1.m4s")
        assert not await zone.refuses("index.m3u8")
        assert await zone.refuses("1080/v.m3u8")
        with pytest.raises(Unreachable):
            await zone.refuses("1080/1.m4s")
        zone.away.clear()
        zone.now += AGAIN
        assert await zone.refuses("1080/1.m4s")


async def test_so_many_paths_are_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(beyond, "MOST_PATHS", 8)
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        for number in range(3):
            zone.manifest.digest = str(number)
            assert await zone.refuses("1080/1.m4s")
        assert len(zone.beyond._uses) == 1


async def test_a_channel_whose_entry_does_not_come_is_judged_by_what_it_said(tmp_path):
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks)
        zone.manifest.live, zone.manifest.entry = object(), "live/index.m3u8"
        zone.away.add("live")
        with pytest.raises(Unreachable):
            await zone.refuses("live/1080/1.m4s")
        zone.away.clear()
        assert not await zone.refuses("live/index.m3u8")
        assert not zone.grants("live/360/1.m4s")  # nothing is known yet
        assert not await zone.refuses("live/360/1.m4s")
        assert (zone.grants("live/360/1.m4s"), zone.grants("live/1080/1.m4s")) == (True, False)
        zone.away.add("live")
        assert await zone.refuses("live/1080/1.m4s")


async def test_a_zone_without_limits_looks_into_nothing(tmp_path):
    async with asyncio.TaskGroup() as tasks:
        zone = Zone(tmp_path, tasks, Limits())
        assert not await zone.refuses("1080/1.m4s")
        assert zone.reads == []
