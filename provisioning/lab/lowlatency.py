"""A low-latency HLS packager for tests and the lab: ``python -m provisioning.lab.lowlatency FOLDER --seconds 60``.

ffmpeg encodes a picture that moves, in fragments of 0.4 seconds; each becomes a file of its own (a part), and five of them a segment. The
playlist is written after what it names, as ``headgate release live`` wants it.
"""

from __future__ import annotations

import argparse
import subprocess
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.errors import Corrupt
from appliance.runtime.files import write_atomic

RATE = 25  # pictures a second
PICTURES, PARTS = 10, 5  # of a part; of a segment
PART = PICTURES / RATE  # seconds
SEGMENT = PART * PARTS  # seconds
HOLD = (
    PART * 6
)  # seconds that players stay behind the newest part: the least is three parts, which leaves a busy machine no time
WINDOW = 8  # segments that the playlist names
SKIP = 6 * SEGMENT  # seconds from its end before which they may be left out (rfc8216bis section 4.4.3.8: the least)
WITH_PARTS = 3  # the newest of them, whose parts are named too (rfc8216bis section 6.2.2: three target durations)
PLAYLIST = "index.m3u8"
LARGEST = 8 << 20  # bytes of a fragment


@dataclass
class Playlist:
    """What the playlist names: whole segments by number with their parts, and the parts of the one that is being made."""

    segments: deque[int] = field(default_factory=deque)
    parts: int = 0  # of the segment being made
    next: int = 0  # its number

    def add(self) -> bool:
        """Take a part; return whether it ended its segment."""
        self.parts += 1
        if self.parts < PARTS:
            return False
        self.segments.append(self.next)
        while len(self.segments) > WINDOW:
            self.segments.popleft()
        self.next, self.parts = self.next + 1, 0
        return True

    def text(self, *, ended: bool = False) -> str:
        """Return the playlist (draft-pantos-hls-rfc8216bis)."""
        first = self.segments[0] if self.segments else self.next
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:9",
            f"#EXT-X-TARGETDURATION:{round(SEGMENT)}",
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={HOLD:.1f},CAN-SKIP-UNTIL={SKIP:.1f}",
            f"#EXT-X-PART-INF:PART-TARGET={PART:.1f}",
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            '#EXT-X-MAP:URI="init.mp4"',
        ]
        for number in self.segments:
            if number >= self.next - WITH_PARTS:
                lines += [_part(number, part) for part in range(PARTS)]
            lines += [f"#EXTINF:{SEGMENT:.3f},", f"{number}.m4s"]
        lines += [_part(self.next, part) for part in range(self.parts)]
        lines.append(
            "#EXT-X-ENDLIST" if ended else f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{name(self.next, self.parts)}"'
        )
        return "\n".join(lines) + "\n"


def name(segment: int, part: int) -> str:
    """Return the file name of a part."""
    return f"{segment}.{part}.m4s"


def boxes(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and bytes of the boxes of an ISO base media file as they come.

    Raises:
        Corrupt: a box is larger than any that ffmpeg makes here.
    """
    while len(head := stream.read(8)) == 8:
        size = int.from_bytes(head[:4], "big")
        if not 8 <= size <= LARGEST:
            raise Corrupt(f"a box of {size} bytes")
        yield head[4:], head + stream.read(size - 8)


def package(stream: BinaryIO, folder: Path) -> None:
    """Write what comes as fragmented MP4 into ``folder``, until its end.

    Raises:
        Corrupt: as ``boxes``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    playlist, head, fragment, whole = Playlist(), b"", b"", b""
    for kind, data in boxes(stream):
        if kind in (b"ftyp", b"moov"):
            head += data
            if kind == b"moov":
                write_atomic(folder / "init.mp4", head)
        elif kind in (b"moof", b"mdat"):
            fragment += data
            if kind == b"mdat":
                number = playlist.next
                write_atomic(folder / name(number, playlist.parts), fragment)
                whole, fragment = whole + fragment, b""
                if playlist.add():
                    write_atomic(folder / f"{number}.m4s", whole)
                    whole = b""
                    _forget(folder, number - 2 * WINDOW)
                write_atomic(folder / PLAYLIST, playlist.text().encode())
    write_atomic(folder / PLAYLIST, playlist.text(ended=True).encode())


def encode(seconds: float) -> list[str]:
    """Return the command that writes fragments of one part each to its output, as fast as one watches."""
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={RATE}"]
    argv += [
        "-t",
        str(seconds),
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
    ]
    argv += ["-b:v", "300k", "-g", str(PICTURES * PARTS), "-keyint_min", str(PICTURES * PARTS), "-sc_threshold", "0"]
    argv += ["-f", "mp4", "-movflags", "empty_moov+default_base_moof+frag_keyframe"]
    return [*argv, "-frag_duration", str(int(PART * 1e6) - 10_000), "-flush_packets", "1", "-"]


def _part(segment: int, part: int) -> str:
    independent = ",INDEPENDENT=YES" if part == 0 else ""
    return f'#EXT-X-PART:DURATION={PART:.3f},URI="{name(segment, part)}"{independent}'


def _forget(folder: Path, number: int) -> None:
    for path in (folder / f"{number}.m4s", *(folder / name(number, part) for part in range(PARTS))):
        path.unlink(missing_ok=True)


def main() -> None:
    """Package until the picture ends."""
    parser = argparse.ArgumentParser(description="Write a low-latency HLS channel into a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=3600.0)
    told = parser.parse_args()
    with subprocess.Popen(encode(told.seconds), stdout=subprocess.PIPE) as encoder:
        try:
            package(encoder.stdout, told.folder)  # type: ignore[arg-type]
        finally:
            encoder.terminate()


if __name__ == "__main__":
    main()
