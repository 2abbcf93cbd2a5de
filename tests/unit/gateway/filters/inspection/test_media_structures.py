"""Ogg, FLAC and WebM are walked to their end: one bit that is changed, cut off or added is refused, and any bytes are judged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.filters.inspection.kinds import flac, ogg, webm
from gateway.filters.inspection.kinds.kind import Told
from gateway.filters.inspection.scan import scan

OGG, FLAC, WEBM = "audio/ogg", "audio/flac", "video/webm"


def page(packet, sequence, *, flags=0, serial=7, lacing=None):
    lacing = [255] * (len(packet) // 255) + [len(packet) % 255] if lacing is None else lacing
    head = b"OggS\0" + bytes([flags]) + bytes(8) + serial.to_bytes(4, "little") + sequence.to_bytes(4, "little")
    table = bytes([len(lacing), *lacing])
    whole = head + bytes(4) + table + packet
    return head + ogg.checksum(whole).to_bytes(4, "little") + table + packet


HEAD = page(b"OpusHead" + bytes(11), 0, flags=ogg.FIRST)
SOUND = HEAD + page(b"OpusTags", 1) + page(b"x" * 600, 2) + page(b"end", 3, flags=ogg.LAST)


def frame(number, *, value=0, sync=b"\xff\xf8", code=0x19):
    head = sync + bytes([code, 0x08, number])  # 192 samples at 44100 Hz, one channel of 16 bits
    head += bytes([flac._crc8(head)])
    body = head + b"\0" + value.to_bytes(2, "big")  # a constant subframe
    return body + flac._sum(body, 0).to_bytes(2, "big")


def stream(frames, *, samples=None, blocks=b"", last=True):
    told = 192 * len(frames) if samples is None else samples
    info = b"\x00\xc0\x00\xc0" + bytes(6) + b"\x0a\xc4\x40" + (0xF0 << 32 | told).to_bytes(5, "big") + bytes(16)
    return b"fLaC" + (b"\x80" if last and not blocks else b"\0") + b"\0\0\x22" + info + blocks + b"".join(frames)


FRAMES = [frame(number, value=number * 50) for number in range(5)]
RECORD = stream(FRAMES)


def element(kind, body=b"", size=None):
    name = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return name + (len(body) | 1 << 56).to_bytes(8, "big") + body if size is None else name + size + body


UNKNOWN = b"\x01" + b"\xff" * 7
DOC = element(webm.EBML, element(webm.DOC_TYPE, b"webm"))
ENTRY = element(webm.ENTRY, element(webm.NUMBER, b"\1") + element(webm.CODEC, b"V_VP9"))
HIDDEN = element(webm.ENTRY, element(0x6D80, element(0x6240, element(webm.ENCRYPTION))))
TRACKS = element(webm.TRACKS, ENTRY)
PICTURE = element(webm.SIMPLE_BLOCK, b"\x81\0\0\x80" + b"v" * 100)
CLUSTER = element(webm.CLUSTER, element(0xE7, b"\0") + PICTURE)
FILM = DOC + element(webm.SEGMENT, TRACKS + CLUSTER + CLUSTER)

SEGMENT = b"\x18\x53\x80\x67"
GOOD = [
    (OGG, SOUND),
    (OGG, HEAD + page(b"\x01vorbis", 0, flags=ogg.FIRST, serial=8) + page(b"a", 1) + page(b"b", 1, serial=8)),
    (OGG, HEAD + page(b"x" * 255, 1, lacing=[255]) + page(b"y", 2, flags=ogg.CONTINUED)),
    (FLAC, RECORD),
    (FLAC, stream(FRAMES, samples=0)),
    (FLAC, stream(FRAMES, blocks=b"\x04\0\0\x04abcd\x81\0\0\x10" + bytes(16))),
    (WEBM, FILM),
    (WEBM, DOC + element(webm.SEGMENT, TRACKS + element(webm.VOID, bytes(9)) + CLUSTER, size=UNKNOWN)),
    (WEBM, DOC + element(webm.SEGMENT, TRACKS, size=UNKNOWN) + 2 * element(webm.CLUSTER, PICTURE, size=UNKNOWN)),
    (WEBM, DOC + element(webm.SEGMENT, TRACKS)),  # the beginning that segments need
    (WEBM, CLUSTER),  # a segment
    (WEBM, DOC + element(webm.SEGMENT, TRACKS + element(webm.CLUSTER, element(webm.GROUP, element(webm.BLOCK, b"\x81\0\0\0v"))))),
]  # fmt: skip
BAD = [
    ("type-mismatch", OGG, b"OggT" + SOUND[4:]),
    ("type-mismatch", OGG, b""),
    ("type-mismatch", OGG, page(b"MZ\x90\0", 0, flags=ogg.FIRST)),
    ("malformed", OGG, SOUND + b"<script>alert(1)</script> and more"),
    ("malformed", OGG, SOUND + page(b"more", 4)),  # behind the stream's end
    ("malformed", OGG, HEAD + page(b"x", 2)),  # a page is missing
    ("malformed", OGG, HEAD + page(b"x", 1, serial=9)),  # of no stream
    ("malformed", OGG, HEAD + HEAD),
    ("malformed", OGG, HEAD + page(b"x", 1, flags=ogg.CONTINUED)),
    ("malformed", OGG, SOUND[:-1]),
    ("type-mismatch", FLAC, b"fLaX" + RECORD[4:]),
    ("malformed", FLAC, RECORD[:42]),  # no sound
    ("malformed", FLAC, RECORD[:30]),
    ("malformed", FLAC, RECORD[:-1]),
    ("malformed", FLAC, RECORD + b"x"),
    ("malformed", FLAC, stream([FRAMES[0], FRAMES[2]])),
    ("malformed", FLAC, stream([FRAMES[0], b"<script>" * 100, FRAMES[1]])),
    ("malformed", FLAC, stream(FRAMES, samples=191)),
    ("malformed", FLAC, stream([frame(0, code=0x29)])),  # 576 samples where 192 are the most
    ("malformed", FLAC, stream(FRAMES, blocks=b"\x8a\0\0\0")),  # metadata of no known kind
    ("malformed", FLAC, b"fLaC\x84\0\0\0"),
    ("bomb", FLAC, stream(FRAMES, blocks=b"\x81\xff\xff\xff")),
    ("type-mismatch", WEBM, FILM.replace(b"webm", b"matr")),
    ("type-mismatch", WEBM, FILM.replace(b"V_VP9", b"V_MPG")),
    ("type-mismatch", WEBM, DOC),
    ("malformed", WEBM, FILM[:-1]),
    ("malformed", WEBM, FILM + b"x"),
    ("malformed", WEBM, FILM + FILM),
    ("malformed", WEBM, DOC + element(webm.SEGMENT, TRACKS + element(webm.ATTACHMENTS, b"MZ"))),
    ("malformed", WEBM, DOC + element(webm.SEGMENT, TRACKS + PICTURE)),  # a block in no cluster
    ("malformed", WEBM, FILM.replace(b"\x81\0\0\x80", b"\x82\0\0\x80")),  # of no track
    ("malformed", WEBM, DOC + element(webm.SEGMENT, TRACKS + element(webm.CLUSTER, PICTURE[:-1] + b""))),
    ("malformed", WEBM, DOC + element(webm.SEGMENT, TRACKS + element(webm.INFO, b"\xec\x88a"))),
    ("malformed", WEBM, DOC + element(webm.SEGMENT, TRACKS + element(0xE7, b"\0", size=UNKNOWN))),
    ("malformed", WEBM, DOC + element(webm.SEGMENT, TRACKS, size=b"\x08" + b"\x7f" * 4)),  # beyond the file
    ("malformed", WEBM, DOC + element(webm.SEGMENT, element(webm.VOID, bytes(17 << 20)) + TRACKS)),
    ("bomb", WEBM, DOC + element(webm.SEGMENT, element(webm.CUES, bytes(17 << 20)) + TRACKS)),
    ("encrypted-content", WEBM, DOC + element(webm.SEGMENT, element(webm.TRACKS, HIDDEN))),
    ("encrypted-content", WEBM, DOC + element(webm.SEGMENT, TRACKS + element(webm.CLUSTER, element(webm.ENCRYPTED_BLOCK, b"x")))),
]  # fmt: skip


def verdict(kind, data, step=1 << 18):
    refused = scan(Told(kind, "a", len(data)), data, step)
    return "" if refused is None else refused.reason


@pytest.mark.parametrize(("kind", "data"), GOOD)
def test_what_is_whole_passes(kind, data):
    """Whole or in small pieces."""
    assert (verdict(kind, data), verdict(kind, data, 5)) == ("", "")


@pytest.mark.parametrize(("reason", "kind", "data"), BAD, ids=[f"{n}-{row[0]}" for n, row in enumerate(BAD)])
def test_what_is_not_whole_is_refused(reason, kind, data):
    """With its reason, also where it comes in pieces."""
    assert verdict(kind, data) == reason
    assert len(data) > 10_000 or verdict(kind, data, 5) == reason


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([(OGG, SOUND, 0), (FLAC, RECORD, 42)]), st.integers(0), st.integers(1, 255), st.integers(1, 300))
def test_no_byte_of_sound_can_be_changed(good, at, change, step):
    """Every page and every frame has its check sum."""
    kind, data, first = good
    place = first + at % (len(data) - first)
    assert verdict(kind, data[:place] + bytes([data[place] ^ change]) + data[place + 1 :], step) != ""


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([(OGG, b""), (OGG, HEAD), (FLAC, b"fLaC"), (FLAC, RECORD), (WEBM, b""), (WEBM, DOC), (WEBM, DOC + SEGMENT)]),
    st.binary(max_size=300), st.integers(1, 50),
)  # fmt: skip
def test_any_bytes_are_judged_the_same_in_any_pieces(begin, data, step):
    """A verdict and nothing else, whoever cut the pieces."""
    kind, head = begin
    assert verdict(kind, head + data, step) == verdict(kind, head + data)


def test_the_check_sums_are_those_of_the_formats():
    """Against bytes that the reference encoders wrote (libogg, libFLAC)."""
    assert ogg.checksum(b"123456789") == 0x89A1897F
    assert flac._sum(b"123456789", 0) == 0xFEE8
    assert flac._crc8(b"123456789") == 0xF4
