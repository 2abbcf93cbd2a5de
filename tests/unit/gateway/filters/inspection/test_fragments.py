"""Runs of samples lie in the media of their fragment: what says otherwise is refused; any head is judged or refused, never more."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.filters.inspection.kinds.kind import Told
from gateway.filters.inspection.scan import scan
from tests.server.content import media

MOOF_IS_BASE, DEFAULT = 0x020000, 0x10
OFFSET, SIZES = 0x1, 0x200


def tfhd(flags=MOOF_IS_BASE, more=b"", track=1):
    return media.box(b"tfhd", struct.pack(">II", flags, track) + more)


def trun(offset, sizes, *, count=None):
    flags = (OFFSET if offset is not None else 0) | SIZES
    place = struct.pack(">i", offset) if offset is not None else b""
    count = len(sizes) if count is None else count
    return media.box(b"trun", struct.pack(">II", flags, count) + place + struct.pack(f">{len(sizes)}I", *sizes))


def bare(offset):
    return media.box(b"trun", struct.pack(">IIi", OFFSET, 2, offset))


def segment(*tracks, data=bytes(100), between=b""):
    moof = media.box(b"moof", media.box(b"mfhd", bytes(8)) + b"".join(media.box(b"traf", one) for one in tracks))
    return moof + between + media.box(b"mdat", data)


def verdict(data, kind="video/iso.segment", step=7):
    refused = scan(Told(kind, "1.m4s", len(data)), data, step)
    return "" if refused is None else str(refused)


HEAD = (
    len(segment(tfhd() + trun(0, [1, 2]))) - 100
)  # where the media of a fragment with one track and two samples begins
TWO = len(segment(tfhd() + trun(0, [1]), tfhd() + trun(0, [1]))) - 100
GOOD = {
    "all of the media": segment(tfhd() + trun(HEAD, [50, 50])),
    "a part of it": segment(tfhd() + trun(HEAD + 10, [20, 20])),
    "padding between": segment(tfhd() + trun(HEAD + 16, [50, 50]), between=media.box(b"free", bytes(8))),
    "two tracks": segment(tfhd() + trun(TWO, [40]), tfhd(track=2) + trun(TWO + 40, [60])),
    "two fragments": segment(tfhd() + trun(HEAD, [50, 50])) + segment(tfhd() + trun(HEAD, [1, 99])),
    "no samples": segment(tfhd() + trun(0, [])),
    "sizes by default": segment(tfhd(MOOF_IS_BASE | DEFAULT, struct.pack(">I", 50)) + bare(HEAD - 4)),
    "a place in the file": segment(tfhd(0x1, struct.pack(">Q", HEAD + 8)) + trun(0, [50, 50])),
}  # fmt: skip
BAD = {
    "beyond the media": (segment(tfhd() + trun(HEAD, [50, 51])), "1 bytes beyond its media"),
    "far beyond the file": (segment(tfhd() + trun(HEAD, [1, 0xFFFFFFFF])), "beyond its media"),
    "into its own head": (segment(tfhd() + trun(8, [10, 10])), "before the end of its own head"),
    "before the file": (segment(tfhd() + trun(-1000, [10, 10])), "before the end of its own head"),
    "into the media's header": (segment(tfhd() + trun(HEAD - 4, [4, 4])), "not in the media"),
    "behind the media": (segment(tfhd() + trun(HEAD + 100, [1, 1])), "not in the media"),
    "the media before": (segment(tfhd() + trun(HEAD, [50, 50])) + segment(tfhd() + trun(-50, [5, 5])), "before the end"),
    "the media after": (segment(tfhd() + trun(HEAD + 100 + HEAD, [5, 5])) + segment(tfhd() + trun(HEAD, [5, 5])), "not in the media"),
    "more samples than sizes": (segment(tfhd() + trun(HEAD, [5, 5], count=3)), "no room for them"),
    "2^32 samples": (segment(tfhd() + trun(HEAD, [5, 5], count=0xFFFFFFFF)), "no room for them"),
    "the second run": (segment(tfhd() + trun(HEAD + 12 + 4 * 2, [50, 50]) + trun(None, [1])), "beyond|not in the media"),
    "elsewhere in the file": (segment(tfhd(0x1, struct.pack(">Q", 1 << 62)) + trun(0, [5, 5])), "not in the media"),
    "a head cut off": (segment(media.box(b"tfhd", b"\0\0\0\0")), "cut off"),
    "a run cut off": (segment(tfhd() + media.box(b"trun", b"\0\0\0\0")), "cut off"),
    "sizes by the file's head": (
        media.segment() + media.box(b"moov", media.box(b"mvex", media.box(b"trex", struct.pack(">6I", 0, 1, 1, 0, 51, 0))))
        + segment(tfhd() + bare(HEAD - 8)), "beyond its media",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_runs_inside_their_media_pass(name):
    """However their places and sizes are told."""
    assert verdict(GOOD[name]) == ""


@pytest.mark.parametrize("name", BAD)
def test_runs_elsewhere_are_refused(name):
    """A player would read what no inspection took for media."""
    data, told = BAD[name]
    found = verdict(data)
    assert any(one in found for one in told.split("|")), found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([b"tfhd", b"trun", b"traf", b"senc"]), st.binary(max_size=40)), max_size=4))
def test_any_fragment_is_judged_or_refused(boxes):
    """Any bytes in the boxes of a fragment: a verdict, and nothing else."""
    inner = b"".join(media.box(kind, body) for kind, body in boxes)
    verdict(segment(inner) + media.segment())
