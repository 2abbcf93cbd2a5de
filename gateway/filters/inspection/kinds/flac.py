"""FLAC (RFC 9639): a chain of metadata, then frames that follow each other, each with its number and both its check sums."""

from __future__ import annotations

import array
import sys

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Told

STREAMINFO, PADDING, PICTURE = 0, 1, 6  # types of metadata; above PICTURE none is defined
LARGEST_METADATA = 32 << 20  # bytes, pictures included
LARGEST_PADDING = 8 << 20
HEADER = 16  # bytes of the longest frame header
SAMPLES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608} | {code: 256 << (code - 8) for code in range(8, 16)}


class Flac:
    """One file."""

    streams = True

    def __init__(self, told: Told) -> None:
        self._data, self._metadata = b"", 0  # what is not judged yet; bytes of metadata so far
        self._magic, self._info, self._audio = False, b"", False
        self._sync, self._next, self._samples = b"", -1, 0
        self._frame, self._looked, self._sum = (
            False,
            0,
            0,
        )  # a frame begins the data; looked at up to here, with this check sum

    def feed(self, data: bytes) -> None:
        """Walk on."""
        self._data += data
        if not self._magic and len(self._data) >= 4:
            if self._data[:4] != b"fLaC":
                raise refusal.mismatch("this is no FLAC")
            self._magic, self._data = True, self._data[4:]
        while self._magic and not self._audio and self._block():
            pass
        if self._audio:
            self._frames(final=False)

    def finish(self) -> None:
        """Refuse a file that ends before its sound does, or goes on behind it."""
        if not self._magic:
            raise refusal.mismatch("this is no FLAC")
        if not self._audio:
            raise refusal.malformed("the file ends in its metadata")
        if not self._data:
            raise refusal.malformed("there is no sound in this file")
        self._frames(final=True)
        self._bound(len(self._data))
        if _sum(self._data[self._looked :], self._sum):
            raise refusal.malformed("the last frame is cut off, or something follows it")
        told = int.from_bytes(self._info[13:18], "big") & ((1 << 36) - 1)
        if told and told != self._samples:
            raise refusal.malformed(f"{told} samples are announced, {self._samples} are here")

    def _block(self) -> bool:
        """Take one block of metadata; return whether it was whole."""
        if len(self._data) < 4:
            return False
        kind, size = self._data[0] & 0x7F, int.from_bytes(self._data[1:4], "big")
        if (kind == STREAMINFO) != (not self._info) or kind > PICTURE or (kind == STREAMINFO and size != 34):
            raise refusal.malformed(
                "the metadata does not begin with one description of the stream, or is of no known kind"
            )
        if self._metadata + size > LARGEST_METADATA or (kind == PADDING and size > LARGEST_PADDING):
            raise refusal.bomb(f"more than {LARGEST_METADATA} bytes of metadata, or {LARGEST_PADDING} of padding")
        if len(self._data) < 4 + size:
            return False
        if kind == STREAMINFO:
            self._info = self._data[4:38]
        self._metadata += size
        self._audio = bool(self._data[0] & 0x80)
        self._data = self._data[4 + size :]
        return not self._audio

    @property
    def _longest(self) -> int:
        """Return the bytes of the longest frame that this stream can hold: samples as they are, and a channel of differences."""
        channels, bits = (self._info[12] >> 1 & 7) + 1, ((self._info[12] & 1) << 4 | self._info[13] >> 4) + 1
        return HEADER + 2 + channels * (int.from_bytes(self._info[2:4], "big") * (bits + 1) // 8 + 64)

    def _frames(self, *, final: bool) -> None:
        """Walk from frame to frame: one ends where its check sum comes out even and the header of the next one stands."""
        if not self._frame:
            if len(self._data) < HEADER and not final:
                return
            self._begin(self._data[:HEADER])
        data, begin = self._data, 0
        while True:
            at = data.find(self._sync, max(self._looked, begin + 1))
            if at < 0 or (len(data) - at < HEADER and not final):
                self._look(max(self._looked, at if at >= 0 else len(data) - 1))
                break
            self._look(at)
            if not self._sum and self._begin(data[at : at + HEADER]):
                begin = at
            else:
                self._look(at + 1)
            self._bound(self._looked - begin)
        self._data, self._looked = data[begin:], self._looked - begin
        self._bound(self._looked)

    def _look(self, upto: int) -> None:
        self._sum, self._looked = _sum(self._data[self._looked : upto], self._sum), upto

    def _bound(self, size: int) -> None:
        if size > self._longest:
            raise refusal.malformed("something stands between two frames, or a frame is longer than any can be")

    def _begin(self, head: bytes) -> bool:
        """Take the frame that ``head`` begins; return whether it does, which the first one has to."""
        found = frame(head)
        first = self._next < 0
        if found is None or (not first and (found[0] != self._next or head[:2] != self._sync)):
            if first:
                raise refusal.malformed("no frame of sound follows the metadata")
            return False
        number, samples = found
        if samples > int.from_bytes(self._info[2:4], "big"):
            raise refusal.malformed("a frame has more samples than the stream says")
        self._sync, self._frame = head[:2], True
        self._next = number + (samples if head[1] & 1 else 1)
        self._samples += samples
        return True


def frame(head: bytes) -> tuple[int, int] | None:
    """Return the number that a frame header has, and the frame's samples; None where this is no frame header."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    size, rate, channels, bits = head[2] >> 4, head[2] & 15, head[3] >> 4, head[3] >> 1 & 7
    if not size or rate == 15 or channels > 10 or bits == 3 or head[3] & 1:
        return None
    lead = head[4]
    more = 0 if lead < 0x80 else next((n for n in range(1, 7) if lead >> (6 - n) == (1 << (n + 2)) - 2), -1)
    if more < 0 or any(byte & 0xC0 != 0x80 for byte in head[5 : 5 + more]):
        return None
    number = lead if not more else lead & ((1 << (6 - more)) - 1)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    at = 5 + more
    width = {6: 1, 7: 2}.get(size, 0)
    samples = int.from_bytes(head[at : at + width], "big") + 1 if width else SAMPLES[size]
    at += width + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return number, samples


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


def _table() -> array.array[int]:
    table, value = [0], 0x8005
    for _ in range(16):
        table += [each ^ value for each in table]
        value = (value << 1 ^ 0x8005) & 0xFFFF if value & 0x8000 else value << 1
    return array.array("H", table)


_TABLE = _table()  # what two bytes of check sum become after two more bytes


def _sum(data: bytes, value: int) -> int:
    """Return the CRC-16 of RFC 9639 after ``data``, from ``value`` on; nought over a frame with its own."""
    whole = len(data) & ~1
    table = _TABLE
    words = array.array("H", data[:whole])
    if sys.byteorder == "little":
        words.byteswap()
    for word in words:
        value = table[value ^ word]
    if whole != len(data):
        value = (value << 8 & 0xFF00) ^ table[(value >> 8 ^ data[-1])]
    return value
