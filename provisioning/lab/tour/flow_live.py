"""Live: a channel that ffmpeg makes and ``headgate release live`` signs plays on the television, and is withdrawn while it runs."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from appliance.identity.keys import PrivateKey
from provisioning.lab import trust
from provisioning.lab.operator import CONTROLLER, LIBRARY
from provisioning.lab.tour.flow_release import order
from provisioning.lab.tour.stage import BOXES, Stage, Step, new_code, until

SEGMENT = 1.0  # seconds
WINDOW = 6  # segments
RATE = 25  # frames a second
WATCHED = 5.0  # seconds that the television plays
PLAYING = "/tmp/live"  # noqa: S108 (at the television, nobody else is there): what its player says


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow with a channel of its own, that is gone afterwards."""
    folder = stage.lab.folder / "content" / f"tour-live-{secrets.token_hex(4)}"
    try:
        code = announce(stage, folder)
        with playout(stage, folder, code):
            yield from played(stage, code)
            yield from withdrawn(stage, code)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def announce(stage: Stage, folder: Path) -> str:
    """Let the library sign a channel that names its packager, publish and list it, and return its code."""
    code, channel = new_code(), folder / "channel"
    channel.mkdir(parents=True)
    (folder / "out").mkdir()
    packager = PrivateKey.generate()
    packager.save(folder / "packager.key")
    told = [
        "--id",
        code,
        "--body",
        LIBRARY,
        "--title",
        "直播 · Live",
        "--entry",
        "index.m3u8",
        "--zones",
        "bigscreen,smallscreen",
    ]
    shape = ["--packager", str(packager.public), "--segment", str(SEGMENT), "--window", str(WINDOW)]
    key = str(stage.operator.key("library"))
    stage.operator.headgate("release", "channel", str(channel), *told, *shape, "--key", key)
    stage.operator.headgate("fleet", "publish", str(channel))
    trust.list_release(stage.operator, channel, "library", CONTROLLER)
    return code


@contextlib.contextmanager
def playout(stage: Stage, folder: Path, code: str) -> Iterator[None]:
    """Run a packager and its signer beside the origin, whose disk they write to, as long as the block lasts."""
    out = folder / "out"
    film = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={RATE}"]
    film += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-c:v", "libx264", "-preset", "ultrafast"]
    film += ["-g", str(RATE), "-keyint_min", str(RATE), "-sc_threshold", "0", "-c:a", "aac", "-f", "hls"]
    film += ["-hls_time", str(SEGMENT), "-hls_list_size", str(WINDOW), "-hls_flags", "delete_segments+temp_file"]
    film += ["-hls_start_number_source", "epoch", "-hls_segment_filename", f"{out}/%d.ts", f"{out}/index.m3u8"]
    origin = stage.lab.box("centre").root / "srv/origin"
    sign = [sys.executable, "-m", "provisioning", "release", "live", str(out), "--id", code]
    sign += ["--key", str(folder / "packager.key"), "--to", str(origin)]
    with contextlib.ExitStack() as ending, (folder / "playout.log").open("wb") as log:
        for argv in (film, sign):
            process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            ending.callback(process.wait, 20)
            ending.callback(process.terminate)
        yield


def played(stage: Stage, code: str) -> Iterator[Step]:
    """Play some seconds on the television."""
    path = f"/r/{code}/live/index.m3u8"
    until("the channel is on the air", lambda: stage.curl("settop", path)[0] == 200, seconds=60)
    watch = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-progress",
        "pipe:1",
        "-i",
        f"http://10.20.0.11{path}",
        "-t",
        str(WATCHED),
    ]
    told = stage.lab.exec("settop", [*watch, "-f", "null", "-"], seconds=60)
    frames = [int(number) for number in re.findall(r"^frame=(\d+)", told, re.MULTILINE)]
    yield Step(
        "a channel that ffmpeg makes and the packager signs, segment by segment, plays on the television",
        bool(frames) and frames[-1] >= WATCHED * RATE * 0.9,
        {"code": code, "seconds": WATCHED, "frames": frames[-1] if frames else 0},
    )


def withdrawn(stage: Stage, code: str) -> Iterator[Step]:
    """Withdraw the channel that the television is playing: the player ends, nothing more is served, every box proves it."""
    path = f"/r/{code}/live/index.m3u8"
    player = f"ffmpeg -nostdin -v error -progress {PLAYING} -i http://10.20.0.11{path} -f null -"
    watch = f"rm -f {PLAYING}; timeout 60 {player} 2>/dev/null; echo $?"
    running = f"grep -q '^frame=[1-9]' {PLAYING} 2>/dev/null && echo yes || true"
    with ThreadPoolExecutor(1) as screen:
        ended = screen.submit(stage.lab.exec, "settop", ["sh", "-c", watch], seconds=90)
        until("the television plays", lambda: stage.lab.exec("settop", ["sh", "-c", running]))
        lines = order(stage, "withdraw", code)
        status, _, told = stage.curl("settop", path)
        by_itself = ended.result().strip() != "124"  # timeout's word for one that had to be ended
    proofs = {one["box"]: one["verified"] for one in lines if "box" in one}
    yield Step(
        "withdrawn while it runs, the channel goes dark: the player ends, and every box proves it",
        status == 451 and "withdrawn" in told and by_itself and all(proofs.get(box) == "yes" for box in BOXES),
        {"status": status, "answer": json.loads(told) if told.startswith("{") else told, "proofs": proofs},
    )
