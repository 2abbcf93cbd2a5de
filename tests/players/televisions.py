"""Televisions: ffmpeg, VLC and GStreamer, as set-top boxes build on them; each plays without a screen and tells what it decoded."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 320, 180  # of the small rendition
NOBODY = 65534  # VLC does not run as root
FRAME = re.compile(r"^0,", re.MULTILINE)


def ffmpeg(url: str, seconds: float | None = None) -> int:
    """Play with ffmpeg; return how many pictures were decoded."""
    limit = [] if seconds is None else ["-t", str(seconds)]
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-i", url, "-map", "0:v:0", *limit, "-f", "framecrc", "-"]
    done = _run(argv)
    assert not done.stderr.strip(), done.stderr
    return len(FRAME.findall(done.stdout))


def vlc(url: str, seconds: float | None = None) -> int:
    """Play with VLC as fast as one watches, in the small rendition; return how many pictures were shown."""
    limit = [] if seconds is None else [f"--run-time={seconds}"]
    with tempfile.TemporaryDirectory(prefix="vlc-") as home:
        Path(home).chmod(0o777)
        out = Path(home) / "shown.yuv"  # its screen is a file
        argv = ["cvlc", "-I", "dummy", "--no-audio", "--vout", "yuv", "--yuv-file", str(out), "--yuv-chroma", "I420"]
        argv += ["--adaptive-maxwidth", str(WIDTH), *limit, "--play-and-exit", url, "vlc://quit"]
        who = NOBODY if os.geteuid() == 0 else None
        done = _run(argv, user=who, env={**os.environ, "HOME": home})
        assert out.exists(), done.stderr
        return out.stat().st_size // (WIDTH * HEIGHT * 3 // 2)


def gstreamer(url: str, seconds: float | None = None) -> int:
    """Play with GStreamer's adaptive demuxers of the newer kind; return how many pictures were decoded."""
    argv = ["gst-launch-1.0", "-v", "uridecodebin3", f"uri={url}", "caps=video/x-raw", "!"]
    argv += ["identity", "silent=false", "!", "fakesink", "sync=true"]
    argv = argv if seconds is None else ["timeout", "--signal=INT", "--kill-after=5", str(seconds), *argv]
    done = _run(
        argv, env={**os.environ, "GST_PLUGIN_FEATURE_RANK": "hlsdemux2:512,dashdemux2:512,hlsdemux:NONE,dashdemux:NONE"}
    )
    assert "ERROR" not in done.stdout + done.stderr, done.stdout[-2000:] + done.stderr[-2000:]
    return len(re.findall(r"last-message = chain ", done.stdout))


def _run(
    argv: list[str], user: int | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False, user=user, group=user, env=env)


PLAYERS = {"ffmpeg": ffmpeg, "vlc": vlc, "gstreamer": gstreamer}
