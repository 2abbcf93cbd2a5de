"""A small film in two renditions, one set of segments for HLS and DASH."""

from __future__ import annotations

import subprocess
from pathlib import Path

RATE, SEGMENT = 25, 2  # pictures a second, seconds


def encode(folder: Path, seconds: int = 12, rates: tuple[int, int] = (200, 700)) -> dict[str, bytes]:
    """Return the files of a film of ``seconds``, at ``rates`` (kbit/s): ``master.m3u8`` and ``film.mpd`` open it."""
    folder.mkdir(parents=True, exist_ok=True)
    low, high = rates
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi"]
    argv += ["-i", f"testsrc2=size=640x360:rate={RATE}:duration={seconds},noise=alls=20:allf=t"]
    argv += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"]
    argv += ["-filter_complex", "[0:v]split[a][b];[a]scale=320:180[low];[b]copy[high]"]
    argv += [
        "-map",
        "[low]",
        "-map",
        "[high]",
        "-map",
        "1:a",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ]
    argv += [
        "-g",
        str(RATE * SEGMENT),
        "-keyint_min",
        str(RATE * SEGMENT),
        "-sc_threshold",
        "0",
        "-c:a",
        "aac",
        "-b:a",
        "64k",
    ]
    for index, rate in enumerate((low, high)):
        argv += [f"-b:v:{index}", f"{rate}k", f"-maxrate:v:{index}", f"{rate}k", f"-bufsize:v:{index}", f"{rate}k"]
    argv += [
        "-f",
        "dash",
        "-seg_duration",
        str(SEGMENT),
        "-hls_playlist",
        "1",
        "-use_timeline",
        "1",
        "-use_template",
        "1",
    ]
    argv += ["-adaptation_sets", "id=0,streams=v id=1,streams=a", str(folder / "film.mpd")]
    subprocess.run(argv, check=True, timeout=120)
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return {"master.m3u8": files.pop("master.m3u8"), **files}
