"""Trees as a real packager writes them: HLS and DASH by ffmpeg (shaka-packager is not in Debian, so it is not run here)."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from appliance.runtime.command import run
from gateway.release.cli import commands

pytestmark = pytest.mark.server
INPUT = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=320x180:rate=25:duration=5",
    "-f",
    "lavfi",
    "-i",
    "sine=frequency=440:duration=5",
]
CODECS = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac"]
HLS = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8"]
TREES = {
    "hls of transport streams": [*HLS, "-hls_segment_filename", "%v-%03d.ts", "-var_stream_map", "v:0,a:0", "%v.m3u8"],
    "hls of fragmented mp4": [*HLS, "-hls_segment_type", "fmp4", "-var_stream_map", "v:0,a:0", "%v/index.m3u8"],
    "hls in one file": [*HLS, "-hls_flags", "single_file", "-hls_segment_type", "fmp4", "-var_stream_map", "v:0,a:0", "%v.m3u8"],
    "dash with timelines": ["-f", "dash", "-seg_duration", "2", "manifest.mpd"],
    "dash with numbers": ["-f", "dash", "-seg_duration", "2", "-use_timeline", "0", "manifest.mpd"],
    "dash in one file": ["-f", "dash", "-seg_duration", "2", "-single_file", "1", "manifest.mpd"],
    "dash and hls": ["-f", "dash", "-seg_duration", "2", "-hls_playlist", "1", "manifest.mpd"],
}  # fmt: skip


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("tree", TREES)
def test_what_ffmpeg_writes_is_whole_and_each_loss_is_found(tree, tmp_path):
    """The tree passes as it is, its entry and ladder are known; without any one of its media files it does not pass."""
    folder = tmp_path / "film"
    folder.mkdir()
    run(["ffmpeg", "-nostdin", "-v", "error", *INPUT, *CODECS, *TREES[tree]], seconds=100, cwd=str(folder))
    words = [
        str(folder),
        "--id",
        "999999-100000000000001-4",
        "--body",
        "library",
        "--title",
        "x",
        "--zones",
        "bigscreen",
    ]

    made = CliRunner().invoke(commands, ["make", *words, "--dry-run", "--json"])
    page = CliRunner().invoke(commands, ["preview", *words, "--json"])

    assert made.exit_code == 0, made.exception
    assert made.stderr.strip() == ""
    assert json.loads(made.stdout)["entry"] == (
        "manifest.mpd" if tree.startswith("dash") and "hls" not in tree else "master.m3u8"
    )
    assert 4.5 < json.loads(page.stdout)["seconds"] < 5.5
    assert "320×180" in (tmp_path / "film-preview.html").read_text()
    for path in [each for each in folder.rglob("*") if each.suffix in (".ts", ".m4s", ".mp4")]:
        path.rename(tmp_path / "away")
        lost = CliRunner().invoke(commands, ["make", *words, "--dry-run"])
        assert path.name in str(lost.exception)
        (tmp_path / "away").rename(path)
