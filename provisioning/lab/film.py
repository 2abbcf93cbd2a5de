"""The lab's content: a film encoded by ffmpeg, and the portal page that plays it on a phone."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from appliance.runtime.command import run

SECONDS = 16  # of film: four segments of four seconds
SEGMENT = 4  # seconds
RATE = 25  # frames a second
# name, width x height, video kbit/s: a ladder for a television, a tablet, a phone
RENDITIONS = (("720p", "1280x720", 2500), ("480p", "854x480", 1200), ("360p", "640x360", 600))


def encode(folder: Path, hue: int, seconds: int = SECONDS) -> int:
    """Encode a film (H.264/AAC, three renditions, HLS with fMP4, entry ``master.m3u8``) into ``folder``; return its bytes.

    ``hue`` (degrees) colours the picture and the tone, so that two films share no segment.

    Raises:
        CommandFailed: ffmpeg failed; the message holds its words.
    """
    folder.mkdir(parents=True)
    count = len(RENDITIONS)
    split = f"[0:v]hue=h={hue % 360},split={count}" + "".join(f"[in{i}]" for i in range(count))
    scale = ";".join(f"[in{i}]scale={size.replace('x', ':')}[out{i}]" for i, (_, size, _) in enumerate(RENDITIONS))
    argv = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size={RENDITIONS[0][1]}:rate={RATE}:duration={seconds}",
        "-f",
        "lavfi",
        "-i",
        f"sine=frequency={300 + hue % 360}:sample_rate=48000:duration={seconds}",
        "-filter_complex",
        f"{split};{scale}",
    ]
    for index in range(count):
        argv += ["-map", f"[out{index}]"]
    argv += ["-map", "1:a"] * count
    argv += [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-profile:v",
        "main",
        "-pix_fmt",
        "yuv420p",
        "-sc_threshold",
        "0",
    ]
    argv += ["-g", str(RATE * 2), "-keyint_min", str(RATE * 2), "-c:a", "aac", "-b:a", "96k"]
    for index, (_, _, kilobits) in enumerate(RENDITIONS):
        argv += [f"-b:v:{index}", f"{kilobits}k"]
    argv += [
        "-f",
        "hls",
        "-hls_time",
        str(SEGMENT),
        "-hls_playlist_type",
        "vod",
        "-hls_segment_type",
        "fmp4",
        "-hls_flags",
        "independent_segments",
        "-hls_fmp4_init_filename",
        "init.mp4",
        "-master_pl_name",
        "master.m3u8",
        "-hls_segment_filename",
        f"{folder}/%v/%04d.m4s",
        "-var_stream_map",
        " ".join(f"v:{i},a:{i},name:{name}" for i, (name, _, _) in enumerate(RENDITIONS)),
        f"{folder}/%v/index.m3u8",
    ]
    run(argv, seconds=300)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def heavy(folder: Path, seed: int) -> int:
    """Encode ``film.mp4``, some 20 MiB of noise that no network's buffers hold, into ``folder``; return its bytes.

    Raises:
        CommandFailed: ffmpeg failed; the message holds its words.
    """
    folder.mkdir(parents=True)
    source = f"color=gray:size=640x360:rate={RATE}:duration=3,noise=alls=100:all_seed={seed}:allf=t"
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    run(["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, *codec, f"{folder}/film.mp4"], seconds=120)
    return (folder / "film.mp4").stat().st_size


def portal(folder: Path, scratch: Path) -> None:
    """Put the portal page and its player (hls.js, from npm by the pinned lock file) into ``folder``.

    Raises:
        CommandFailed: npm failed; the message holds its words.
    """
    folder.mkdir(parents=True)
    scratch.mkdir(parents=True, exist_ok=True)
    source = resources.files("provisioning.lab") / "portal"
    for name in ("package.json", "package-lock.json"):
        (scratch / name).write_bytes((source / name).read_bytes())
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], seconds=180, cwd=str(scratch))
    shutil.copy(scratch / "node_modules/hls.js/dist/hls.min.js", folder / "hls.min.js")
    (folder / "index.html").write_bytes((source / "index.html").read_bytes())
    (folder / "player.js").write_bytes((source / "player.js").read_bytes())
    (folder / "style.css").write_bytes((source / "style.css").read_bytes())
