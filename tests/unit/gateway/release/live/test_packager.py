"""Turn after turn: what is signed when."""

import os

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.release.live.follow import Folder
from gateway.release.live.outlet import Outlet
from gateway.release.live.packager import Signer, alone
from gateway.release.manifest import Live

KEY = PrivateKey.generate()
LIVE = Live(key=str(KEY.public), segment=2.0, window=6, largest=1000)
CODE, NOW = "999999-100000000000001-4", 1_764_354_912.0
MEDIA = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n"


@pytest.fixture
def studio(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    outlet = Outlet(tmp_path / "origin", CODE, LIVE, KEY)
    outlet.begin()
    return out, Signer(Folder(out), outlet, LIVE)


def write(path, text):
    path.write_text(text)
    os.utime(path, (NOW, NOW))


def test_segments_are_signed_before_their_playlist_and_masters_last(studio):
    """And nothing again while nothing changed."""
    out, signer = studio
    write(out / "1.ts", "one")
    write(out / "index.m3u8", MEDIA)
    write(out / "a.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n")
    assert signer.turn(NOW).state == "waiting"
    turn = signer.turn(NOW)
    assert [path for path, _ in turn.signed] == ["1.ts", "index.m3u8", "a.m3u8"]
    assert turn.state == "live"
    assert signer.turn(NOW + 1).signed == ()


def test_nothing_is_signed_anew_for_a_packager_that_stopped(studio):
    """Its playlist runs out at the boxes, and the signer says why."""
    out, signer = studio
    write(out / "1.ts", "one")
    write(out / "index.m3u8", MEDIA)
    signer.turn(NOW)
    signer.turn(NOW)
    turn = signer.turn(NOW + 8)
    assert (turn.state, turn.signed) == ("stopped", ())


def test_a_playlist_that_ended_holds_for_its_window(studio):
    """So that players come to the end."""
    out, signer = studio
    write(out / "1.ts", "one")
    write(out / "index.m3u8", MEDIA + "#EXT-X-ENDLIST\n")
    signer.turn(NOW)
    assert signer.turn(NOW).state == "ended"
    assert [path for path, _ in signer.turn(NOW + 9).signed] == ["index.m3u8"]
    assert signer.turn(NOW + 30).signed == ()


def test_one_signer_works_on_a_channel(tmp_path):
    """Two would remove each other's files."""
    with alone(tmp_path), pytest.raises(Refused) as caught, alone(tmp_path):
        pass
    assert caught.value.reason == "channel-taken"
