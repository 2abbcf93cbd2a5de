"""What a low-latency playlist names, and how fragments become parts and segments."""

import io

import m3u8
import pytest

from appliance.runtime.errors import Corrupt
from provisioning.lab.lowlatency import PARTS, WINDOW, Playlist, boxes, package


def box(kind, body=b""):
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def test_a_playlist_names_parts_of_the_newest_segments_and_hints_at_the_next():
    """As players read it: the media sequence, whole segments, parts, and where to ask for what comes."""
    playlist = Playlist()
    for _ in range(PARTS * (WINDOW + 2) + 2):
        playlist.add()
    read = m3u8.loads(playlist.text())

    assert read.media_sequence == 2
    assert [segment.uri for segment in read.segments if segment.uri] == [f"{n}.m4s" for n in range(2, WINDOW + 2)]
    assert sum(len(segment.parts) for segment in read.segments) == 3 * PARTS + 2
    assert read.preload_hint.uri == f"{WINDOW + 2}.2.m4s"
    assert read.server_control.can_block_reload == "YES"


def test_parts_together_are_their_segment(tmp_path):
    """Byte for byte, and the playlist ends with the stream."""
    fragments = [box(b"moof", bytes([n])) + box(b"mdat", bytes([n] * 9)) for n in range(PARTS + 1)]
    package(io.BytesIO(box(b"ftyp") + box(b"moov") + b"".join(fragments)), tmp_path)

    assert (tmp_path / "init.mp4").read_bytes() == box(b"ftyp") + box(b"moov")
    assert (tmp_path / "0.m4s").read_bytes() == b"".join(fragments[:PARTS])
    assert (tmp_path / "1.0.m4s").read_bytes() == fragments[PARTS]
    assert m3u8.load(str(tmp_path / "index.m3u8")).is_endlist


def test_what_is_no_box_is_refused():
    """A size that no fragment has."""
    with pytest.raises(Corrupt):
        list(boxes(io.BytesIO(b"\xff" * 16)))
