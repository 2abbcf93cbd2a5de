"""A zone's own playlists: made once for each version, from films and from live channels."""

import hashlib
import os

import pytest

from appliance.runtime.errors import Corrupt
from gateway.delivery import remade
from gateway.delivery.ladder import Shown
from gateway.playlists.ladder import DASH, HLS, LONGEST, Limits
from gateway.serving.coming import Coming, Object
from gateway.serving.exchange import LiveFile
from tests.unit.gateway.playlists.test_ladder import MANIFEST, MASTER

SMALL = Limits(height=720)


def opened(tmp_path, data):
    (tmp_path / "file").write_bytes(data)
    return (tmp_path / "file").open("rb", buffering=0)


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("data", "kind"), [(MASTER, HLS), (MANIFEST, DASH)])
async def test_a_live_playlist_is_another_one_with_its_own_digest(tmp_path, data, kind):
    shown = Shown(SMALL)
    file = LiveFile(sha256=digest(data), size=len(data), type=kind, fresh=3.0)
    before = opened(tmp_path, data)
    made, filtered, coming = await shown.show(file, before, None)
    with filtered:
        content = os.pread(filtered.fileno(), 1 << 20, 0)
    assert before.closed
    assert coming is None
    assert (made.sha256, made.size, made.type, made.fresh) == (digest(content), len(content), kind, 3.0)
    assert b"1080" not in content


async def test_what_stays_as_it_is_is_served_from_the_store(tmp_path):
    shown = Shown(Limits(height=4000))
    file, data = Object(digest(MASTER), len(MASTER), HLS), opened(tmp_path, MASTER)
    for _ in range(2):
        assert await shown.show(file, data, None) == (file, data, None)
    data.close()


async def test_what_does_not_come_or_cannot_be_read_is_closed_and_told(tmp_path):
    shown = Shown(SMALL)
    broken, long = opened(tmp_path, b"<MPD"), opened(tmp_path, b"<MPD")
    with pytest.raises(Corrupt):
        await shown.show(Object("0" * 64, 4, DASH), broken, None)
    with pytest.raises(Corrupt):
        await shown.show(Object("1" * 64, LONGEST + 1, DASH), long, None)
    coming, never = Coming(), opened(tmp_path, MASTER)
    coming.end(Corrupt("it broke off"))
    with pytest.raises(Corrupt, match="broke off"):
        await shown.show(Object(digest(MASTER), len(MASTER), HLS), never, coming)
    assert broken.closed
    assert long.closed
    assert never.closed


async def test_only_so_many_are_kept(tmp_path, monkeypatch):
    """Whatever comes, the memory is bounded; what went is made anew."""
    monkeypatch.setattr(remade, "MOST", 2)
    shown = Shown(SMALL)
    for number in (*range(5), 0):
        data = MASTER + b"# %d\n" % number
        _, filtered, _ = await shown.show(Object(digest(data), len(data), HLS), opened(tmp_path, data), None)
        with filtered:
            assert os.pread(filtered.fileno(), 1 << 20, 0).endswith(b"# %d\n" % number)
    assert len(shown._made) == 2


def test_a_zone_without_limits_is_not_looked_into():
    assert not Shown(Limits()).filters(HLS)
    assert Shown(SMALL).filters(DASH)
    assert not Shown(SMALL).filters("video/mp4")
