"""ffmpeg writes, ``headgate release live`` signs, the box verifies, a player plays: with every process of the chain running."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.files import write_atomic
from gateway.release.live import signing
from gateway.release.manifest import Live
from gateway.store.quarantine import items
from tests.server.content import media
from tests.server.content.conftest import BOTH_WAYS, give_order

pytestmark = [pytest.mark.server, pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")]
CODE = "999999-100000000000001-4"
PICTURE = "testsrc2=size=320x180:rate=25"
HLS = ("-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_flags", "delete_segments+temp_file")
DASH = ("-f", "dash", "-seg_duration", "1", "-window_size", "5", "-extra_window_size", "5", "-remove_at_exit", "0")


class Studio:
    """A packager's machine: ffmpeg and the signer."""

    def __init__(self, chain, entry, *, segment=1.0):
        self.chain, self.key = chain, PrivateKey.generate()
        self.out, self.keyfile = chain.base / "out", chain.base / "packager.key"
        self.out.mkdir()
        self.key.save(self.keyfile)
        self.running = []
        self.live = Live(key=str(self.key.public), segment=segment, window=5)
        chain.publish({"poster.json": b"{}"}, entry=f"live/{entry}", live=self.live)
        self.folder = chain.origin.folder / "releases" / CODE / "live"

    def film(self, *how, seconds=60):
        """Start ffmpeg, which writes as fast as one watches."""
        argv = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", PICTURE, "-t", str(seconds)]
        argv += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", *how]
        return self._start(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sign(self):
        """Start the signer."""
        argv = [str(Path(sys.executable).with_name("headgate")), "release", "live", str(self.out), "--id", CODE]
        argv += ["--key", str(self.keyfile), "--to", str(self.chain.origin.folder), "--json"]
        with (self.chain.base / "signer.log").open("ab") as log:
            return self._start(argv, stdout=log, stderr=log)

    def _start(self, argv, **told):
        process = subprocess.Popen(argv, **told)
        self.running.append(process)
        return process

    def told(self):
        """Return what the signer told."""
        return [json.loads(line) for line in (self.chain.base / "signer.log").read_text().splitlines()]

    def signed(self, kind):
        """Return the paths that end so and were signed."""
        return [told["path"] for told in self.told() if told["event"] == "signed" and told["path"].endswith(kind)]

    def put(self, path, data, *, key=None, code=CODE, name=None, now=None, sequence=None):
        """Put a file at the origin as somebody who has ``key`` would, signed for the channel ``code`` and ``name``."""
        import time

        now = time.time() if now is None else now
        claim = signing.claim_of(data, sequence=sequence or int(now * 1000), created=int(now), expires=int(now) + 60)
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.folder / path, data)
        write_atomic(self.folder / f"{path}.sig", signing.sign(key or self.key, code, name or path, claim))

    def close(self):
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(10)


@pytest.fixture
def studio(chain):
    made = []

    def make(entry="index.m3u8", **told):
        made.append(Studio(chain, entry, **told))
        return made[-1]

    yield make
    for each in made:
        each.close()


def reason(reply):
    return reply.status, json.loads(reply.body)["reason"]


def frames(chain, entry, *, seconds):
    """Play as a screen does, and return how many pictures were decoded."""
    url = f"http://127.20.0.1:{chain.port}/r/{CODE}/live/{entry}"
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-i", url, "-t", str(seconds), "-f", "framecrc", "-"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return len(re.findall(r"^0,", done.stdout, re.MULTILINE))


def test_a_player_plays_hls_that_ffmpeg_writes(chain, studio, until):
    """Every segment a player gets was signed for this channel, and the playlist goes on: three seconds, no picture lost."""
    room = studio()
    room.film(*HLS, str(room.out / "index.m3u8"))
    room.sign()
    until(lambda: len(room.signed(".ts")) >= 2, "two segments are signed")
    assert frames(chain, "index.m3u8", seconds=3) >= 70
    playlist = chain.play("live/index.m3u8")
    assert (playlist.status, playlist.headers["Content-Type"]) == (200, "application/vnd.apple.mpegurl")
    assert playlist.headers["Cache-Control"] == "public, max-age=0"
    newest = [line for line in playlist.body.decode().splitlines() if line.endswith(".ts")][-1]
    segment = chain.play(f"live/{newest}")
    assert (segment.status, segment.headers["Cache-Control"]) == (200, "public, max-age=5")
    assert segment.body[:1] == b"\x47"
    assert chain.used(1)


def test_a_player_plays_dash_that_ffmpeg_writes(chain, studio, until):
    """A dynamic MPD with its segments."""
    room = studio("live.mpd")
    room.film(*DASH, str(room.out / "live.mpd"))
    room.sign()
    until(lambda: len(room.signed("m4s")) >= 3, "segments are signed")
    assert frames(chain, "live.mpd", seconds=2) >= 45
    assert b'type="dynamic"' in chain.play("live/live.mpd").body


