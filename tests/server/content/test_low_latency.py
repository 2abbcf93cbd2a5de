"""LL-HLS through the whole chain: what is not there yet is waited for at the box, once, and comes as soon as it is signed."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.runtime.files import write_atomic
from tests.server.content import media
from tests.server.content.conftest import until
from tests.server.content.test_live_crosses import CODE, studio

__all__ = ["studio"]
pytestmark = [pytest.mark.server, pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")]
MANY = 20  # screens
SLOW = 20.0  # seconds of a segment: on a busy machine nothing runs out before a test has done its next step


def playlist(first, parts, *, blocks="YES"):
    """Return a playlist of the segment ``first`` and so many parts of the next one."""
    lines = [f"#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{SLOW:.0f}\n#EXT-X-PART-INF:PART-TARGET=0.5"]
    lines += [f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD={blocks},PART-HOLD-BACK=1.5\n#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += [f"#EXTINF:{SLOW},\ns{first}.m4s"]
    lines += [f'#EXT-X-PART:DURATION=0.5,URI="p{first + 1}.{part}.m4s"' for part in range(parts)]
    lines += [f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p{first + 1}.{parts}.m4s"\n']
    return "\n".join(lines).encode()


def segment(number):
    """Return a segment of a film, or a part of one."""
    return media.segment(bytes([number]) * 2000)


@pytest.fixture
def room(chain, studio):
    room = studio(segment=SLOW)
    room.put("s10.m4s", segment(10))
    room.put("index.m3u8", playlist(10, 0), sequence=1)
    return room


def test_many_screens_that_wait_for_a_part_are_one_question(chain, room):
    """All get the playlist that has it, once it is signed; the origin is asked for that one once."""
    where = f"/releases/{CODE}/live/index.m3u8"
    with ThreadPoolExecutor(MANY) as screens:
        waiting = [
            screens.submit(
                chain.play, "live/index.m3u8?_HLS_msn=11&_HLS_part=0", zone=("bigscreen", "smallscreen")[number % 2]
            )
            for number in range(MANY)
        ]
        until(lambda: chain.origin.asked[f"{where}.sig"] >= 4, "the box looks for a new signature")
        assert not any(each.done() for each in waiting)
        before = chain.origin.asked[where]
        room.put("p11.0.m4s", segment(11))
        room.put("index.m3u8", playlist(10, 1), sequence=2)
        replies = [each.result(60) for each in waiting]
    assert {reply.body for reply in replies} == {playlist(10, 1)}
    assert chain.origin.asked[where] - before <= 2  # once; twice where it was being written when it was read


def test_a_hinted_part_is_waited_for_and_shared(chain, room):
    assert chain.play("live/index.m3u8").body == playlist(10, 0)
    with ThreadPoolExecutor(MANY) as screens:
        waiting = [screens.submit(chain.play, "live/p11.0.m4s") for _ in range(MANY)]
        until(lambda: chain.origin.asked[f"/releases/{CODE}/live/p11.0.m4s.sig"] >= 3, "the box looks for the part")
        assert not any(each.done() for each in waiting)
        room.put("p11.0.m4s", segment(11))
        assert {each.result(60).body for each in waiting} == {segment(11)}
    assert chain.origin.asked[f"/releases/{CODE}/live/p11.0.m4s"] == 1
    assert chain.play("live/p99.0.m4s").status == 404  # nobody hinted at it


def test_parts_are_signed_as_they_are_written(chain, studio):
    """A packager writes parts and playlists, the signer signs them, a screen waits for one after the other."""
    room = studio(segment=SLOW)
    write_atomic(room.out / "s10.m4s", segment(10))
    write_atomic(room.out / "index.m3u8", playlist(10, 0))
    room.sign()
    for part in range(6):
        write_atomic(room.out / f"p11.{part}.m4s", segment(20 + part))
        write_atomic(room.out / "index.m3u8", playlist(10, part + 1))
        until(lambda: chain.play("live/index.m3u8").status == 200, "the first playlist is signed")
        reply = chain.play(f"live/index.m3u8?_HLS_msn=11&_HLS_part={part}")
        assert reply.body == playlist(10, part + 1)
        assert chain.play(f"live/p11.{part}.m4s").body == segment(20 + part)


def test_what_cannot_be_waited_for_is_refused(chain, room):
    for query in ("_HLS_msn=14", "_HLS_msn=x", "_HLS_part=1", "_HLS_msn=11&_HLS_part=9"):
        reply = chain.play(f"live/index.m3u8?{query}")
        assert (reply.status, json.loads(reply.body)["reason"]) == (400, "bad-request"), query
    assert chain.play("live/index.m3u8?_HLS_msn=10").body == playlist(10, 0)
    room.put("other.m3u8", playlist(10, 0, blocks="NO"))
    assert chain.play("live/other.m3u8?_HLS_msn=12").status == 200  # one that does not block


def test_what_is_here_is_shown_on_while_the_origin_is_away(chain, room):
    assert chain.play("live/index.m3u8").status == chain.play("live/s10.m4s").status == 200
    chain.origin.stop()
    assert chain.play("live/index.m3u8?_HLS_msn=10").body == playlist(10, 0)
    assert chain.play("live/s10.m4s").body == segment(10)


def test_who_has_the_playlist_is_told_what_is_new(chain, studio):
    """With ``_HLS_skip``, where the playlist allows it: another one with its own digest, and still held until it has what is asked for."""
    room = studio(segment=SLOW)
    files = [segment(number) for number in range(10, 20)]
    for number, data in enumerate(files, 10):
        room.put(f"s{number}.m4s", data)
    long = playlist(10, 0).replace(b"YES,", b"YES,CAN-SKIP-UNTIL=120,")
    more = b"".join(f"#EXTINF:{SLOW},\ns{number}.m4s\n".encode() for number in range(11, 20))
    long = long.replace(b"s10.m4s\n", b"s10.m4s\n" + more).replace(b"p11.0", b"p20.0")
    room.put("index.m3u8", long, sequence=1)
    whole, short = (chain.play(f"live/index.m3u8{query}") for query in ("", "?_HLS_msn=19&_HLS_skip=YES"))
    assert (whole.body, whole.status, short.status) == (long, 200, 200)
    assert b"#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n" in short.body
    assert b"s12.m4s" not in short.body
    assert short.body.endswith(long[long.index(b"#EXTINF:20.0,\ns13.m4s") :])
    assert short.headers["ETag"] == f'"{hashlib.sha256(short.body).hexdigest()}"'
    assert chain.play("live/index.m3u8?_HLS_skip=never").body == long
