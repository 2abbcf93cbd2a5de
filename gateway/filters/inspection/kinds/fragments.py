"""Where the samples of a fragment are said to be (ISO/IEC 14496-12 section 8.8): inside the media that follows it, and nowhere else.

A run of samples that points into a header, behind its media or into another fragment makes a player read what no inspection took for media.
"""

from __future__ import annotations

import array
import struct
import sys
from collections.abc import Iterator

from gateway.filters.inspection import refusal

BASE, MOOF_IS_BASE, DEFAULT_SIZE = 0x1, 0x020000, 0x10  # flags of tfhd
BEFORE_SIZE = ((0x1, 8), (0x2, 4), (0x8, 4))  # optional fields of tfhd before the default size: flag, bytes
OFFSET, FIRST_FLAGS, SIZES = 0x1, 0x4, 0x200  # flags of trun
PER_SAMPLE = (0x100, 0x200, 0x400, 0x800)  # each of four bytes a sample, in this order


class Fragments:
    """Follows the boxes of one file; ``moof``, ``media`` and ``finish`` raise Refused."""

    def __init__(self) -> None:
        self._defaults: dict[int, int] = {}  # of each track: bytes of a sample of which nothing is said
        self._runs: list[tuple[int, int]] = []  # first and last byte + 1 of the runs whose media has not come

    def moov(self, body: memoryview) -> None:
        """Learn what the file's head says of the fragments that follow."""
        for name, inner in children(body):
            for kind, box in children(inner) if name == b"mvex" else ():
                if kind == b"trex" and len(box) >= 20:
                    self._defaults[_number(box, 4)] = _number(box, 16)

    def moof(self, start: int, end: int, body: memoryview) -> None:
        """Take a fragment's head, which stands from ``start`` to ``end``."""
        self.finish()
        after: int | None = start  # where the media of the track before ends; None: nobody knows
        for name, inner in children(body):
            if name == b"traf":
                after = self._track(start, end, inner, after)

    def media(self, start: int, end: int) -> None:
        """Take note of media from ``start`` to ``end``, which has not come yet."""
        for first, last in self._runs:
            if start <= first < end < last:
                raise refusal.malformed(f"a run of samples goes {last - end} bytes beyond its media")
        self._runs = [run for run in self._runs if not (start <= run[0] and run[1] <= end)]

    def finish(self) -> None:
        """Refuse runs of samples that lie in no media."""
        if self._runs:
            raise refusal.malformed(f"the samples at byte {self._runs[0][0]} are not in the media of their fragment")

    def _track(self, start: int, end: int, body: memoryview, after: int | None) -> int | None:
        at: int | None = after
        default: int | None = None
        base: int | None = None
        for name, box in children(body):
            if name == b"tfhd":
                base, default = self._head(start, box, after)
                at = base
            elif name == b"trun":
                at = self._run(end, box, base, at, default)
        return at

    def _head(self, start: int, box: memoryview, after: int | None) -> tuple[int | None, int | None]:
        """Return what offsets of the track are counted from, and the bytes of a sample of which nothing is said."""
        if len(box) < 8:
            raise refusal.malformed("the head of a track's fragment is cut off")
        flags, at = _number(box, 0) & 0xFFFFFF, 8
        base: int | None = start if flags & MOOF_IS_BASE else after
        for flag, size in BEFORE_SIZE:
            if flags & flag:
                if flag == BASE:
                    base = int.from_bytes(box[at : at + 8], "big")
                at += size
        default = _number(box, at) if flags & DEFAULT_SIZE else self._defaults.get(_number(box, 4))
        return base, default

    def _run(self, end: int, box: memoryview, base: int | None, at: int | None, default: int | None) -> int | None:
        """Note where a run of samples is; return where it ends, if that can be told."""
        if len(box) < 8:
            raise refusal.malformed("a run of samples is cut off")
        flags, count, head = _number(box, 0) & 0xFFFFFF, _number(box, 4), 8
        if flags & OFFSET:
            at = base + struct.unpack_from(">i", box, head)[0] if base is not None and len(box) >= 12 else None
            head += 4
        head += 4 if flags & FIRST_FLAGS else 0
        fields = [flag for flag in PER_SAMPLE if flags & flag]
        if len(box) != head + 4 * len(fields) * count:
            raise refusal.malformed(f"a run of {count} samples has no room for them")
        size: int | None = None if default is None else default * count
        if flags & SIZES:
            table = array.array("I", bytes(box[head:]))  # no numpy here: the processes that look at media are small
            if sys.byteorder == "little":
                table.byteswap()
            size = sum(table[fields.index(SIZES) :: len(fields)])
        if at is None or not count:
            return at
        if at < end:
            raise refusal.malformed(f"a run of samples begins at byte {at}, before the end of its own head")
        if size != 0:
            self._runs.append((at, at + (size or 1)))  # of an unknown size: at least its first byte
        return None if size is None else at + size


def children(body: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the boxes inside one whose lengths were found to be right."""
    at = 0
    while at + 8 <= len(body):
        size, head = _number(body, at), 8
        if size == 1:
            size, head = int.from_bytes(body[at + 8 : at + 16], "big"), 16
        if size < head:
            return
        yield bytes(body[at + 4 : at + 8]), body[at + head : at + size]
        at += size


def _number(body: memoryview, at: int) -> int:
    return int.from_bytes(body[at : at + 4], "big")