def test_a_master_playlist_leads_to_its_renditions(chain, studio, until):
    """Folders below the channel's, one a rendition."""
    room = studio("master.m3u8")
    how = ("-b:v", "300k", "-map", "0:v", "-map", "0:v", "-var_stream_map", "v:0 v:1", "-master_pl_name", "master.m3u8")
    room.film(*how, *HLS, str(room.out / "v%v/index.m3u8"))
    room.sign()
    until(lambda: "master.m3u8" in room.signed("m3u8"), "the master playlist is signed")
    assert frames(chain, "master.m3u8", seconds=2) >= 45


def test_a_signer_that_was_killed_goes_on(chain, studio, until):
    """What it had signed stays, what it missed is signed at once, and the box never sees a half."""
    room = studio()
    room.film(*HLS, str(room.out / "index.m3u8"))
    signer = room.sign()
    until(lambda: len(room.signed(".ts")) >= 2, "two segments are signed")
    signer.send_signal(signal.SIGKILL)
    signer.wait(10)
    before = len(room.signed(".ts"))
    room.sign()
    until(lambda: len(room.signed(".ts")) >= before + 2, "it goes on")
    assert {"event": "ready", "files": room.told()[0]["files"]} == {"event": "ready", "files": 0}
    assert [told for told in room.told() if told["event"] == "ready"][1]["files"] >= 2
    assert frames(chain, "index.m3u8", seconds=2) >= 45
    assert not [path for path in room.folder.rglob(".*") if path.is_file()]


def test_a_packager_that_stops_is_told(studio, until):
    """A playlist that nobody writes is not signed anew, and says so."""
    room = studio()
    film = room.film(*HLS, str(room.out / "index.m3u8"))
    room.sign()
    until(lambda: room.signed(".ts"), "a segment is signed")
    film.send_signal(signal.SIGKILL)
    until(lambda: {"event": "stopped"} in room.told(), "the signer says that the packager has stopped")


TS = media.transport()
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n1.ts\n"


def test_what_the_packager_did_not_sign_for_now_and_here_is_refused(chain, studio):
    """Not signed, by another key, for another channel or path, of another time, altered: each refused with its reason."""
    import time

    room, now = studio(), time.time()
    room.folder.mkdir(parents=True)
    (room.folder / "bare.ts").write_bytes(TS)
    room.put("stranger.ts", TS, key=PrivateKey.generate())
    room.put("channel.ts", TS, code="999999-100000000000002-2")
    room.put("other.ts", TS, name="another.ts")
    room.put("old.ts", TS, now=now - 3600)
    room.put("old.m3u8", PLAYLIST, now=now - 40)
    room.put("ahead.ts", TS, now=now + 60)
    room.put("altered.ts", TS)
    (room.folder / "altered.ts").write_bytes(TS[:-1] + b"x")
    room.put("longer.ts", TS)
    (room.folder / "longer.ts").write_bytes(TS + TS)
    room.put("good.ts", TS)
    assert chain.play("live/good.ts").body == TS
    found = {
        name: reason(chain.play(f"live/{name}"))
        for name in (
            "bare.ts",
            "stranger.ts",
            "channel.ts",
            "other.ts",
            "old.ts",
            "old.m3u8",
            "ahead.ts",
            "altered.ts",
            "longer.ts",
            "none.ts",
        )
    }
    assert found == {
        "bare.ts": (403, "not-signed"),
        "stranger.ts": (403, "not-signed"),
        "channel.ts": (403, "not-signed"),
        "other.ts": (403, "not-signed"),
        "old.ts": (502, "stale-segment"),
        "old.m3u8": (502, "stale-playlist"),
        "ahead.ts": (502, "clock-differs"),
        "altered.ts": (502, "digest-mismatch"),
        "longer.ts": (502, "digest-mismatch"),
        "none.ts": (404, "unknown-path"),
    }
    told = {record.body["reason"] for record in chain.records("audit") if record.body["decision"] == "refuse"}
    assert {"not-signed", "stale-segment", "digest-mismatch"} <= told
    room.put("bad.m3u8", b"<html>")
    assert reason(chain.play("live/bad.m3u8")) == (502, "type-mismatch")
    held = items(chain.state / "store" / "quarantine")
    assert {item["path"]: (item["reason"], item["filter"]) for item in held if item["path"] != "live/bare.ts"} == {
        "live/old.m3u8": ("stale-playlist", "admission"),
        "live/ahead.ts": ("clock-differs", "admission"),  # the same bytes as the others but for these
        "live/altered.ts": ("digest-mismatch", "admission"),
        "live/longer.ts": ("digest-mismatch", "admission"),
        "live/bad.m3u8": ("type-mismatch", "inspection"),
    }
    assert all(item["release"] == CODE and item["live"] for item in held)


def test_an_old_playlist_shown_again_is_not_taken(chain, studio, until):
    """Within its own time too: what was verified later is shown on, and the attempt is recorded."""
    room = studio()
    room.put("index.m3u8", PLAYLIST)
    old = {name: (room.folder / name).read_bytes() for name in ("index.m3u8", "index.m3u8.sig")}
    newer = PLAYLIST + b"#EXTINF:1,\n2.ts\n"
    room.put("index.m3u8", newer)
    assert chain.play("live/index.m3u8").body == newer
    for name, data in old.items():
        write_atomic(room.folder / name, data)
    until(
        lambda: (
            any(record.body["reason"] == "stale-playlist" for record in chain.records("audit"))
            or chain.play("live/index.m3u8").body != newer
        ),
        "the old playlist is noticed",
    )
    assert chain.play("live/index.m3u8").body == newer


def test_however_many_screens_ask_the_origin_is_asked_once(chain, studio):
    """A playlist and a segment, both zones, many screens at once."""
    from concurrent.futures import ThreadPoolExecutor

    room = studio(segment=10.0)
    room.put("1.ts", TS)
    room.put("index.m3u8", PLAYLIST)
    with ThreadPoolExecutor(16) as screens:
        for path in ("index.m3u8", "1.ts"):
            zones = ["bigscreen", "smallscreen"] * 16
            assert {r.status for r in screens.map(lambda z, p=path: chain.play(f"live/{p}", zone=z), zones)} == {200}
            assert chain.origin.asked[f"/releases/{CODE}/live/{path}"] == 1


def test_a_segment_is_here_before_the_first_screen_asks(chain, studio, until):
    """The newest segment that a verified playlist names is fetched ahead."""
    room = studio()
    room.put("1.ts", TS)
    room.put("index.m3u8", PLAYLIST)
    assert chain.play("live/index.m3u8").status == 200
    stored = chain.state / "store" / "live"
    until(lambda: any(path.name == sha256(TS).hexdigest() for path in stored.rglob("*")), "the segment is here")
    room.folder.joinpath("1.ts").unlink()
    assert chain.play("live/1.ts").body == TS


def test_what_is_here_plays_on_while_the_origin_is_away(chain, studio):
    """Until it runs out, and no longer."""
    room = studio()
    room.put("1.ts", TS)
    assert chain.play("live/1.ts").body == TS
    chain.origin.stop()
    assert chain.play("live/1.ts").body == TS


@BOTH_WAYS
def test_a_running_channel_is_withdrawn(chain, studio, until):
    """Segment and playlist under way are cut, every file of it goes at once, also playlists that were replaced, and nothing comes back."""
    regulator = PrivateKey.generate()
    orders = f'orders: {{keys: {{regulator: "{regulator.public}"}}}}\n'
    chain.write_policy(lambda text: text.replace("largest: 4 MiB", "largest: 64 MiB") + orders)
    chain.reload("exchange", "delivery-bigscreen")
    until(lambda: "configuration taken in" in chain.log("exchange"), "the policy is taken in")
    assert give_order(chain, regulator, 0)["refused"] is None
    room = studio()
    room.film(*HLS, str(room.out / "index.m3u8"))
    room.sign()
    until(lambda: len(room.signed(".ts")) >= 2, "two segments are signed")
    large = TS * (32_000_000 // len(TS))  # larger than what two sockets hold
    room.put("large.ts", large)
    room.put("other.m3u8", PLAYLIST)
    assert chain.play("live/other.m3u8").body == PLAYLIST
    newer = PLAYLIST + b"#EXTINF:1,\n2.ts\n"
    room.put("other.m3u8", newer)
    until(lambda: chain.play("live/other.m3u8").body == newer, "the playlist is replaced")
    assert chain.play("live/index.m3u8").status == 200
    kept = chain.state / "store" / "live" / "objects"
    with socket.create_connection(("127.20.0.1", chain.port), 60) as screen:  # all 32 MB are verified first
        screen.sendall(f"GET /r/{CODE}/live/large.ts HTTP/1.1\r\nHost: box\r\n\r\n".encode())
        received = len(screen.recv(1024))
        assert len(list(kept.glob("*/*"))) >= 4

        give_order(chain, regulator, 1, CODE)

        assert list(kept.glob("*/*")) == []
        with contextlib.suppress(ConnectionError):
            while data := screen.recv(1 << 16):
                received += len(data)
    assert received < len(large)
    signed = len(room.signed(".ts"))
    until(lambda: len(room.signed(".ts")) > signed, "the packager goes on")
    asked = ("index.m3u8", "other.m3u8", "large.ts", room.signed(".ts")[-1])
    assert {reason(chain.play(f"live/{path}")) for path in asked} == {(451, "withdrawn")}
    assert list(kept.glob("*/*")) == []
    (entry,) = [r.body for r in chain.records("audit") if r.body["decision"] == "withdraw"]
    assert (entry["stopped"], entry["confirmed"]) == (1, ["delivery-bigscreen", "delivery-smallscreen"])
    assert entry["objects"] >= 4
    assert not list((chain.state / "store" / "incoming").iterdir())
